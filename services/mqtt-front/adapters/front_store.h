#pragma once

#include "adapters/loop_post.h"
#include "adapters/memory_session_store.h"
#include "adapters/redis_session_store.h"
#include "config.h"
#include "ports.h"

#include <memory>
#include <string>

#include <sluice/base/clock.h>
#include <sluice/base/random.h>
#include <sluice/base/result.h>
#include <sluice/log/logger.h>
#include <sluice/metrics/metrics.h>

namespace sluice::front {

/// The session store that the settings name, as this front's loops share it. Opened once, before
/// the loops run; thread-safe from then on. Until then it holds nothing up.
class FrontStore {
 public:
  struct Parts {
    const Clock& clock;
    Random& random;
    const Logger& log;
    Registry& registry;
  };
  /// `address` is where other fronts reach this one. `listener` must outlive it; `post` leads to
  /// the loop that calls the listener where the store has no thread of its own.
  Result<> open(const Config& config, const std::string& address, SessionStoreListener& listener,
                LoopPost post, const Parts& parts);

  /// What one loop works with; must be destroyed before this.
  std::unique_ptr<SessionStore> for_loop(LoopPost post);
  /// Whether this front may acknowledge and deliver now; see RedisSessionStore.
  bool may_act(MonoTime now) const { return redis_ == nullptr || redis_->lease_is_valid(now); }
  bool is_loaded() const { return redis_ == nullptr || redis_->is_loaded(); }
  /// For the end: hands this front no more wills, or what else sessions leave behind, that another
  /// could see to. Returns when what it was handed has been posted to the loops.
  void stop_sweeping() {
    if (redis_) redis_->stop_sweeping();
  }
  /// What time alone brings.
  void tick(MonoTime now) {
    if (memory_) memory_->tick(now);
  }

 private:
  FrontId id_{};
  std::unique_ptr<MemorySessionStore> memory_;
  std::unique_ptr<RedisSessionStore> redis_;
};

}  // namespace sluice::front
