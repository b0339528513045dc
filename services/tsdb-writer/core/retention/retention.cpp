#include "core/retention/retention.h"

#include <algorithm>

#include <sluice/base/check.h>

namespace sluice::tsdb {

const std::optional<std::chrono::milliseconds>& RetentionPolicy::keep(Tier tier) const {
  SLUICE_CHECK(tier != Tier::kHot);
  switch (tier) {
    case Tier::kRollup1m:
      return keep_rollup_1m;
    case Tier::kRollup1h:
      return keep_rollup_1h;
    case Tier::kRollup1d:
      return keep_rollup_1d;
    default:
      return keep_raw;
  }
}

std::optional<WallTime> drop_due(const TimePartition& partition,
                                 const std::optional<std::chrono::milliseconds>& keep) {
  if (!keep) return std::nullopt;
  return partition.ends + *keep;
}

std::vector<PlannedDrop> plan_drops(Tier tier, const RetentionPolicy& policy,
                                    std::span<const TimePartition> partitions) {
  std::vector<PlannedDrop> drops;
  for (const TimePartition& partition : partitions) {
    const auto due = drop_due(partition, policy.keep(tier));
    if (!due) continue;
    drops.push_back({.tier = tier,
                     .policy = policy.name,
                     .partition = partition.name,
                     .starts = partition.starts,
                     .ends = partition.ends,
                     .due = *due,
                     .bytes = partition.bytes});
  }
  std::ranges::sort(drops, {},
                    [](const PlannedDrop& drop) { return std::pair(drop.due, drop.partition); });
  return drops;
}

}  // namespace sluice::tsdb
