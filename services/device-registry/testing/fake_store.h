#pragma once

#include "core/attributes.h"
#include "core/device_status.h"
#include "core/json.h"
#include "ports.h"

#include <algorithm>
#include <format>
#include <map>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <sluice/base/check.h>
#include <sluice/base/clock.h>
#include <sluice/base/uuid.h>

namespace sluice::registry::testing {

/// Everything that the fake keeps. Copied at the beginning of a transaction and put back at its
/// end.
struct FakeRows {
  using Key = std::tuple<ResourceKind, TenantId, std::string>;
  struct ApiSecret {
    std::string salt;
    std::string hash;
  };
  struct Answer {
    std::optional<std::string> sealed;
  };
  struct StoredOperation {
    TenantId tenant{};
    Store::NewOperation made{};
    Operation operation{};
    std::vector<std::string> result{};  // sealed parts
    std::optional<WallTime> taken{};
  };

  std::map<Key, Resource> resources;
  std::map<std::string, CredentialSecrets> secrets;  // by credential id
  std::map<std::string, ApiSecret> api_secrets;      // by key id
  std::map<std::string, Answer> answers;             // by tenant/subject/key
  std::map<std::string, StoredOperation> operations;
  std::vector<OutboxRecord> outbox;
  std::int64_t revision = 0;
};

/// The Store in memory: transactions that are all or nothing, tenants that cannot see each other,
/// and the refusals of the real one. testing/store_contract.h holds what both must do alike. One
/// thread; a transaction may call the functions about operations, and run another transaction,
/// whose effects are then kept whatever becomes of it.
class FakeStore final : public Store {
 public:
  explicit FakeStore(const Clock& clock) : clock_(clock) {}

  FakeRows& rows() { return rows_; }

  Result<> run(const Scope& scope, const RunOptions& options,
               const std::function<Result<>(Transaction&)>& body) override;
  Result<Begun> begin_operation(const TenantId& tenant, const NewOperation& operation) override;
  Result<> report_progress(const TenantId& tenant, std::string_view id,
                           const OperationProgress& progress) override;
  Result<> fail_operation(const TenantId& tenant, std::string_view id,
                          const OperationOutcome& outcome) override;
  Result<Operation> find_operation(const TenantId& tenant, std::string_view id) override;
  Result<> keep_operation_alive(const TenantId& tenant, std::string_view id) override;
  Result<std::vector<std::string>> read_result(const TenantId& tenant,
                                               std::string_view id) override;
  Result<> mark_result_taken(const TenantId& tenant, std::string_view id) override;

  /// Declares an operation dead, as the sweep does.
  void kill_operation(std::string_view id) {
    rows_.operations.at(std::string(id)).operation.state = Operation::State::kFailed;
  }
  /// How often progress was told.
  int progress_reports = 0;
  /// What transactions were given as their time.
  std::vector<std::chrono::milliseconds> timeouts{};
  /// How many devices were inserted at a time.
  std::vector<std::size_t> batches{};

 private:
  friend class FakeTransaction;
  static void show(const OperationProgress& progress, Json& fields) {
    fields["lines_read"] = progress.lines_read;
    fields["devices_written"] = progress.devices_written;
    fields["devices_skipped"] = progress.devices_skipped;
    fields["faulty_lines"] = progress.faulty_lines;
  }
  FakeRows::StoredOperation* operation_of(const TenantId& tenant, std::string_view id) {
    const auto found = rows_.operations.find(std::string(id));
    return found != rows_.operations.end() && found->second.tenant == tenant ? &found->second
                                                                             : nullptr;
  }

  const Clock& clock_;
  FakeRows rows_;
};

class FakeTransaction final : public Transaction {
 public:
  FakeTransaction(FakeStore& store, FakeRows& rows, TenantId scope)
      : store_(store), rows_(rows), scope_(std::move(scope)) {}

  Result<Resource> find(ResourceKind kind, std::string_view id, Lock) override {
    Resource* found = look(kind, id);
    if (found == nullptr) return missing(kind);
    return *found;
  }

