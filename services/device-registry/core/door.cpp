#include "core/door.h"

#include "core/caller.h"
#include "core/credential.h"
#include "core/json.h"
#include "core/presented.h"
#include "core/records.h"
#include "core/topic_policy.h"

#include <algorithm>
#include <format>
#include <set>

#include <sluice/base/planted_bug.h>
#include <sluice/base/uuid.h>

namespace sluice::registry {
namespace {

namespace proto = ::sluice::device::v1;
using proto::RefusalReason;

/// The reason in audit records.
std::string_view name_of(RefusalReason reason) {
  switch (reason) {
    case proto::REFUSAL_REASON_CREDENTIAL_EXPIRED:
      return "credential_expired";
    case proto::REFUSAL_REASON_CREDENTIAL_REVOKED:
      return "credential_revoked";
    case proto::REFUSAL_REASON_DEVICE_INACTIVE:
      return "device_inactive";
    case proto::REFUSAL_REASON_DEVICE_QUARANTINED:
      return "device_quarantined";
    case proto::REFUSAL_REASON_DEVICE_REVOKED:
      return "device_revoked";
    case proto::REFUSAL_REASON_TENANT_SUSPENDED:
      return "tenant_suspended";
    case proto::REFUSAL_REASON_WRONG_DEVICE:
      return "wrong_device";
    case proto::REFUSAL_REASON_AMBIGUOUS_TENANT:
      return "ambiguous_tenant";
    default:
      return "unknown_credential";
  }
}

std::optional<RefusalReason> refusal_of(const DeviceRecord& record) {
  if (!record.is_tenant_active) return proto::REFUSAL_REASON_TENANT_SUSPENDED;
  switch (status_of(record.device)) {
    case proto::DEVICE_STATUS_ACTIVE:
      return std::nullopt;
    case proto::DEVICE_STATUS_INACTIVE:
      return proto::REFUSAL_REASON_DEVICE_INACTIVE;
    case proto::DEVICE_STATUS_QUARANTINED:
      return proto::REFUSAL_REASON_DEVICE_QUARANTINED;
    default:
      return proto::REFUSAL_REASON_DEVICE_REVOKED;
  }
}

std::optional<RefusalReason> refusal_of(const CredentialRecord& record,
                                        std::string_view claimed_device) {
  if (record.credential.fields.contains("revoked_at"))
    return proto::REFUSAL_REASON_CREDENTIAL_REVOKED;
  if (record.is_expired) return proto::REFUSAL_REASON_CREDENTIAL_EXPIRED;
  if (auto reason = refusal_of(record.device)) return reason;
  const Resource& device = record.device.device;
  if (!claimed_device.empty() && claimed_device != device.id &&
      claimed_device != text_at(device.fields, "external_id")) {
    return proto::REFUSAL_REASON_WRONG_DEVICE;
  }
  return std::nullopt;
}

std::int64_t epoch_ms(const std::string& rfc3339) {
  const auto time = parse_rfc3339(rfc3339);
  return time ? time->time_since_epoch().count() : 0;
}

/// The end of what lets a device in, in the form of credential_expires_at_ms: that of its
/// credential, or of what it presented where that comes first.
std::int64_t expiry_of(const CredentialRecord& record, const Proof& proof) {
  const std::int64_t credential_end = epoch_ms(text_at(record.credential.fields, "expires_at"));
  if (!proof.expires_at) return credential_end;
  const std::int64_t proof_end = proof.expires_at->time_since_epoch().count();
  return credential_end == 0 ? proof_end : std::min(credential_end, proof_end);
}

proto::DeviceIdentity identity_of(const DeviceRecord& record, std::chrono::seconds cache_ttl) {
  const Resource& device = record.device;
  const Json none = Json::object();
  const Json& device_class = record.device_class ? record.device_class->fields : none;
  proto::DeviceIdentity identity;
  identity.set_tenant(device.tenant.value());
  identity.set_device(device.id);
  identity.set_external_id(text_at(device.fields, "external_id"));
  identity.set_fleet(text_at(device.fields, "fleet_id"));
  identity.set_device_class(text_at(device.fields, "device_class"));
  const std::string own_schema = text_at(device.fields, "schema_id");
  identity.set_schema_id(own_schema.empty() ? text_at(device_class, "schema_id") : own_schema);
  identity.set_status(status_of(device));
  std::vector<TopicRule> own_rules{};
  if (record.device_class) identity.set_class_revision(record.device_class->revision);
  if (record.topic_policy) {
    identity.set_topic_policy(record.topic_policy->id);
    identity.set_policy_revision(record.topic_policy->revision);
    own_rules = rules_from_json(record.topic_policy->fields.value("rules", Json::array()));
  }
  const TopicNames names{.tenant = device.tenant.value(),
                         .device = device.id,
                         .external_id = identity.external_id(),
                         .fleet = identity.fleet(),
                         .device_class = identity.device_class()};
  for (TopicRule& rule : render_rules(record.topic_policy ? own_rules : default_rules(), names)) {
    *identity.add_rules() = std::move(rule);
  }
  *identity.mutable_limits() = limits_of(record.device_class);
  identity.set_cache_ttl_seconds(static_cast<std::uint32_t>(cache_ttl.count()));
  identity.set_revision(device.revision);
  return identity;
}

/// A refused attempt for the audit trail.
struct Attempt {
  std::string_view action{};
  std::string_view reason{};
  TenantId tenant{};  // empty where it never became known
  std::string target{};
  std::string address{};
};

common::v1::AuditRecord refusal_record(const Attempt& attempt, const Asker& asker,
                                       const Clock& clock, Random& random) {
  common::v1::AuditRecord record;
  const Uuid id = UuidGenerator(clock, random).next();
  record.set_record_id(std::string(id.bytes.begin(), id.bytes.end()));
  record.set_at_ms(clock.wall().time_since_epoch().count());
  record.set_service(std::string(kServiceName));
  record.set_tenant(attempt.tenant.value());
  record.mutable_actor()->set_kind(common::v1::AUDIT_ACTOR_KIND_ANONYMOUS);
  record.mutable_actor()->set_id(asker.service);
  record.mutable_actor()->set_address(attempt.address);
  record.set_action(std::string(attempt.action));
  record.set_target(attempt.target);
  record.set_outcome(common::v1::AUDIT_OUTCOME_REFUSED);
  record.set_reason(std::string(attempt.reason));
  record.set_traceparent(asker.traceparent);
  return record;
}

/// A candidate and how far what was presented proves it.
struct Choice {
  const CredentialRecord* record = nullptr;
  Proof proof{};
};

/// Of all proven candidates the one to judge. None: none, or, with `is_ambiguous`, several that
/// only a tenant would tell apart. Those that would not be let in are never in the way of one that
/// would: a device registered anew with the certificate of a revoked one is that one's successor.
/// What is found by the first lookup key goes before what is found by the second.
Choice choose(const std::vector<CredentialRecord>& records, const Presented& presented,
              std::string_view claimed_device, bool& is_ambiguous) {
  Choice refused;
  for (const std::string& lookup_key : presented.search.lookup_keys) {
    Choice chosen;
    std::set<std::pair<TenantId, std::string>> devices;
    for (const CredentialRecord& record : records) {
      if (record.secrets.lookup_key != lookup_key) continue;
      const std::optional<Proof> proof = presented.prove(record);
      if (!proof) continue;
      if (refusal_of(record, claimed_device)) {
        if (refused.record == nullptr) refused = {&record, *proof};
        continue;
      }
      devices.emplace(record.device.device.tenant, record.device.device.id);
      chosen = {&record, *proof};
    }
    is_ambiguous = devices.size() > 1;
    if (chosen.record != nullptr) return is_ambiguous ? Choice() : chosen;
  }
  return refused;
}

}  // namespace

Door::Door(Store& store, const Vault& vault, AuditTrail& audit, const Clock& clock, Random& random,
           DoorConfig config)
    : store_(store),
      vault_(vault),
      audit_(audit),
      clock_(clock),
      random_(random),
      config_(config) {}

Result<Store::RunOptions> Door::read_options(const Asker& asker) const {
  const auto left = std::chrono::floor<std::chrono::milliseconds>(asker.deadline - clock_.mono());
  // Zero would stand for the store's own limit.
  if (left.count() <= 0) return fail(ErrorCode::kDeadlineExceeded, "nobody waits any more");
  return Store::RunOptions{.mode = Mode::kRead, .timeout = std::min(config_.timeout, left)};
}

Result<std::vector<std::vector<CredentialRecord>>> Door::find(
    std::span<const CredentialSearch> searches, const Asker& asker) {
  const auto is_nobodys = [](const CredentialSearch& search) { return search.lookup_keys.empty(); };
  if (std::ranges::all_of(searches, is_nobodys)) {
    return std::vector<std::vector<CredentialRecord>>(searches.size());
  }
  // The tenant is what is being found out.
  SLUICE_TRY_ASSIGN(const Store::RunOptions options, read_options(asker));
  return in_transaction(store_, Scope::all_tenants(), options, [&](Transaction& transaction) {
    return transaction.find_credentials(searches);
  });
}

Result<proto::AuthenticateResponse> Door::authenticate(const proto::AuthenticateRequest& request,
                                                       const Asker& asker) {
  SLUICE_TRY_ASSIGN(const Presented presented, present(request, vault_));
  SLUICE_TRY_ASSIGN(const auto found, find({&presented.search, 1}, asker));
  return judge(request, presented, found.front(), asker);
}

Result<proto::AuthenticateManyResponse> Door::authenticate_many(
    const proto::AuthenticateManyRequest& request, const Asker& asker) {
  if (request.questions().empty() || request.questions_size() > kMaxQuestions) {
    const std::string message = std::format("must be 1 to {}", kMaxQuestions);
    return fail(Error(ErrorCode::kInvalidArgument, "questions: " + message)
                    .with_fault("questions", message));
  }
  std::vector<Result<Presented>> presented;
  std::vector<CredentialSearch> searches;
  for (const proto::AuthenticateRequest& question : request.questions()) {
    presented.push_back(present(question, vault_));
    searches.push_back(presented.back() ? presented.back()->search : CredentialSearch());
  }
  SLUICE_TRY_ASSIGN(auto found, find(searches, asker));
  if (SLUICE_PLANTED_BUG("door_answers_the_next")) std::ranges::rotate(found, found.begin() + 1);
  proto::AuthenticateManyResponse response;
  std::size_t bytes = 0;
  const MonoTime end = std::min(clock_.mono() + config_.max_judging, asker.deadline);
  for (std::size_t i = 0; i < presented.size(); ++i) {
    if (i > 0 && (bytes > config_.max_answers_bytes || clock_.mono() >= end)) break;
    const auto& question = request.questions(static_cast<int>(i));
    auto judged =
        presented[i] ? judge(question, *presented[i], found[i], asker) : fail(presented[i].error());
    proto::AuthenticateAnswer& answer = *response.add_answers();
    if (judged) {
      *answer.mutable_response() = *std::move(judged);
    } else {
      answer.mutable_failure()->set_code(static_cast<int>(judged.error().code()));
      answer.mutable_failure()->set_message(judged.error().message());
    }
    bytes += answer.ByteSizeLong();
  }
  return response;
}

Result<proto::AuthenticateResponse> Door::judge(const proto::AuthenticateRequest& request,
                                                const Presented& presented,
                                                const std::vector<CredentialRecord>& candidates,
                                                const Asker& asker) {
  bool is_ambiguous = false;
  const auto [record, proof] =
      choose(candidates, presented, request.claimed_device(), is_ambiguous);
  std::optional<RefusalReason> refusal{};
  if (is_ambiguous) {
    refusal = proto::REFUSAL_REASON_AMBIGUOUS_TENANT;
  } else if (record == nullptr) {
    refusal = proto::REFUSAL_REASON_UNKNOWN_CREDENTIAL;
  } else {
    refusal = refusal_of(*record, request.claimed_device());
  }

  proto::AuthenticateResponse response;
  if (refusal) {
    response.mutable_refusal()->set_reason(*refusal);
    audit_.record(refusal_record(
        {.action = "device.authenticate",
         .reason = name_of(*refusal),
         .tenant = record != nullptr ? record->credential.tenant : TenantId(),
         .target =
             record != nullptr ? std::format("device/{}", record->device.device.id) : std::string(),
         .address = request.address()},
        asker, clock_, random_));
    return response;
  }
  proto::DeviceIdentity& identity = *response.mutable_identity();
  identity = identity_of(record->device, config_.cache_ttl);
  identity.set_credential_id(record->credential.id);
  identity.set_credential_expires_at_ms(expiry_of(*record, proof));
  if (presented.wants_psk) {
    const Resource& device = record->device.device;
    SLUICE_TRY_ASSIGN(std::string psk, vault_.open(record->secrets.sealed_secret,
                                                   psk_seal_context(device.tenant, device.id,
                                                                    record->credential.id)));
    response.set_psk(std::move(psk));
  }
  return response;
}

Result<proto::LookupResponse> Door::lookup(const proto::LookupRequest& request,
                                           const Asker& asker) {
  SLUICE_TRY(check_id(request.tenant(), "tenant"));
  const auto uuid = Uuid::parse(request.device());
  if (!uuid) {
    return fail(Error(ErrorCode::kInvalidArgument, "device: must be a UUID")
                    .with_fault("device", "must be a UUID"));
  }
  SLUICE_TRY_ASSIGN(const Store::RunOptions options, read_options(asker));
  proto::LookupResponse response;
  const auto found = store_.run(
      Scope::of(TenantId(request.tenant())), options, [&](Transaction& transaction) -> Result<> {
        response.Clear();
        SLUICE_TRY_ASSIGN(const DeviceRecord record, transaction.device_record(uuid->to_string()));
        if (const auto reason = refusal_of(record)) {
          response.mutable_refusal()->set_reason(*reason);
          return {};
        }
        *response.mutable_identity() = identity_of(record, config_.cache_ttl);
        SLUICE_TRY_ASSIGN(const std::vector<std::string> active,
                          transaction.active_credential_ids(uuid->to_string()));
        for (const std::string& id : active) response.add_active_credential_ids(id);
        return {};
      });
  if (!found && found.error().code() == ErrorCode::kNotFound) {
    response.Clear();
    response.mutable_refusal()->set_reason(proto::REFUSAL_REASON_UNKNOWN_CREDENTIAL);
    return response;
  }
  if (!found) return fail(found.error());
  return response;
}

Result<proto::VerifyOperatorKeyResponse> Door::verify_operator_key(
    const proto::VerifyOperatorKeyRequest& request, const Asker& asker) {
  proto::VerifyOperatorKeyResponse response;
  const auto refuse = [&](std::string_view reason, const ApiKeyRecord* record) {
    audit_.record(refusal_record(
        {.action = "operator.sign_in",
         .reason = reason,
         .tenant = record != nullptr ? record->key.tenant : TenantId(),
         .target = record != nullptr ? std::format("api_key/{}", record->key.id) : std::string(),
         .address = {}},
        asker, clock_, random_));
    return response;
  };
  const auto token = vault_.parse(TokenKind::kOperator, request.key());
  if (!token) return refuse("unknown_key", nullptr);
  SLUICE_TRY_ASSIGN(const Store::RunOptions options, read_options(asker));
  SLUICE_TRY_ASSIGN(
      const std::optional<ApiKeyRecord> record,
      in_transaction(store_, Scope::all_tenants(), options, [&](Transaction& transaction) {
        return transaction.find_api_key(token->id);
      }));
  if (!record || !vault_.matches(record->salt, record->secret_hash, token->secret)) {
    return refuse("unknown_key", nullptr);
  }
  if (record->is_revoked) return refuse("key_revoked", &*record);
  if (record->is_expired) return refuse("key_expired", &*record);
  if (!record->is_tenant_active) return refuse("tenant_suspended", &*record);
  const auto role = parse_role(text_at(record->key.fields, "role"));
  if (!role) return refuse("unknown_role", &*record);
  response.set_is_valid(true);
  response.set_tenant(record->key.tenant.value());
  response.set_role(static_cast<proto::OperatorRole>(static_cast<int>(*role) + 1));
  response.set_key_id(record->key.id);
  response.set_cache_ttl_seconds(static_cast<std::uint32_t>(config_.operator_cache_ttl.count()));
  return response;
}

}  // namespace sluice::registry
