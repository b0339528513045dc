#pragma once

#include "core/caller.h"
#include "core/device_status.h"
#include "core/resource.h"
#include "ports.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/base/clock.h>
#include <sluice/base/uuid.h>
#include <sluice/device/v1/device_change.pb.h>

/// What the registry tells the rest of the platform, made from what it stores.
namespace sluice::registry {

inline constexpr std::string_view kServiceName = "device-registry";
inline constexpr std::string_view kControlTopic = "control.devices";
inline constexpr std::string_view kAuditTopic = "audit";

/// When and for which request a record is made.
struct Occasion {
  WallTime at{};
  std::string traceparent{};
};

device::v1::DeviceStatus to_proto(DeviceStatus status);
device::v1::DeviceStatus status_of(const Resource& device);
/// The limits of a class; those of no class are all the front's own, with every quality of service.
device::v1::DeviceLimits limits_of(const std::optional<Resource>& device_class);

/// The key of a thing's record on control.devices; see device_change.proto.
std::string change_key(ResourceKind kind, const TenantId& tenant, std::string_view id);
/// What such a key names: kind, tenant and id are set. nullopt for what is no key of ours.
std::optional<Resource> parse_change_key(std::string_view key);

/// The present state of a device.
OutboxRecord device_record(const Resource& device,
                           const std::vector<std::string>& active_credential_ids,
                           const Occasion& occasion);
/// The present state of a device class, topic policy or tenant; nullopt for kinds that nobody else
/// needs to know.
std::optional<OutboxRecord> state_record(const Resource& resource, const Occasion& occasion);
/// Says that a thing is gone; nullopt as above.
std::optional<OutboxRecord> tombstone(const Resource& resource, const Occasion& occasion);

/// One action that was carried out.
struct Deed {
  Uuid record_id{};
  WallTime at{};
  std::string_view action{};  // "device.create"
  std::string_view target{};  // "device/0190…"
  std::vector<std::string> changed_fields{};
};
OutboxRecord audit_record(const Caller& caller, const Deed& deed);

}  // namespace sluice::registry
