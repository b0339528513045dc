#include "adapters/write_pipeline.h"

#include <algorithm>
#include <utility>

namespace sluice::tsdb {
namespace {

// Well below what the group waits for (max_poll_interval, 5 min), and longer than any healthy
// flush.
constexpr std::chrono::seconds kHandOverTimeout{10};

}  // namespace

WritePipeline::WritePipeline(Options options, const Clock& clock, Random& random, const Logger& log,
                             Registry& registry, DictionaryStore& dictionary, HotStore& store)
    : options_(std::move(options)),
      clock_(clock),
      log_(log),
      metrics_(registry),
      queue_(options_.policy, options_.limits, dictionary, registry, metrics_),
      handler_(clock, queue_, store, metrics_, *this),
      flusher_(options_.retry, clock, random, metrics_, store) {
  registry.gauge_function("sluice_tsdb_writer_lag_seconds",
                          "Time since ingest of the oldest message that is in memory and not "
                          "committed; 0 when there is none.",
                          {}, [this] { return lag_seconds(); });
  registry.gauge_function("sluice_tsdb_writer_held_samples",
                          "Samples in memory that are not committed.", {},
                          [this] { return static_cast<double>(queue_.held_samples()); });
  thread_ = std::jthread([this](const std::stop_token& stop) { write_batches(stop); });
}

WritePipeline::~WritePipeline() { stop(); }

void WritePipeline::stop() {
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
}

double WritePipeline::lag_seconds() const {
  const WallTime oldest = queue_.oldest_received_at();
  if (oldest == WallTime::max()) return 0;
  return std::max(0.0, std::chrono::duration<double>(clock_.wall() - oldest).count());
}

void WritePipeline::wake() {
  // The lock is for those who have looked and do not wait yet.
  {
    const std::lock_guard lock(mutex_);
  }
  changed_.notify_all();
}

void WritePipeline::await() {
  std::unique_lock lock(mutex_);
  if (!changed_.wait_for(lock, kHandOverTimeout, [&] { return !queue_.to_write(); })) {
    log_.warning("hand_over_incomplete", {{"batches", queue_.waiting_batches()}});
  }
}

void WritePipeline::write_batches(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    WriteQueue::SharedBatch batch;
    {
      std::unique_lock lock(mutex_);
      if (!changed_.wait(lock, stop, [&] { return (batch = queue_.to_write()) != nullptr; })) {
        return;
      }
    }
    if (!write(*batch, stop)) return;
    queue_.note_written();
    wake();
  }
}

/// Until it is written; false when told to end before.
bool WritePipeline::write(const Batch& batch, const std::stop_token& stop) {
  for (;;) {
    const FlushOutcome outcome = flusher_.attempt(batch);
    if (outcome.next == FlushOutcome::Next::kWritten) {
      if (outcome.is_turn) log_.info("flush_recovered");
      return true;
    }
    if (!should_try_again(outcome, stop)) return false;
  }
}

bool WritePipeline::should_try_again(const FlushOutcome& outcome, const std::stop_token& stop) {
  if (outcome.is_turn) log_.warning("flush_failed", *outcome.failure);
  if (outcome.next == FlushOutcome::Next::kEnd) {
    options_.on_fatal(*outcome.failure);
    return false;
  }
  if (options_.on_failure) options_.on_failure();
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, stop, outcome.wait, [] { return false; });
  return !stop.stop_requested();
}

}  // namespace sluice::tsdb
