#pragma once

#include "core/batch/batch.h"

#include <array>

#include <sluice/base/clock.h>
#include <sluice/metrics/metrics.h>

namespace sluice::tsdb {

/// What the write path tells of itself; README.md, "Metrics".
struct WriterMetrics {
  explicit WriterMetrics(Registry& registry);

  /// A batch that was committed.
  void note_committed(const Batch& batch, std::int64_t rows, std::int64_t chunk_bytes,
                      std::chrono::nanoseconds took);

  Counter records;
  Counter rows;
  Counter samples;
  Counter chunk_bytes;
  Counter already_stored;
  Counter failures;
  Counter pauses;
  std::array<Counter, 4> flushes;  // by FlushPolicy::Reason, then kHandOver
  Histogram flush_seconds;

  static constexpr std::size_t kHandOver = 3;
};

}  // namespace sluice::tsdb
