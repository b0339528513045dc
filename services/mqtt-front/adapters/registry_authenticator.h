#pragma once

#include "adapters/loop_post.h"
#include "adapters/revoked_certificates.h"
#include "core/identity_cache.h"
#include "ports.h"

#include <memory>
#include <optional>
#include <string>

#include <sluice/base/clock.h>
#include <sluice/config/settings.h>
#include <sluice/grpc/channel.h>
#include <sluice/metrics/metrics.h>

namespace sluice::front {

/// Asks the registry who a device is, through a cache that all loops share. Thread-safe; hands out
/// an Authenticator for each loop.
class RegistryAuthenticator {
 public:
  /// What is passed by reference must outlive it and its handles.
  RegistryAuthenticator(rpc::Channel& channel, IdentityCache& cache, RevokedCertificates& revoked,
                        const IdentityOptions& identities, const Clock& clock, Registry& registry);
  ~RegistryAuthenticator();
  RegistryAuthenticator(const RegistryAuthenticator&) = delete;
  RegistryAuthenticator& operator=(const RegistryAuthenticator&) = delete;

  /// Its answers come through `post`.
  std::unique_ptr<Authenticator> for_loop(LoopPost post);

  /// The key of a TLS-PSK identity, never remembered: it is asked for at each handshake. `done` is
  /// called on any thread.
  void find_psk(std::string identity, std::move_only_function<void(std::optional<Secret>)> done);

 private:
  class State;
  class Handle;
  std::shared_ptr<State> state_;  // shared with handles and with calls under way
};

}  // namespace sluice::front
