#pragma once

#include "core/identity.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/base/result.h>

namespace sluice::device::v1 {
class DeviceChange;
}

namespace sluice::front {

/// A record of control.devices, as far as cached identities and live sessions are concerned.
struct DeviceChange {
  enum class Scope : std::uint8_t { kDevice, kDeviceClass, kTopicPolicy, kTenant };
  Scope scope = Scope::kDevice;
  std::string tenant{};
  std::string name{};         // of the device, class or policy; empty for a tenant
  std::int64_t revision = 0;  // 0: the thing is gone
  bool is_gone = false;
  /// Why the device, or every device of the tenant, may not be connected: "device_revoked",
  /// "device_inactive", "device_quarantined", "device_gone", "tenant_suspended", "tenant_gone".
  /// Empty: it may.
  std::string_view end_reason{};
  std::vector<std::string> active_credential_ids{};  // of a device
};

/// Reads a record; `value` is nullptr for one without a value. Fails where key and value disagree
/// or make no sense: such a record is skipped and counted.
Result<DeviceChange> read_device_change(std::string_view key,
                                        const device::v1::DeviceChange* value);

/// The state of the device, class or policy that `identity` was made from; 0: not told. Tenants
/// have none.
std::int64_t known_revision(DeviceChange::Scope scope, const Identity& identity);
/// Whether `identity` was made from the state that the change tells of, or a later one. A new class
/// and its first device are made in one breath, and the device may be answered before the class's
/// record is read: its session has nothing to learn from that.
bool knows(const Identity& identity, const DeviceChange& change);

/// What a live session must do about a change.
struct SessionEffect {
  enum class Action : std::uint8_t {
    kKeep,       // not concerned, or it knows a later state already
    kLookAgain,  // ask the registry (Lookup) and serve on with the old rights until it answers
    kEnd,        // close the connection, reason code 0x98
  };
  Action action = Action::kKeep;
  std::string_view reason{};  // of kEnd: end_reason, or "credential_revoked"
};
SessionEffect effect_on_session(const DeviceChange& change, const Identity& identity);

}  // namespace sluice::front
