#pragma once

#include "adapters/compaction_tables.h"
#include "adapters/compactor_metrics.h"
#include "core/compact/compact.h"
#include "ports.h"

#include <chrono>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include <sluice/base/clock.h>
#include <sluice/base/result.h>
#include <sluice/log/logger.h>
#include <sluice/metrics/metrics.h>
#include <sluice/postgres/leadership.h>

namespace sluice::tsdb {

/// Turns arrival hours of `hot` into chunks and roll-ups, the oldest first, and drops them. The
/// hour is sealed, so that nobody writes into it any more; then slice after slice of its devices is
/// dealt with, each in one transaction with the note how far it went; then the partition is dropped
/// whole. Killed anywhere, the next leader goes on behind the last slice that was committed.
///
/// Of many instances the one that leads does it. One thread.
class Compactor {
 public:
  struct Options {
    /// How long an hour is left alone after its end.
    std::chrono::milliseconds delay{std::chrono::minutes(2)};
    SliceLimits slice{};
    /// At most this share of the time is spent in transactions; pauses make up the rest.
    int busy_percent = 50;
    std::chrono::milliseconds slice_timeout{std::chrono::minutes(2)};
  };

  /// Everything passed by reference must outlive it.
  Compactor(Options options, postgres::Leadership& leader, PartitionManager& partitions,
            const Clock& clock, const Logger& log, Registry& registry);

  /// Compacts whatever is due, if this instance leads. Between slices it looks whether to stop.
  Result<> run(const std::stop_token& stop);

 private:
  /// A slice in the making.
  struct SliceOutput;
  using PartitionPlace = std::pair<std::string, WallTime>;

  Result<> compact_hour(WallTime arrival, const std::stop_token& stop);
  Result<bool> compact_slice(WallTime arrival);
  Result<> compact_devices(postgres::Transaction& tx, const Slice& slice, SliceOutput& output);
  Result<> make_partitions(postgres::Transaction& tx, const std::vector<NewRow>& rows,
                           std::set<PartitionPlace>& made);
  Result<> note_debt();
  void pause_after(std::chrono::nanoseconds work, const std::stop_token& stop) const;

  const Options options_;
  postgres::Leadership& leader_;
  PartitionManager& partitions_;
  const Clock& clock_;
  const Logger& log_;
  CompactorMetrics metrics_;
  Compaction compaction_;
  /// Days of tables that are known to have their partition.
  std::set<PartitionPlace> known_partitions_;
};

}  // namespace sluice::tsdb
