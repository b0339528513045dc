#pragma once

#include "adapters/loop_post.h"
#include "adapters/session_store_config.h"
#include "ports.h"

#include <memory>
#include <string>

#include <sluice/base/clock.h>
#include <sluice/log/logger.h>
#include <sluice/metrics/metrics.h>
#include <sluice/redis/client.h>

namespace sluice::front {

/// Sessions in Redis or a Redis Cluster, shared by all fronts of an installation and outliving each
/// of them.
///
/// Ownership: claim() gives a session to one front under a new epoch; every later write carries its
/// epoch and is refused when it is not the session's any more. Epochs come from Redis' clock, so
/// that they rise even over a loss of all its data. A front is alive while its lease is: a key that
/// it renews; the sessions of a front whose lease is gone are for whoever claims them, but for a
/// while after an outage, in which the leases of fronts that live run out as well.
///
/// What Redis loses: a session that is connected goes on and is put again as owned but incomplete,
/// which ends it with its connection, so that nobody is told "session present" about half of it.
/// Wide subscriptions and retained messages are put back by the fronts, which hold them all.
///
/// Thread-safe. Two threads of its own (lease, and following) besides the Redis client's. Handles
/// must be destroyed before it, and every `post` must work until it is.
class RedisSessionStore {
 public:
  struct Identity {
    FrontId front{};
    std::string address{};  // of its gRPC door, told to other fronts
  };
  /// `listener` is called as it says and must outlive the store, as `clock` and `registry`
  /// must.
  RedisSessionStore(const SessionStoreConfig& config, const Clock& clock, Registry& registry,
                    Logger log, std::unique_ptr<redis::Client> client, Identity identity,
                    SessionStoreListener& listener);
  /// Gives the lease up, so that others need not wait for it to run out.
  ~RedisSessionStore();
  RedisSessionStore(const RedisSessionStore&) = delete;
  RedisSessionStore& operator=(const RedisSessionStore&) = delete;

  /// What one loop works with; its answers come through `post`.
  std::unique_ptr<SessionStore> for_loop(LoopPost post);

  /// Whether this front may still act as the owner of its sessions. To be asked before an
  /// acknowledgement or a delivery: a process that was stopped for a while learns it here before
  /// on_lease() can tell it. One atomic load.
  bool lease_is_valid(MonoTime now) const;
  /// True once all wide subscriptions and retained messages were loaded: for readiness.
  bool is_loaded() const;

  /// What sessions leave behind, wills for one, is for other fronts from now on. Returns when the
  /// listener has been told of all that this one has taken, which Redis does not have any more: a
  /// front that ends can still see to it. Waits for Redis; not after abandon().
  void stop_sweeping();

  /// Dies like a killed process: stops at once and leaves everything in Redis as it is. For tests.
  void abandon();

 private:
  class Engine;
  class Handle;
  std::unique_ptr<Engine> engine_;
};

}  // namespace sluice::front
