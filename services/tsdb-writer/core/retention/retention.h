#pragma once

#include "core/storage_layout.h"
#include "ports.h"

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <sluice/base/clock.h>

namespace sluice::tsdb {

/// How long the tiers are kept; nullopt: for ever.
struct RetentionPolicy {
  PolicyId id;
  std::string name;
  std::optional<std::chrono::milliseconds> keep_raw{};
  std::optional<std::chrono::milliseconds> keep_rollup_1m{};
  std::optional<std::chrono::milliseconds> keep_rollup_1h{};
  std::optional<std::chrono::milliseconds> keep_rollup_1d{};

  /// Of a tier that policies are about; kHot is a bug.
  const std::optional<std::chrono::milliseconds>& keep(Tier tier) const;
};

/// Which policy a class of devices has.
struct ClassPolicy {
  std::string device_type;
  std::string policy;
  /// False: no one chose, it is the default.
  bool is_assigned = false;
};

/// A partition that will go, and when at the earliest.
struct PlannedDrop {
  Tier tier = Tier::kWarm;
  std::string policy;
  std::string partition;
  WallTime starts;
  WallTime ends;
  WallTime due;
  std::int64_t bytes = 0;
};

/// When a partition has nothing left that is to be kept: its end and the time of keeping. nullopt:
/// never.
std::optional<WallTime> drop_due(const TimePartition& partition,
                                 const std::optional<std::chrono::milliseconds>& keep);

/// Of one table's partitions those that will go, the next one first.
std::vector<PlannedDrop> plan_drops(Tier tier, const RetentionPolicy& policy,
                                    std::span<const TimePartition> partitions);

}  // namespace sluice::tsdb
