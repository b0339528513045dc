#pragma once

#include "adapters/loop_neighbours.h"
#include "ports.h"

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>

#include <sluice/base/clock.h>
#include <sluice/base/random.h>
#include <sluice/crypto/tls_identity.h>
#include <sluice/log/logger.h>
#include <sluice/metrics/metrics.h>

namespace sluice::front {

/// The way to the other fronts: a channel to each address that is in use, opened at the first
/// message and closed when there was none for a while.
///
/// Messages for one front go in batches without waiting for one to fill: what comes while a call is
/// under way makes up the next. There are a few such lanes to each front, a session always takes
/// the same one, and a lane has one call under way: so messages of one publisher to one session
/// keep their order, [MQTT-4.6.0-6], and a session that is slow to take holds up few others. No
/// call is attempted twice: whether the first one arrived is not known.
///
/// Thread-safe.
class FrontPeers {
 public:
  struct Settings {
    std::chrono::milliseconds timeout{5000};  // of a batch
    /// Of a release, and how long one that failed takes: whoever asks tries again at once.
    std::chrono::milliseconds release_timeout{1000};
    /// What an answer "I do not hold it" takes, for the same reason. Shorter, since mostly the
    /// other front has just let go of it; but it may also have died and be back under its address.
    std::chrono::milliseconds not_held_pause{100};
    std::chrono::milliseconds unused_after = std::chrono::minutes(5);
    std::size_t max_peers = 1024;
    std::size_t max_batch = 256;            // messages of a call
    std::size_t max_batch_bytes = 1 << 20;  // of a call; a larger message goes alone
    std::size_t max_queued = 16'384;        // messages that wait, of one lane
    std::size_t max_queued_bytes = 16 << 20;
    std::size_t max_releases = 16'384;  // under way
  };
  /// `identity` is the front's own: fronts prove to be fronts to one another. Without one it speaks
  /// plaintext, to loopback only.
  FrontPeers(const crypto::TlsIdentity& identity, const Clock& clock, Random& random,
             const Logger& log, Registry& registry);
  FrontPeers(const Settings& settings, const crypto::TlsIdentity& identity, const Clock& clock,
             Random& random, const Logger& log, Registry& registry);
  ~FrontPeers();  // stops
  FrontPeers(const FrontPeers&) = delete;
  FrontPeers& operator=(const FrontPeers&) = delete;

  // `done` is called exactly once, on any thread, also from within the call.

  /// kResourceExhausted with reason "peer_queue_full": counted, nothing was sent. kUnavailable with
  /// reason "not_here": that front does not hold the session (any more); locate it again. What else
  /// fails may have arrived or not.
  void deliver(const std::string& address, const SessionKey& key, const Parcel& parcel,
               Done<Neighbours::Outcome> done);
  /// kFailedPrecondition with reason "not_held": that front does not hold it under this epoch; with
  /// kSessionBusy: its connection there still waits for what it published.
  void release(const std::string& address, const SessionKey& key, Epoch epoch, Done<void> done);

  /// For LoopNeighbours, which counts with the same metric what it refuses.
  void count_loop_full();

  /// Ends the calls under way and answers what waits with kCancelled, as whatever comes later.
  /// Returns when nothing calls back any more.
  void stop();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::front
