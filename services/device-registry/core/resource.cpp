#include "core/resource.h"

#include "core/device_status.h"

#include <array>

#include <sluice/base/check.h>

namespace sluice::registry {
namespace {

using Type = Field::Type;

// Bounds are repeated in openapi.yaml; contract_test.cpp compares the two.
constexpr std::int64_t kMaxName = 128;  // characters of a name for people

constexpr std::array<std::string_view, 2> kTenantStatuses{"active", "suspended"};

constexpr std::array kTenantFields{
    Field{.name = "tenant_id", .type = Type::kId, .is_required = true},
    Field{.name = "name", .type = Type::kText, .min = 1, .max = kMaxName},
    Field{.name = "status", .type = Type::kOneOf, .one_of = kTenantStatuses},
    Field{.name = "metadata", .type = Type::kAttributes},
};

constexpr std::array kFleetFields{
    Field{.name = "fleet_id", .type = Type::kId, .is_required = true},
    Field{.name = "name", .type = Type::kText, .min = 1, .max = kMaxName},
    Field{.name = "routing_rules_json", .type = Type::kFreeList, .min = 0, .max = 64},
    Field{.name = "metadata", .type = Type::kAttributes},
};

constexpr std::array kLimitsFields{
    Field{.name = "messages_per_second", .type = Type::kInteger, .min = 0, .max = 100'000},
    Field{.name = "bytes_per_second", .type = Type::kInteger, .min = 0, .max = 1'000'000'000},
    Field{.name = "max_payload_bytes", .type = Type::kInteger, .min = 0, .max = 268'435'455},
};

constexpr std::array kDeviceClassFields{
    Field{.name = "device_class_id", .type = Type::kId, .is_required = true},
    Field{.name = "name", .type = Type::kText, .min = 1, .max = kMaxName},
    Field{.name = "schema_id", .type = Type::kId},
    Field{.name = "topic_policy_id", .type = Type::kId},
    Field{.name = "max_qos", .type = Type::kInteger, .min = 0, .max = 2},
    Field{.name = "is_lossy", .type = Type::kBoolean},
    Field{.name = "limits", .type = Type::kObject, .fields = kLimitsFields},
    Field{.name = "metadata", .type = Type::kAttributes},
};

constexpr std::array<std::string_view, 2> kTopicActions{"publish", "subscribe"};
constexpr std::array kTopicRuleFields{
    Field{.name = "action", .type = Type::kOneOf, .is_required = true, .one_of = kTopicActions},
    Field{.name = "topic", .type = Type::kText, .is_required = true, .min = 1, .max = 256},
    Field{.name = "max_qos", .type = Type::kInteger, .min = 0, .max = 2},
    Field{.name = "may_retain", .type = Type::kBoolean},
};

constexpr std::array kTopicPolicyFields{
    Field{.name = "topic_policy_id", .type = Type::kId, .is_required = true},
    Field{.name = "name", .type = Type::kText, .min = 1, .max = kMaxName},
    Field{.name = "rules",
          .type = Type::kList,
          .is_required = true,
          .min = 0,
          .max = 64,
          .fields = kTopicRuleFields},
    Field{.name = "metadata", .type = Type::kAttributes},
};

constexpr std::array kDeviceFields{
    Field{.name = "external_id", .type = Type::kId},
    Field{.name = "fleet_id", .type = Type::kId},
    Field{.name = "device_class", .type = Type::kId, .is_required = true},
    Field{.name = "schema_id", .type = Type::kId},
    Field{.name = "model", .type = Type::kText, .min = 1, .max = kMaxName},
    Field{.name = "firmware_version", .type = Type::kText, .min = 1, .max = 64},
    Field{.name = "metadata", .type = Type::kAttributes},
};

constexpr std::array<std::string_view, 3> kRoles{"viewer", "operator", "admin"};
constexpr std::array kApiKeyFields{
    Field{.name = "name", .type = Type::kText, .is_required = true, .min = 1, .max = kMaxName},
    Field{.name = "role", .type = Type::kOneOf, .is_required = true, .one_of = kRoles},
    Field{.name = "expires_at", .type = Type::kTime},
};

using Query = QueryField;

constexpr std::array kTenantQuery{
    Query{.name = "tenant_id", .is_sortable = true},
    Query{.name = "name"},
    Query{.name = "status", .is_required = true},
    Query{.name = "metadata", .type = Query::Type::kAttributes},
};
constexpr std::array kFleetQuery{
    Query{.name = "fleet_id", .is_sortable = true},
    Query{.name = "name"},
    Query{.name = "metadata", .type = Query::Type::kAttributes},
};
constexpr std::array kDeviceClassQuery{
    Query{.name = "device_class_id", .is_sortable = true},
    Query{.name = "name"},
    Query{.name = "schema_id"},
    Query{.name = "topic_policy_id"},
    Query{.name = "metadata", .type = Query::Type::kAttributes},
};
constexpr std::array kTopicPolicyQuery{
    Query{.name = "topic_policy_id", .is_sortable = true},
    Query{.name = "name"},
    Query{.name = "metadata", .type = Query::Type::kAttributes},
};
// Every field here is backed by an index, or is only ever a further condition beside one.
constexpr std::array kDeviceQuery{
    Query{
        .name = "device_id", .type = Query::Type::kUuid, .is_sortable = true, .is_required = true},
    Query{.name = "external_id"},
    Query{.name = "fleet_id"},
    Query{.name = "device_class", .is_required = true},
    Query{.name = "schema_id"},
    Query{.name = "status", .is_required = true},
    Query{.name = "model"},
    Query{.name = "firmware_version"},
    Query{.name = "registered_at",
          .type = Query::Type::kTime,
          .is_sortable = true,
          .is_required = true},
    Query{.name = "connected",
          .type = Query::Type::kBoolean,
          .is_required = true,
          .is_presence = true},
    Query{.name = "last_seen_at", .type = Query::Type::kTime, .is_presence = true},
    Query{.name = "provisioned_at", .type = Query::Type::kTime, .is_presence = true},
    Query{.name = "metadata", .type = Query::Type::kAttributes},
};
constexpr std::array kCredentialQuery{
    Query{.name = "credential_id", .is_sortable = true},
    Query{.name = "kind", .is_required = true},
};
constexpr std::array kApiKeyQuery{
    Query{.name = "key_id", .is_sortable = true},
    Query{.name = "name"},
    Query{.name = "role"},
};

using enum ResourceKind;

constexpr std::array kResourceInfo{
    ResourceInfo{kTenant, "tenant", "tenant_id", kTenantFields, kTenantQuery, "tenant_id"},
    ResourceInfo{kFleet, "fleet", "fleet_id", kFleetFields, kFleetQuery, "fleet_id"},
    ResourceInfo{kDeviceClass, "device_class", "device_class_id", kDeviceClassFields,
                 kDeviceClassQuery, "device_class_id"},
    ResourceInfo{kTopicPolicy, "topic_policy", "topic_policy_id", kTopicPolicyFields,
                 kTopicPolicyQuery, "topic_policy_id"},
    ResourceInfo{kDevice, "device", "device_id", kDeviceFields, kDeviceQuery, "device_id"},
    // Credentials differ by kind: core/credential.h has their shapes.
    ResourceInfo{kCredential, "credential", "credential_id", {}, kCredentialQuery, "credential_id"},
    ResourceInfo{kApiKey, "api_key", "key_id", kApiKeyFields, kApiKeyQuery, "key_id"},
};

}  // namespace

const ResourceInfo& info_of(ResourceKind kind) {
  const ResourceInfo& info = kResourceInfo[static_cast<std::size_t>(kind)];
  SLUICE_CHECK(info.kind == kind);
  return info;
}

}  // namespace sluice::registry
