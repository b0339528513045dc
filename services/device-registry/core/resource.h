#pragma once

#include "core/shape.h"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include <sluice/base/ids.h>

#include <nlohmann/json.hpp>

namespace sluice::registry {

/// The kinds of things the registry keeps. A kind is a table, a shape, and a row in kResourceInfo;
/// reading, writing, paging, preconditions, dry runs and audit are written once for all of them.
enum class ResourceKind : std::uint8_t {
  kTenant,
  kFleet,
  kDeviceClass,
  kTopicPolicy,
  kDevice,
  kCredential,
  kApiKey,
};

/// One stored thing. `fields` are the columns an operator may see, by their names in the API, which
/// are also the names of the columns; what is secret never enters it.
struct Resource {
  ResourceKind kind{};
  TenantId tenant{};
  std::string id{};
  std::int64_t revision = 0;  // rises with every change; see http_semantics/preconditions.h
  nlohmann::json fields = nlohmann::json::object();
};

/// A field that lists may be filtered or sorted by.
struct QueryField {
  enum class Type : std::uint8_t { kText, kTime, kUuid, kBoolean, kAttributes };

  std::string_view name{};
  Type type = Type::kText;
  bool is_sortable = false;
  bool is_required = false;  // every thing has it
  bool is_presence = false;  // kept beside the device: see PresenceStore
};

/// What is known of a kind without looking into its table.
struct ResourceInfo {
  ResourceKind kind{};
  std::string_view noun{};      // "device_class": audit targets, error texts
  std::string_view id_field{};  // the field that holds the id
  Shape shape;                  // what an operator may write
  std::span<const QueryField> query_fields;
  std::string_view default_order{};
};

const ResourceInfo& info_of(ResourceKind kind);

/// The reserved tenant whose admins manage tenants.
inline constexpr std::string_view kPlatformTenant = "platform";

}  // namespace sluice::registry
