#pragma once

#include "adapters/write_handler.h"
#include "core/batch/flush_policy.h"
#include "core/batch/flusher.h"
#include "core/batch/intake.h"
#include "core/batch/write_queue.h"
#include "core/batch/writer_metrics.h"
#include "ports.h"

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <stop_token>
#include <thread>
#include <vector>

#include <sluice/base/backoff.h>
#include <sluice/base/clock.h>
#include <sluice/base/random.h>
#include <sluice/kafka/consumer_loop.h>
#include <sluice/log/logger.h>
#include <sluice/metrics/metrics.h>

namespace sluice::tsdb {

/// From records to committed rows: the consumer's thread fills batches through handler(), a thread
/// of ours writes them. What is decided is decided by WriteQueue and Flusher.
class WritePipeline final : private WriteHandler::Writer {
 public:
  struct Options {
    FlushPolicy policy{};
    IntakeLimits limits{};
    Backoff::Policy retry{.base = std::chrono::milliseconds(50),
                          .cap = std::chrono::milliseconds(2'000)};
    /// Called by the writing thread when a flush failed, before it is tried again: what may help.
    std::function<void()> on_failure{};
    /// The database was set back: going on would leave a gap. Called once.
    std::function<void(Error)> on_fatal{};
  };

  WritePipeline(Options options, const Clock& clock, Random& random, const Logger& log,
                Registry& registry, DictionaryStore& dictionary, HotStore& store);
  ~WritePipeline();
  WritePipeline(const WritePipeline&) = delete;
  WritePipeline& operator=(const WritePipeline&) = delete;

  /// Ends the writing thread at once: what is in memory is abandoned. To be called after the
  /// consumer's loop was stopped, which hands over first.
  void stop();

  kafka::RecordHandler& handler() { return handler_; }
  const RecentSamples& recent() const { return queue_; }

 private:
  void wake() override;
  void await() override;

  double lag_seconds() const;
  void write_batches(const std::stop_token& stop);
  bool write(const Batch& batch, const std::stop_token& stop);
  bool should_try_again(const FlushOutcome& outcome, const std::stop_token& stop);

  const Options options_;
  const Clock& clock_;
  const Logger& log_;
  WriterMetrics metrics_;
  WriteQueue queue_;
  WriteHandler handler_;
  Flusher flusher_;

  std::mutex mutex_;  // of nothing but the waiting
  std::condition_variable_any changed_;
  std::jthread thread_;  // last: it uses all of the above
};

}  // namespace sluice::tsdb