  Result<std::vector<Resource>> list(ResourceKind kind, const ListQuery& query) override {
    std::vector<Resource> found;
    for (const auto& [key, resource] : rows_.resources) {
      if (std::get<0>(key) != kind || !sees(resource.tenant)) continue;
      if (query.device_id && text_at(resource.fields, "device_id") != *query.device_id) continue;
      if (std::ranges::all_of(query.filter,
                              [&](const Comparison& term) { return holds(term, resource); })) {
        found.push_back(resource);
      }
    }
    const auto place = [&](const Resource& resource) {
      return std::pair(text_at(resource.fields, query.order.field->name), resource.id);
    };
    const auto comes_before = [&](const auto& a, const auto& b) {
      return query.order.is_descending ? b < a : a < b;
    };
    std::ranges::sort(found, [&](const Resource& a, const Resource& b) {
      return comes_before(place(a), place(b));
    });
    if (query.after) {
      std::erase_if(found, [&](const Resource& resource) {
        return !comes_before(std::pair(query.after->value, query.after->id), place(resource));
      });
    }
    if (found.size() > query.limit) found.resize(query.limit);
    return found;
  }

  Result<Resource> insert(const Resource& resource) override {
    SLUICE_TRY(check_references(resource));
    const ResourceInfo& info = info_of(resource.kind);
    if (rows_.resources.contains({resource.kind, resource.tenant, resource.id})) {
      return taken(std::format("/{}", info.id_field));
    }
    SLUICE_TRY(check_external_id(resource));
    return put(resource);
  }
  Result<Resource> insert_credential(const Resource& credential,
                                     const CredentialSecrets& secrets) override {
    const std::string kind = text_at(credential.fields, "kind");
    if (kind == "token" || kind == "psk") {
      for (const auto& [id, stored] : rows_.secrets) {
        if (stored.lookup_key == secrets.lookup_key) return taken("/kind");
      }
    }
    rows_.secrets[credential.id] = secrets;
    return put(credential);
  }
  Result<Resource> insert_api_key(const Resource& key, std::string_view salt,
                                  std::string_view hash) override {
    rows_.api_secrets[key.id] = {std::string(salt), std::string(hash)};
    return put(key);
  }
  Result<Resource> update(const Resource& resource) override {
    if (look(resource.kind, resource.id) == nullptr) return missing(resource.kind);
    SLUICE_TRY(check_references(resource));
    SLUICE_TRY(check_external_id(resource));
    return put(resource);
  }
  Result<> remove(ResourceKind kind, std::string_view id) override {
    const Resource* found = look(kind, id);
    if (found == nullptr) return fail(missing(kind).error());
    if (is_used(*found))
      return fail(Error(ErrorCode::kFailedPrecondition, "in use").with_reason("in_use"));
    const TenantId tenant = found->tenant;
    if (kind == ResourceKind::kTenant) {
      std::erase_if(rows_.resources,
                    [&](const auto& row) { return row.second.tenant.value() == id; });
      std::erase_if(rows_.answers, [&](const auto& answer) {
        return answer.first.starts_with(std::format("{}/", id));
      });
    }
    rows_.resources.erase({kind, tenant, std::string(id)});
    if (kind == ResourceKind::kDevice) {
      std::erase_if(rows_.resources, [&](const auto& row) {
        return row.second.kind == ResourceKind::kCredential &&
               text_at(row.second.fields, "device_id") == id;
      });
    }
    return {};
  }
  Result<Resource> revoke(ResourceKind kind, std::string_view id) override {
    Resource* found = look(kind, id);
    if (found == nullptr) return missing(kind);
    if (!found->fields.contains("revoked_at")) found->fields["revoked_at"] = now();
    found->revision = ++rows_.revision;
    return *found;
  }

  Result<> ensure_tenant(std::string_view id) override {
    if (look(ResourceKind::kTenant, id) != nullptr) return {};
    Resource tenant{
        .kind = ResourceKind::kTenant, .tenant = TenantId(std::string(id)), .id = std::string(id)};
    tenant.fields = {{"tenant_id", id}, {"status", "active"}, {"metadata", Json::object()}};
    put(tenant);
    return {};
  }
  Result<std::optional<Resource>> ensure_device_class(std::string_view id) override {
    if (look(ResourceKind::kDeviceClass, id) != nullptr) return std::optional<Resource>();
    Resource made{.kind = ResourceKind::kDeviceClass, .tenant = scope_, .id = std::string(id)};
    made.fields = {
        {"device_class_id", id}, {"max_qos", 2}, {"is_lossy", false}, {"metadata", Json::object()}};
    return std::optional(put(made));
  }

