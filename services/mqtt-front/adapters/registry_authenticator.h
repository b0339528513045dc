#pragma once

#include "adapters/loop_post.h"
#include "adapters/revoked_certificates.h"
#include "core/identity_cache.h"
#include "ports.h"

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include <sluice/base/clock.h>
#include <sluice/base/random.h>
#include <sluice/config/settings.h>
#include <sluice/grpc/channel.h>
#include <sluice/metrics/metrics.h>

namespace sluice::front {

/// Asks the registry who a device is, through a cache that all loops share; who asks while others
/// are being asked about goes with them (QuestionBatches). Thread-safe; hands out an Authenticator
/// for each loop.
class RegistryAuthenticator {
 public:
  /// How long a connect waits for the registry, which is below its connect_timeout: whoever waits
  /// holds a place among the handshakes, and would else be cut off before it hears a reason.
  struct Patience {
    std::chrono::milliseconds unknown{3000};
    /// Of who can be let in by what is remembered.
    std::chrono::milliseconds known{1000};
    /// Before it is asked again when its answer was of before a change, as a replica's that is
    /// behind: then twice this, then the device is refused.
    std::chrono::milliseconds behind{200};
  };

  /// What is passed by reference must outlive it and its handles.
  RegistryAuthenticator(const Patience& patience, rpc::Channel& channel, IdentityCache& cache,
                        RevokedCertificates& revoked, const IdentityOptions& identities,
                        const Clock& clock, Random& random, Registry& registry);
  ~RegistryAuthenticator();
  RegistryAuthenticator(const RegistryAuthenticator&) = delete;
  RegistryAuthenticator& operator=(const RegistryAuthenticator&) = delete;

  /// Its answers come through `post`.
  std::unique_ptr<Authenticator> for_loop(LoopPost post);

  /// The key of a TLS-PSK identity, never remembered: it is asked for at each handshake. Where
  /// there is none a random one that nobody has, so that who exists cannot be probed. `done` is
  /// called on any thread.
  void find_psk(std::string identity, std::move_only_function<void(std::optional<Secret>)> done);

  /// Ends questions whose time is over. To be called several times a second.
  void tick();

 private:
  class State;
  class Handle;
  std::shared_ptr<State> state_;  // shared with handles and with calls under way
};

}  // namespace sluice::front
