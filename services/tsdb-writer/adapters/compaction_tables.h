#pragma once

#include "adapters/tier_rows.h"
#include "core/storage_layout.h"
#include "ports.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <sluice/base/clock.h>
#include <sluice/base/result.h>
#include <sluice/postgres/transaction.h>

namespace sluice::tsdb {

/// How much one transaction of compaction takes. A device is never cut in two, so the largest one
/// may exceed this.
struct SliceLimits {
  std::size_t rows = 20'000;
  std::size_t bytes = std::size_t{16} << 20;
  std::size_t devices = 200;
};

/// One row of `hot`, without what the slice says already.
struct HotChunk {
  std::int64_t flush = 0;
  std::string bytes;
};

/// A device of a slice and its rows, by event hour, in the order in which they were written.
struct DeviceRows {
  DeviceKey device;
  PolicyId policy;
  /// Its policy and those it had before.
  std::vector<PolicyId> policies;
  std::map<WallTime, std::vector<HotChunk>> hours;
};

struct Slice {
  WallTime arrival;
  std::vector<DeviceRows> devices;
  std::size_t rows = 0;
  std::size_t bytes = 0;
};

// The steps of compaction in SQL, each in the leader's transaction, which must be of all tenants.

/// The oldest hour that was over `delay` ago by the database's clock, sealed; nothing when there is
/// none. Waits for those who still write into it.
Result<std::optional<WallTime>> seal_oldest_hour(postgres::Transaction& tx,
                                                 std::chrono::milliseconds delay);
/// The next devices of a sealed hour; none when all were dealt with.
Result<Slice> read_slice(postgres::Transaction& tx, WallTime arrival, const SliceLimits& limits);
Result<> set_aside(postgres::Transaction& tx, const Slice& slice, DeviceKey device, WallTime hour,
                   std::span<const HotChunk> rows, const Error& reason);
/// Every device up to and including the slice's last was dealt with.
Result<> note_progress(postgres::Transaction& tx, const Slice& slice);
/// Drops a sealed hour with its rows and forgets it.
Result<> drop_hour(postgres::Transaction& tx, PartitionManager& partitions, WallTime arrival);

struct CompactionDebt {
  std::int64_t hours = 0;
  std::int64_t bytes = 0;
  /// Since the oldest hour that waits was over.
  double oldest_seconds = 0;
};
Result<CompactionDebt> read_debt(postgres::Transaction& tx, PartitionManager& partitions,
                                 std::chrono::milliseconds delay);

}  // namespace sluice::tsdb
