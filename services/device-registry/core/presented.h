#pragma once

#include "ports.h"

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <sluice/base/clock.h>
#include <sluice/base/result.h>
#include <sluice/device/v1/device_registry.pb.h>

namespace sluice::registry {

/// Until when a proof may be relied on.
struct Proof {
  std::optional<WallTime> expires_at{};  // of what was presented itself; nullopt: it has no end
};

/// What a device presented, in the form that finds candidates and proves them.
struct Presented {
  CredentialSearch search{};  // without lookup keys: it cannot be anybody's
  /// nullopt where it does not prove that its sender has this credential.
  std::function<std::optional<Proof>(const CredentialRecord&)> prove{};
  bool wants_psk = false;
};

/// `request` and `vault` must outlive what is returned. kInvalidArgument when nothing was sent,
/// or something with missing parts; what is merely nobody's credential has no lookup keys.
Result<Presented> present(const device::v1::AuthenticateRequest& request, const Vault& vault);

}  // namespace sluice::registry
