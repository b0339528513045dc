#pragma once

#include "adapters/loop_post.h"
#include "adapters/session_store_config.h"
#include "ports.h"

#include <memory>

#include <sluice/base/clock.h>
#include <sluice/metrics/metrics.h>

namespace sluice::front {

/// Sessions, wide subscriptions and retained messages of one process, for a single node: quick, and
/// forgotten when it ends. Sharded by session, a mutex each, so that loops rarely meet. It knows
/// fronts (one in production) so that it keeps the same contract as a store that many share.
/// Thread-safe. Whoever owns it calls tick() from one thread and destroys it after all handles.
class MemorySessionStore {
 public:
  MemorySessionStore(const SessionStoreConfig& config, const Clock& clock, Registry& registry);
  ~MemorySessionStore();
  MemorySessionStore(const MemorySessionStore&) = delete;
  MemorySessionStore& operator=(const MemorySessionStore&) = delete;

  /// `listener` is called through `post` and must outlive the store; a new front is told at once
  /// what is retained and who subscribes widely, and that it may act.
  void add_front(const FrontId& front, std::string address, SessionStoreListener& listener,
                 LoopPost post);
  /// The front is dead: its sessions may be claimed, its wills are due.
  void remove_front(const FrontId& front);
  /// What one loop of a front works with; its answers come through `post`.
  std::unique_ptr<SessionStore> for_loop(const FrontId& front, LoopPost post);

  /// Ends sessions whose expiry is over and hands out the wills that are due: at most
  /// kMaxExpiredPerTick per call, the rest at the next. Every 100 ms will do.
  void tick(MonoTime now);
  static constexpr std::size_t kMaxExpiredPerTick = 10'000;

 private:
  class State;
  class Handle;
  std::shared_ptr<State> state_;  // shared with the handles
};

}  // namespace sluice::front