  Result<DeviceRecord> device_record(std::string_view device_id) override {
    const Resource* device = look(ResourceKind::kDevice, device_id);
    if (device == nullptr) return fail(missing(ResourceKind::kDevice).error());
    return record_of(*device);
  }
  Result<std::vector<std::string>> active_credential_ids(std::string_view device_id) override {
    std::vector<std::string> ids;
    for (const auto& [key, resource] : rows_.resources) {
      if (resource.kind == ResourceKind::kCredential && sees(resource.tenant) &&
          text_at(resource.fields, "device_id") == device_id &&
          !resource.fields.contains("revoked_at") && !is_expired(resource)) {
        ids.push_back(resource.id);
      }
    }
    std::ranges::sort(ids);
    return ids;
  }
  Result<std::vector<std::vector<CredentialRecord>>> find_credentials(
      std::span<const CredentialSearch> searches) override {
    std::vector<std::vector<CredentialRecord>> found;
    for (const CredentialSearch& search : searches) found.push_back(candidates(search));
    return found;
  }
  Result<std::optional<ApiKeyRecord>> find_api_key(std::string_view id) override {
    for (const auto& [key, resource] : rows_.resources) {
      if (resource.kind != ResourceKind::kApiKey || resource.id != id || !sees(resource.tenant))
        continue;
      const auto& secret = rows_.api_secrets.at(resource.id);
      return std::optional(ApiKeyRecord{.key = resource,
                                        .salt = secret.salt,
                                        .secret_hash = secret.hash,
                                        .is_expired = is_expired(resource),
                                        .is_revoked = resource.fields.contains("revoked_at"),
                                        .is_tenant_active = is_active(resource.tenant)});
    }
    return std::optional<ApiKeyRecord>();
  }

  Result<> keep_answer(const TenantId& tenant, std::string_view subject, std::string_view key,
                       std::string_view sealed) override {
    const auto found = rows_.answers.find(std::format("{}/{}/{}", tenant.value(), subject, key));
    if (found == rows_.answers.end() || found->second.sealed) {
      return fail(Error(ErrorCode::kAborted, "kept").with_reason("answer_exists"));
    }
    found->second.sealed = std::string(sealed);
    return {};
  }
  Result<std::vector<std::int64_t>> reserve_revisions(std::size_t count) override {
    std::vector<std::int64_t> revisions;
    for (std::size_t i = 0; i < count; ++i) revisions.push_back(++rows_.revision);
    return revisions;
  }
  Result<std::vector<std::string>> existing_external_ids(
      std::span<const std::string> ids) override {
    std::vector<std::string> existing;
    for (const auto& [key, resource] : rows_.resources) {
      const std::string external_id = text_at(resource.fields, "external_id");
      if (resource.kind == ResourceKind::kDevice && sees(resource.tenant) &&
          std::ranges::contains(ids, external_id)) {
        existing.push_back(external_id);
      }
    }
    std::ranges::sort(existing);
    return existing;
  }
  Result<std::vector<std::string>> existing_device_ids(std::span<const std::string> ids) override {
    std::vector<std::string> existing;
    for (const std::string& id : ids) {
      if (exists(ResourceKind::kDevice, scope_, id)) existing.push_back(id);
    }
    std::ranges::sort(existing);
    return existing;
  }
  Result<std::vector<std::string>> insert_devices(std::span<const NewDevice> devices) override {
    store_.batches.push_back(devices.size());
    std::vector<std::string> tokenless;
    for (const NewDevice& made : devices) {
      Resource device{
          .kind = ResourceKind::kDevice, .tenant = scope_, .id = made.id, .fields = made.fields};
      if (!check_external_id(device)) {
        return fail(Error(ErrorCode::kAborted, "taken").with_reason("external_id_taken"));
      }
      put(device).revision = made.revision;
      if (made.credential && !insert_credential({.kind = ResourceKind::kCredential,
                                                 .tenant = scope_,
                                                 .id = text_at(*made.credential, "credential_id"),
                                                 .fields = *made.credential},
                                                made.secrets)) {
        tokenless.push_back(made.id);
      }
    }
    return tokenless;
  }
  Result<> add_result_part(std::string_view, std::size_t part, std::string_view sealed) override {
    SLUICE_CHECK(part == result_.size());
    result_.emplace_back(sealed);
    return {};
  }
  Result<> finish_operation(std::string_view id, const OperationOutcome& outcome) override {
    auto* stored = store_.operation_of(scope_, id);
    if (stored == nullptr || stored->operation.state != Operation::State::kRunning) {
      return fail(Error(ErrorCode::kAborted, "dead").with_reason("operation_ended"));
    }
    finished_ = {std::string(id), outcome};
    return {};
  }
  Result<> append_outbox(std::span<const OutboxRecord> records) override {
    rows_.outbox.insert(rows_.outbox.end(), records.begin(), records.end());
    return {};
  }

