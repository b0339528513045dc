#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include <sluice/base/result.h>

namespace sluice::registry {

/// Whether a device may connect. Only kActive may.
///
///            ┌────────────── activate ──────────────┐
///            ▼                                      │
///         active ── deactivate ──▶ inactive ────────┤
///            │                        │             │
///            ├──── quarantine ◀───────┘             │
///            ▼                                      │
///       quarantined ── release (active, inactive) ──┘
///
///   any of them ── revoke ──▶ revoked, which is final: a device that is to come back is registered
///   anew, so that "revoked" can be relied upon by whoever reads it once.
enum class DeviceStatus : std::uint8_t { kActive, kInactive, kQuarantined, kRevoked };

std::string_view to_string(DeviceStatus status);
std::optional<DeviceStatus> parse_device_status(std::string_view text);
/// The spellings, for shapes.
std::span<const std::string_view> device_status_names();
/// What a new device may begin as.
std::span<const std::string_view> initial_status_names();

/// kFailedPrecondition with reason "illegal_transition" where it is not allowed. To the present
/// status is allowed and changes nothing, so that a repeated request succeeds.
Result<> check_transition(DeviceStatus from, DeviceStatus to);

}  // namespace sluice::registry
