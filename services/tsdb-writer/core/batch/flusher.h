#pragma once

#include "core/batch/batch.h"
#include "core/batch/writer_metrics.h"
#include "ports.h"

#include <chrono>
#include <cstdint>
#include <optional>

#include <sluice/base/backoff.h>
#include <sluice/base/clock.h>
#include <sluice/base/error.h>
#include <sluice/base/random.h>

namespace sluice::tsdb {

/// What became of one attempt to write a batch, and what to do about it.
struct FlushOutcome {
  enum class Next : std::uint8_t {
    kWritten,   // the batch is in the tables
    kTryAgain,  // the same batch, after `wait`
    kEnd,       // the database was set back: going on would leave a gap
  };
  Next next = Next::kWritten;
  std::chrono::milliseconds wait{0};
  std::optional<Error> failure{};
  /// The first failure of a series, or the success that ends one: worth a line of log.
  bool is_turn = false;
};

/// Decides about batches that cannot be written: each is kept and tried again for ever, in order,
/// so that nothing is lost and nothing behind it overtakes it. One owner thread, the writer's.
class Flusher {
 public:
  /// All must outlive it.
  Flusher(Backoff::Policy retry, const Clock& clock, Random& random, WriterMetrics& metrics,
          HotStore& store);

  FlushOutcome attempt(const Batch& batch);

 private:
  const Clock& clock_;
  WriterMetrics& metrics_;
  HotStore& store_;
  Backoff backoff_;
  bool is_failing_ = false;
};

}  // namespace sluice::tsdb