  const std::optional<std::pair<std::string, OperationOutcome>>& finished() const {
    return finished_;
  }
  const std::vector<std::string>& result() const { return result_; }

 private:
  bool sees(const TenantId& tenant) const { return scope_.value() == "*" || scope_ == tenant; }
  std::string now() const { return format_rfc3339(store_.clock_.wall()); }
  Resource* look(ResourceKind kind, std::string_view id) {
    for (auto& [key, resource] : rows_.resources) {
      if (std::get<0>(key) == kind && resource.id == id && sees(resource.tenant)) return &resource;
    }
    return nullptr;
  }
  static std::unexpected<Error> missing(ResourceKind kind) {
    return fail(ErrorCode::kNotFound, std::format("no such {}", info_of(kind).noun));
  }
  static std::unexpected<Error> taken(std::string pointer) {
    return fail(Error(ErrorCode::kAlreadyExists, "taken")
                    .with_reason("already_exists")
                    .with_fault(std::move(pointer), "is taken"));
  }
  Resource& put(Resource resource) {
    rows_.revision = std::max(rows_.revision, resource.revision) + 1;
    resource.revision = rows_.revision;
    const char* stamp = resource.kind == ResourceKind::kDevice ? "registered_at" : "created_at";
    if (!resource.fields.contains(stamp)) resource.fields[stamp] = now();
    resource.fields["updated_at"] = now();
    return rows_.resources[{resource.kind, resource.tenant, resource.id}] = std::move(resource);
  }
  bool exists(ResourceKind kind, const TenantId& tenant, const std::string& id) const {
    return rows_.resources.contains({kind, tenant, id});
  }
  Result<> check_references(const Resource& resource) const {
    const auto check = [&](const char* field, ResourceKind kind) -> Result<> {
      const std::string id = text_at(resource.fields, field);
      if (id.empty() || exists(kind, resource.tenant, id)) return {};
      return fail(Error(ErrorCode::kFailedPrecondition, "unknown")
                      .with_reason("unknown_reference")
                      .with_fault(std::format("/{}", field), "there is no such thing"));
    };
    if (resource.kind == ResourceKind::kDevice) {
      SLUICE_TRY(check("fleet_id", ResourceKind::kFleet));
      SLUICE_TRY(check("device_class", ResourceKind::kDeviceClass));
    }
    if (resource.kind == ResourceKind::kDeviceClass)
      SLUICE_TRY(check("topic_policy_id", ResourceKind::kTopicPolicy));
    return {};
  }
  Result<> check_external_id(const Resource& resource) const {
    const std::string external_id = text_at(resource.fields, "external_id");
    if (resource.kind != ResourceKind::kDevice) return {};
    for (const auto& [key, other] : rows_.resources) {
      if (other.kind == ResourceKind::kDevice && other.tenant == resource.tenant &&
          other.id != resource.id && text_at(other.fields, "external_id") == resource.id) {
        return fail(taken("/device_id").error());
      }
    }
    if (external_id.empty()) return {};
    for (const auto& [key, other] : rows_.resources) {
      if (other.kind == ResourceKind::kDevice && other.tenant == resource.tenant &&
          other.id != resource.id && text_at(other.fields, "external_id") == external_id) {
        return fail(taken("/external_id").error());
      }
    }
    const auto named = Uuid::parse(external_id);
    const std::string id = named ? named->to_string() : "";
    if (id != resource.id && exists(ResourceKind::kDevice, resource.tenant, id)) {
      return fail(taken("/external_id").error());
    }
    return {};
  }
  bool is_used(const Resource& resource) const {
    return std::ranges::any_of(rows_.resources, [&](const auto& row) {
      const Resource& other = row.second;
      if (resource.kind == ResourceKind::kTenant)
        return other.kind != ResourceKind::kTenant && other.tenant.value() == resource.id &&
               !(other.kind == ResourceKind::kApiKey &&
                 (other.fields.contains("revoked_at") || is_expired(other)));
      if (other.tenant != resource.tenant) return false;
      const char* field = resource.kind == ResourceKind::kFleet         ? "fleet_id"
                          : resource.kind == ResourceKind::kDeviceClass ? "device_class"
                          : resource.kind == ResourceKind::kTopicPolicy ? "topic_policy_id"
                                                                        : nullptr;
      return field != nullptr && other.kind != resource.kind &&
             text_at(other.fields, field) == resource.id;
    });
  }
  bool is_active(const TenantId& tenant) const {
    const auto found = rows_.resources.find({ResourceKind::kTenant, tenant, tenant.value()});
    return found != rows_.resources.end() && text_at(found->second.fields, "status") == "active";
  }
  bool is_expired(const Resource& resource) const {
    const auto expires = parse_rfc3339(text_at(resource.fields, "expires_at"));
    return expires && *expires <= store_.clock_.wall();
  }
  std::vector<CredentialRecord> candidates(const CredentialSearch& search) const {
    std::vector<CredentialRecord> records;
    for (const auto& [key, resource] : rows_.resources) {
      if (resource.kind != ResourceKind::kCredential || !sees(resource.tenant)) continue;
      const CredentialSecrets& secrets = rows_.secrets.at(resource.id);
      if (!std::ranges::contains(search.lookup_keys, secrets.lookup_key)) continue;
      if (!search.tenant.empty() && search.tenant != resource.tenant.value()) continue;
      const auto device = rows_.resources.find(
          {ResourceKind::kDevice, resource.tenant, text_at(resource.fields, "device_id")});
      records.push_back({.credential = resource,
                         .secrets = secrets,
                         .is_expired = is_expired(resource),
                         .device = record_of(device->second)});
    }
    return records;
  }
  DeviceRecord record_of(const Resource& device) const {
    DeviceRecord record{.device = bare(device), .is_tenant_active = is_active(device.tenant)};
    const auto device_class = rows_.resources.find(
        {ResourceKind::kDeviceClass, device.tenant, text_at(device.fields, "device_class")});
    if (device_class == rows_.resources.end()) return record;
    record.device_class = bare(device_class->second);
    const auto policy =
        rows_.resources.find({ResourceKind::kTopicPolicy, device.tenant,
                              text_at(device_class->second.fields, "topic_policy_id")});
    if (policy != rows_.resources.end()) record.topic_policy = bare(policy->second);
    return record;
  }
  static Resource bare(Resource resource) {
    resource.fields.erase("metadata");
    return resource;
  }
  static bool holds(const Comparison& term, const Resource& resource) {
    using enum Comparison::Operator;
    const Json& fields = resource.fields;
    if (term.field->type == QueryField::Type::kAttributes) {
      return has_attribute(fields.value("metadata", Json::object()), term.path, term.value) ==
             (term.op == kEqual);
    }
    if (term.value.is_boolean()) {
      const bool is = fields.value("connection", Json::object()).value(term.field->name, false);
      return (is == term.value.get<bool>()) == (term.op == kEqual);
    }
    const auto found = fields.find(term.field->name);
    if (term.value.is_null()) return (found == fields.end()) == (term.op == kEqual);
    if (found == fields.end()) return term.op == kNotEqual;
    // Times are spelled alike by both sides of these tests, so their texts compare as they do.
    const auto order = found->get<std::string>() <=> term.value.get<std::string>();
    switch (term.op) {
      case kEqual:
        return order == 0;
      case kNotEqual:
        return order != 0;
      case kLess:
        return order < 0;
      case kLessOrEqual:
        return order <= 0;
      case kGreater:
        return order > 0;
      case kGreaterOrEqual:
        return order >= 0;
    }
    return false;
  }

