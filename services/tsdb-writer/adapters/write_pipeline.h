#pragma once

#include "adapters/writer_metrics.h"
#include "core/batch/batch.h"
#include "core/batch/flush_policy.h"
#include "core/batch/intake.h"
#include "ports.h"

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
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

/// From records to committed rows. The consumer's thread fills one batch while a thread of ours
/// writes another: at most three are in memory, one being filled, one waiting, one being written;
/// then partitions are paused until there is room.
///
/// A batch that cannot be written is kept and tried again for ever, in order: nothing is lost, and
/// nothing behind it overtakes it. When partitions go, what is in memory is written first, within
/// kHandOverTimeout; what is not is read again by the next owner, and the store leaves out
/// whichever of the two comes second.
class WritePipeline final : public kafka::RecordHandler, public RecentSamples {
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
  ~WritePipeline() override;

  /// Ends the writing thread at once: what is in memory is abandoned. To be called after the
  /// consumer's loop was stopped, which hands over first.
  void stop();

  Result<> on_batch(std::span<const kafka::RecordView> records,
                    kafka::ConsumerControl& control) override;
  Result<> on_tick(kafka::ConsumerControl& control) override;
  Result<std::vector<kafka::StartPosition>> on_assigned(
      std::span<const kafka::TopicPartition> partitions) override;
  void on_revoking(std::span<const kafka::TopicPartition> partitions,
                   kafka::ConsumerControl& control) override;
  void on_lost(std::span<const kafka::TopicPartition> partitions) override;

  std::vector<std::vector<std::byte>> of_device(DeviceKey device,
                                                series::TimeRange range) const override;

 private:
  using SharedBatch = std::shared_ptr<Batch>;  // owned by the queue and by whoever reads from it

  /// Where a partition is, as far as taken. Only the consumer's thread.
  struct Partition {
    std::optional<Offset> next;
    bool is_new_log = false;  // to be told to the store with the next span
  };

  double lag_seconds() const;
  double held_samples() const;
  Result<> take(std::span<const kafka::RecordView> records);
  SpanIndex span_of(const kafka::RecordView& record);
  bool begins_anew(const kafka::RecordView& record);
  bool hand_over_if_due();
  void hand_over(std::size_t reason);
  SharedBatch fresh_batch();
  void collect_committed(kafka::ConsumerControl& control);
  void write_batches(const std::stop_token& stop);
  bool write(const Batch& batch, const std::stop_token& stop);
  void note_failure(const Error& error);

  const Options options_;
  const Clock& clock_;
  const Logger& log_;
  WriterMetrics metrics_;
  HotStore& store_;

  // The consumer's thread alone.
  Intake intake_;
  std::map<TopicPartition, Partition> partitions_;
  std::set<TopicPartition> paused_;
  std::vector<IntakeRecord> records_;
  std::uint64_t next_serial_ = 1;

  // The writing thread alone.
  Backoff backoff_;
  bool is_failing_ = false;

  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  SharedBatch filling_;              // filled under the mutex
  std::deque<SharedBatch> waiting_;  // the first is being written; filled no more
  std::vector<PartitionSpan> committed_;
  std::jthread thread_;  // last: it uses all of the above
};

}  // namespace sluice::tsdb
