#pragma once

#include "adapters/front_loop.h"
#include "core/identity_cache.h"

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include <sluice/metrics/metrics.h>

namespace sluice::front {

/// Figures that nobody counts as they happen and the housekeeper reads off now and then: what the
/// identity cache knows and did, and the CPU time of each loop, of which the busiest is the limit
/// of its front.
class HouseMetrics {
 public:
  HouseMetrics(Registry& registry, std::size_t loops);

  void update(const IdentityCache::Stats& identities,
              std::span<const std::unique_ptr<FrontLoop>> loops);

 private:
  /// A counter that follows a number which somebody else counts.
  struct Follower {
    void follow(std::uint64_t value) {
      counter.add(value - seen);
      seen = value;
    }
    Counter counter;
    std::uint64_t seen = 0;
  };

  Gauge identities_, refusals_, questions_, waiters_;
  Follower hits_, refused_hits_, misses_, joined_, stale_;
  Follower evicted_, ended_, outdated_;
  std::vector<Gauge> loop_cpu_;
};

}  // namespace sluice::front
