#include "core/records.h"

#include "core/device_status.h"
#include "core/json.h"
#include "core/topic_policy.h"

#include <format>

#include <sluice/base/ids.h>

namespace sluice::registry {
namespace {

namespace proto = ::sluice::device::v1;

// In keys of control.devices; '$' is not a character of ids.
constexpr std::string_view kClassKind = "$class/";
constexpr std::string_view kPolicyKind = "$policy/";

std::uint32_t count_at(const Json& object, std::string_view name) {
  return static_cast<std::uint32_t>(integer_at(object, name));
}

const Json& object_at(const Json& object, std::string_view name) {
  static const Json kEmpty = Json::object();
  const auto found = object.find(name);
  return found != object.end() && found->is_object() ? *found : kEmpty;
}

void fill(const Resource& resource, proto::DeviceClassState& state) {
  state.set_device_class(resource.id);
  state.set_schema_id(text_at(resource.fields, "schema_id"));
  state.set_topic_policy(text_at(resource.fields, "topic_policy_id"));
  *state.mutable_limits() = limits_of(resource);
}

void fill(const Resource& resource, proto::TopicPolicyState& state) {
  state.set_topic_policy(resource.id);
  for (TopicRule& rule : rules_from_json(resource.fields.value("rules", Json::array()))) {
    *state.add_rules() = std::move(rule);
  }
}

// Enough to group a fleet by, and little in a topic that is kept for ever.
constexpr int kMostAttributes = 16;
constexpr std::size_t kMaxAttributeName = 64;    // bytes
constexpr std::size_t kMaxAttributeValue = 128;  // bytes

/// Json's objects come by rising name.
void fill_attributes(const Json& metadata, proto::DeviceState& state) {
  for (const auto& [name, value] : metadata.items()) {
    if (state.attributes_size() == kMostAttributes) return;
    if (value.is_null() || value.is_structured() || name.empty() ||
        name.size() > kMaxAttributeName) {
      continue;
    }
    std::string text = value.is_string() ? value.get<std::string>() : value.dump();
    if (text.size() > kMaxAttributeValue) continue;
    proto::DeviceAttribute& attribute = *state.add_attributes();
    attribute.set_name(name);
    attribute.set_value(std::move(text));
  }
}

proto::DeviceChange begin_change(const Resource& resource, const Occasion& occasion) {
  proto::DeviceChange change;
  change.set_tenant(resource.tenant.value());
  change.set_revision(resource.revision);
  change.set_changed_at_ms(occasion.at.time_since_epoch().count());
  return change;
}

OutboxRecord control_record(const Resource& resource, std::optional<std::string> value,
                            const Occasion& occasion) {
  return {.topic = std::string(kControlTopic),
          .key = change_key(resource.kind, resource.tenant, resource.id),
          .value = std::move(value),
          .traceparent = occasion.traceparent};
}

bool is_published(ResourceKind kind) {
  using enum ResourceKind;
  return kind == kTenant || kind == kDeviceClass || kind == kTopicPolicy || kind == kDevice;
}

}  // namespace

proto::DeviceStatus to_proto(DeviceStatus status) {
  switch (status) {
    case DeviceStatus::kActive:
      return proto::DEVICE_STATUS_ACTIVE;
    case DeviceStatus::kInactive:
      return proto::DEVICE_STATUS_INACTIVE;
    case DeviceStatus::kQuarantined:
      return proto::DEVICE_STATUS_QUARANTINED;
    case DeviceStatus::kRevoked:
      return proto::DEVICE_STATUS_REVOKED;
  }
  return proto::DEVICE_STATUS_REVOKED;
}

proto::DeviceStatus status_of(const Resource& device) {
  // A status this program does not know is one it must not let in.
  return to_proto(
      parse_device_status(text_at(device.fields, "status")).value_or(DeviceStatus::kRevoked));
}

proto::DeviceLimits limits_of(const std::optional<Resource>& device_class) {
  proto::DeviceLimits limits;
  limits.set_max_qos(2);
  if (!device_class) return limits;
  const Json& fields = device_class->fields;
  const Json& given = object_at(fields, "limits");
  limits.set_messages_per_second(count_at(given, "messages_per_second"));
  limits.set_bytes_per_second(count_at(given, "bytes_per_second"));
  limits.set_max_payload_bytes(count_at(given, "max_payload_bytes"));
  if (fields.contains("max_qos")) limits.set_max_qos(count_at(fields, "max_qos"));
  limits.set_is_lossy(boolean_at(fields, "is_lossy"));
  return limits;
}

std::string change_key(ResourceKind kind, const TenantId& tenant, std::string_view id) {
  switch (kind) {
    case ResourceKind::kDeviceClass:
      return std::format("{}/{}{}", tenant.value(), kClassKind, id);
    case ResourceKind::kTopicPolicy:
      return std::format("{}/{}{}", tenant.value(), kPolicyKind, id);
    case ResourceKind::kTenant:
      return std::format("{}/$tenant", id);
    default:
      return std::format("{}/{}", tenant.value(), id);
  }
}

std::optional<Resource> parse_change_key(std::string_view key) {
  const std::size_t slash = key.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  Resource named{.kind = ResourceKind::kDevice};
  named.tenant = TenantId(std::string(key.substr(0, slash)));
  std::string_view id = key.substr(slash + 1);
  if (id == "$tenant") {
    named.kind = ResourceKind::kTenant;
    id = named.tenant.value();
  } else if (id.starts_with(kClassKind)) {
    named.kind = ResourceKind::kDeviceClass;
    id.remove_prefix(kClassKind.size());
  } else if (id.starts_with(kPolicyKind)) {
    named.kind = ResourceKind::kTopicPolicy;
    id.remove_prefix(kPolicyKind.size());
  }
  if (!check_id(named.tenant.value(), "tenant") || !check_id(id, "id")) return std::nullopt;
  if (named.kind == ResourceKind::kDevice && !Uuid::parse(id)) return std::nullopt;
  named.id = id;
  return named;
}

OutboxRecord device_record(const Resource& device,
                           const std::vector<std::string>& active_credential_ids,
                           const Occasion& occasion) {
  proto::DeviceChange change = begin_change(device, occasion);
  proto::DeviceState& state = *change.mutable_device();
  state.set_device(device.id);
  state.set_external_id(text_at(device.fields, "external_id"));
  state.set_fleet(text_at(device.fields, "fleet_id"));
  state.set_device_class(text_at(device.fields, "device_class"));
  state.set_schema_id(text_at(device.fields, "schema_id"));
  state.set_status(status_of(device));
  for (const std::string& id : active_credential_ids) state.add_active_credential_ids(id);
  fill_attributes(object_at(device.fields, "metadata"), state);
  return control_record(device, change.SerializeAsString(), occasion);
}

std::optional<OutboxRecord> state_record(const Resource& resource, const Occasion& occasion) {
  proto::DeviceChange change = begin_change(resource, occasion);
  switch (resource.kind) {
    case ResourceKind::kTenant:
      change.mutable_tenant_state()->set_is_active(text_at(resource.fields, "status") == "active");
      break;
    case ResourceKind::kDeviceClass:
      fill(resource, *change.mutable_device_class());
      break;
    case ResourceKind::kTopicPolicy:
      fill(resource, *change.mutable_topic_policy());
      break;
    default:
      return std::nullopt;
  }
  return control_record(resource, change.SerializeAsString(), occasion);
}

std::optional<OutboxRecord> tombstone(const Resource& resource, const Occasion& occasion) {
  if (!is_published(resource.kind)) return std::nullopt;
  return control_record(resource, std::nullopt, occasion);
}

OutboxRecord audit_record(const Caller& caller, const Deed& deed) {
  common::v1::AuditRecord record;
  record.set_record_id(std::string(deed.record_id.bytes.begin(), deed.record_id.bytes.end()));
  record.set_at_ms(deed.at.time_since_epoch().count());
  record.set_service(std::string(kServiceName));
  record.set_tenant(caller.tenant.value());
  record.mutable_actor()->set_kind(caller.kind);
  record.mutable_actor()->set_id(caller.id);
  record.mutable_actor()->set_tenant(caller.home.value());
  record.mutable_actor()->set_address(caller.address);
  record.set_action(std::string(deed.action));
  record.set_target(std::string(deed.target));
  record.set_outcome(common::v1::AUDIT_OUTCOME_DONE);
  for (const std::string& name : deed.changed_fields) record.add_changed_fields(name);
  record.set_traceparent(caller.traceparent);
  return {.topic = std::string(kAuditTopic),
          .key = caller.tenant.value(),
          .value = record.SerializeAsString(),
          .traceparent = caller.traceparent};
}

}  // namespace sluice::registry
