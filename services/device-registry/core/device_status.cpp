#include "core/device_status.h"

#include <algorithm>
#include <array>
#include <format>

namespace sluice::registry {
namespace {

using enum DeviceStatus;
constexpr std::array<std::string_view, 4> kNames{"active", "inactive", "quarantined", "revoked"};
constexpr std::array<std::string_view, 2> kInitialNames{"active", "inactive"};

}  // namespace

std::string_view to_string(DeviceStatus status) { return kNames[static_cast<std::size_t>(status)]; }

std::optional<DeviceStatus> parse_device_status(std::string_view text) {
  const auto found = std::ranges::find(kNames, text);
  if (found == kNames.end()) return std::nullopt;
  return static_cast<DeviceStatus>(found - kNames.begin());
}

std::span<const std::string_view> device_status_names() { return kNames; }
std::span<const std::string_view> initial_status_names() { return kInitialNames; }

Result<> check_transition(DeviceStatus from, DeviceStatus to) {
  // Everything may follow everything but "revoked", which only itself may follow.
  if (from != kRevoked || to == kRevoked) return {};
  return fail(
      Error(ErrorCode::kFailedPrecondition,
            std::format("a revoked device cannot become {}: register it anew", to_string(to)))
          .with_reason("illegal_transition"));
}

}  // namespace sluice::registry
