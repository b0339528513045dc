#pragma once

#include "adapters/compaction_tables.h"

#include <chrono>
#include <cstdint>

#include <sluice/metrics/metrics.h>

namespace sluice::tsdb {

/// What compaction tells of itself; README.md, "Metrics".
struct CompactorMetrics {
  explicit CompactorMetrics(Registry& registry);

  /// What a slice came to. Counted once it is committed.
  struct Work {
    std::uint64_t rows_in = 0;
    std::uint64_t samples_in = 0;
    std::uint64_t chunks = 0;
    std::uint64_t chunk_samples = 0;
    std::uint64_t chunk_bytes = 0;
    std::uint64_t rollup_rows = 0;
    std::uint64_t rollup_bytes = 0;
    std::uint64_t merged_hours = 0;
    std::uint64_t set_aside_rows = 0;
  };
  void note_slice(const Work& work, std::chrono::nanoseconds took);
  void note_debt(const CompactionDebt& debt);

  Gauge debt_hours;
  Gauge debt_bytes;
  Gauge debt_seconds;
  Counter hours;
  Counter rows_in;
  Counter samples_in;
  Counter chunks;
  Counter chunk_samples;
  Counter chunk_bytes;
  Counter rollup_rows;
  Counter rollup_bytes;
  Counter merged_hours;
  Counter set_aside_rows;
  Histogram slice_seconds;
};

}  // namespace sluice::tsdb
