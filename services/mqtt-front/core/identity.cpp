#include "core/identity.h"

#include <array>
#include <format>
#include <utility>
#include <vector>

#include <sluice/base/utf8.h>
#include <sluice/device/v1/device_registry.pb.h>

namespace sluice::front {

namespace {

namespace proto = ::sluice::device::v1;

/// Longest text that is no id: schemas and credentials are named by other services, whose names are
/// shorter than this.
constexpr std::size_t kMaxTextSize = 256;

Result<> check_text(std::string_view text, std::string_view field) {
  if (text.size() <= kMaxTextSize && is_valid_utf8(text)) return {};
  return fail(Error(ErrorCode::kInvalidArgument, std::format("{} is too long or no text", field)));
}

Result<> check_optional_id(std::string_view text, std::string_view field) {
  return text.empty() ? Result<>() : check_id(text, field);
}

Result<> check_answer(const proto::DeviceIdentity& answer) {
  SLUICE_TRY(check_id(answer.tenant(), "tenant"));
  SLUICE_TRY(check_id(answer.device(), "device"));
  SLUICE_TRY(check_id(answer.device_class(), "device_class"));
  SLUICE_TRY(check_optional_id(answer.external_id(), "external_id"));
  SLUICE_TRY(check_optional_id(answer.fleet(), "fleet"));
  SLUICE_TRY(check_optional_id(answer.topic_policy(), "topic_policy"));
  SLUICE_TRY(check_text(answer.schema_id(), "schema_id"));
  SLUICE_TRY(check_text(answer.credential_id(), "credential_id"));
  // A status of tomorrow ("connect but isolated") is one that this front cannot honour.
  if (answer.status() != proto::DEVICE_STATUS_ACTIVE) {
    return fail(ErrorCode::kInvalidArgument, std::format("status {} is not one to connect with",
                                                         static_cast<int>(answer.status())));
  }
  if (answer.revision() < 0 || answer.class_revision() < 0 || answer.policy_revision() < 0 ||
      answer.credential_expires_at_ms() < 0) {
    return fail(ErrorCode::kInvalidArgument, "a revision or credential_expires_at_ms is negative");
  }
  return {};
}

Result<mqtt::Qos> to_qos(std::uint32_t value) {
  if (value > 2) return fail(ErrorCode::kInvalidArgument, std::format("qos {} is none", value));
  return static_cast<mqtt::Qos>(value);
}

Result<std::vector<AccessRule>> rules_of(const proto::DeviceIdentity& answer) {
  std::vector<AccessRule> rules;
  rules.reserve(static_cast<std::size_t>(answer.rules_size()));
  for (const proto::TopicRule& rule : answer.rules()) {
    SLUICE_TRY_ASSIGN(const mqtt::Qos max_qos, to_qos(rule.max_qos()));
    const auto action = rule.action();
    if (action != proto::TOPIC_ACTION_PUBLISH && action != proto::TOPIC_ACTION_SUBSCRIBE) continue;
    rules.push_back({.action = action == proto::TOPIC_ACTION_PUBLISH
                                   ? AccessRule::Action::kPublish
                                   : AccessRule::Action::kSubscribe,
                     .filter = rule.topic(),
                     .max_qos = max_qos,
                     .may_retain = rule.may_retain()});
  }
  return rules;
}

Result<DeviceLimits> limits_of(const proto::DeviceLimits& given, const DeviceLimits& defaults) {
  DeviceLimits limits = defaults;
  if (given.messages_per_second() != 0) limits.messages_per_second = given.messages_per_second();
  if (given.bytes_per_second() != 0) limits.bytes_per_second = given.bytes_per_second();
  if (given.max_payload_bytes() != 0) limits.max_payload_bytes = given.max_payload_bytes();
  SLUICE_TRY_ASSIGN(const mqtt::Qos max_qos, to_qos(given.max_qos()));
  if (given.max_qos() != 0) limits.max_qos = max_qos;
  limits.is_lossy = given.is_lossy();
  return limits;
}

}  // namespace

SessionKey session_key(std::string_view tenant, std::string_view device) {
  std::string key;
  key.reserve(tenant.size() + 1 + device.size());
  key.append(tenant).append("/").append(device);
  return SessionKey(std::move(key));
}

namespace {

Result<std::shared_ptr<Identity>> read_answer(const proto::DeviceIdentity& answer,
                                              const IdentityOptions& options) {
  SLUICE_TRY(check_answer(answer));
  auto identity = std::make_shared<Identity>();
  identity->tenant = TenantId(answer.tenant());
  identity->device = DeviceId(answer.device());
  identity->external_id = answer.external_id();
  identity->fleet = answer.fleet();
  identity->device_class = DeviceClassId(answer.device_class());
  identity->schema_id = answer.schema_id();
  identity->topic_policy = answer.topic_policy();
  identity->credential_id = answer.credential_id();
  identity->revision = answer.revision();
  identity->class_revision = answer.class_revision();
  identity->policy_revision = answer.policy_revision();
  identity->cache_ttl_seconds = answer.cache_ttl_seconds();
  identity->session = session_key(answer.tenant(), answer.device());
  if (answer.credential_expires_at_ms() != 0) {
    identity->credential_expires_at =
        WallTime(std::chrono::milliseconds(answer.credential_expires_at_ms()));
  }
  SLUICE_TRY_ASSIGN(identity->limits, limits_of(answer.limits(), options.default_limits));
  SLUICE_TRY_ASSIGN(const std::vector<AccessRule> rules, rules_of(answer));
  SLUICE_TRY_ASSIGN(identity->policy,
                    AccessPolicy::compile(rules, options.topics.spellings_of(identity->names()),
                                          {.max_publish_qos = identity->limits.max_qos,
                                           .opens_dollar_topics = options.opens_dollar_topics}));
  return identity;
}

}  // namespace

Result<IdentityPtr> make_identity(const proto::DeviceIdentity& answer,
                                  const IdentityOptions& options) {
  return read_answer(answer, options);
}

Result<IdentityPtr> make_identity(const proto::DeviceIdentity& answer,
                                  const IdentityOptions& options, const Identity& previous) {
  SLUICE_TRY_ASSIGN(std::shared_ptr<Identity> identity, read_answer(answer, options));
  if (identity->session != previous.session) {
    return fail(ErrorCode::kInvalidArgument, "the answer is about another device");
  }
  identity->credential_id = previous.credential_id;
  identity->credential_expires_at = previous.credential_expires_at;
  return IdentityPtr(std::move(identity));
}

}  // namespace sluice::front