  FakeStore& store_;
  FakeRows& rows_;
  const TenantId scope_;
  std::optional<std::pair<std::string, OperationOutcome>> finished_;
  std::vector<std::string> result_;
};

inline Result<> FakeStore::run(const Scope& scope, const RunOptions& options,
                               const std::function<Result<>(Transaction&)>& body) {
  timeouts.push_back(options.timeout);
  const FakeRows before = rows_;
  FakeRows copy = rows_;
  FakeTransaction transaction(*this, copy, scope.tenant());
  SLUICE_TRY(body(transaction));
  if (options.mode == Mode::kDryRun || options.mode == Mode::kRead) return {};
  copy.operations = rows_.operations;
  // What another transaction, run by the body, has added.
  for (const auto& row : rows_.resources) {
    if (!before.resources.contains(row.first)) copy.resources.insert(row);
  }
  const auto own = static_cast<std::ptrdiff_t>(before.outbox.size());
  copy.outbox.insert(copy.outbox.begin() + own, rows_.outbox.begin() + own, rows_.outbox.end());
  copy.revision = std::max(copy.revision, rows_.revision);
  if (const auto& finished = transaction.finished()) {
    auto& stored = copy.operations.at(finished->first);
    stored.operation.state = Operation::State::kSucceeded;
    stored.operation.fields["state"] = "succeeded";
    stored.result = transaction.result();
    show(finished->second.progress, stored.operation.fields);
    stored.operation.fields["has_result"] = finished->second.result_parts > 0;
  }
  rows_ = std::move(copy);
  return {};
}

inline Result<Store::Begun> FakeStore::begin_operation(const TenantId& tenant,
                                                       const NewOperation& made) {
  for (const auto& [id, stored] : rows_.operations) {
    if (stored.tenant != tenant || made.idempotency_key.empty() ||
        stored.made.idempotency_key != made.idempotency_key ||
        stored.operation.state == Operation::State::kFailed) {
      continue;
    }
    if (stored.made.request_hash != made.request_hash) {
      return fail(Error(ErrorCode::kInvalidArgument, "other request")
                      .with_reason("idempotency_key_reused"));
    }
    return Begun{.operation = stored.operation, .is_new = false};
  }
  FakeRows::StoredOperation& stored = rows_.operations[made.id];
  stored.tenant = tenant;
  stored.made = made;
  stored.operation.id = made.id;
  stored.operation.fields = {
      {"operation_id", made.id}, {"kind", made.kind}, {"state", "running"}, {"has_result", false}};
  return Begun{.operation = stored.operation, .is_new = true};
}

inline Result<> FakeStore::report_progress(const TenantId& tenant, std::string_view id,
                                           const OperationProgress& progress) {
  auto* stored = operation_of(tenant, id);
  if (stored == nullptr || stored->operation.state != Operation::State::kRunning) {
    return fail(Error(ErrorCode::kAborted, "dead").with_reason("operation_ended"));
  }
  ++progress_reports;
  show(progress, stored->operation.fields);
  return {};
}

inline Result<> FakeStore::fail_operation(const TenantId& tenant, std::string_view id,
                                          const OperationOutcome& outcome) {
  auto* stored = operation_of(tenant, id);
  if (stored == nullptr || stored->operation.state != Operation::State::kRunning) return {};
  stored->operation.state =
      outcome.is_success ? Operation::State::kSucceeded : Operation::State::kFailed;
  Json& fields = stored->operation.fields;
  fields["state"] = outcome.is_success ? "succeeded" : "failed";
  if (!outcome.reason.empty()) fields["reason"] = outcome.reason;
  fields["faults"] = Json::array();
  for (const LineFault& fault : outcome.faults) {
    fields["faults"].push_back(
        {{"line", fault.line}, {"pointer", fault.fault.field}, {"detail", fault.fault.message}});
  }
  show(outcome.progress, fields);
  return {};
}

inline Result<Operation> FakeStore::find_operation(const TenantId& tenant, std::string_view id) {
  const auto* stored = operation_of(tenant, id);
  if (stored == nullptr) return fail(ErrorCode::kNotFound, "no such operation");
  return stored->operation;
}

inline Result<> FakeStore::keep_operation_alive(const TenantId& tenant, std::string_view id) {
  const auto* stored = operation_of(tenant, id);
  if (stored != nullptr && stored->operation.state == Operation::State::kRunning) return {};
  return fail(Error(ErrorCode::kAborted, "dead").with_reason("operation_ended"));
}

inline Result<std::vector<std::string>> FakeStore::read_result(const TenantId& tenant,
                                                               std::string_view id) {
  const auto* stored = operation_of(tenant, id);
  if (stored == nullptr) return fail(ErrorCode::kNotFound, "no such operation");
  const bool is_over = stored->taken && clock_.wall() >= *stored->taken + kResultGrace;
  if (stored->result.empty() || is_over)
    return fail(Error(ErrorCode::kNotFound, "gone").with_reason("result_gone"));
  return stored->result;
}

inline Result<> FakeStore::mark_result_taken(const TenantId& tenant, std::string_view id) {
  auto* stored = operation_of(tenant, id);
  if (stored != nullptr && !stored->taken) stored->taken = clock_.wall();
  return {};
}

}  // namespace sluice::registry::testing
