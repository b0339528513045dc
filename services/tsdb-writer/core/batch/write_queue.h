#pragma once

#include "core/batch/batch.h"
#include "core/batch/flush_policy.h"
#include "core/batch/intake.h"
#include "core/batch/writer_metrics.h"
#include "ports.h"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <vector>

#include <sluice/base/clock.h>
#include <sluice/base/result.h>

namespace sluice::tsdb {

/// The batches between a consumer that fills them and a writer that flushes them: one being filled,
/// one waiting, one being written. Where each partition is, as far as taken; what was written since
/// somebody asked. No thread and no clock: whoever uses it says when.
///
/// Thread-safe in this way: one thread is the consumer, one (or the same) is the writer, and any
/// may look.
class WriteQueue final : public RecentSamples {
 public:
  using SharedBatch = std::shared_ptr<const Batch>;  // owned by the queue and whoever reads from it

  /// `dictionary` and `metrics` must outlive it.
  WriteQueue(const FlushPolicy& policy, const IntakeLimits& limits, DictionaryStore& dictionary,
             Registry& registry, WriterMetrics& metrics);

  // The consumer's.

  /// The partition comes to us, or again: the next record is the one at `next`, or any. What is
  /// being filled with an earlier stretch of it goes to the writer, since a span has no gaps.
  void begin(const TopicPartition& partition, std::optional<Offset> next);

  /// A log that was deleted and made again counts from 0; nothing else ever goes back.
  bool begins_anew(std::string_view topic, std::int32_t partition, Offset offset) const;
  /// What is of the old log and what is of the new one are different spans, hence different
  /// batches.
  void begin_anew(const TopicPartition& partition);

  /// Puts a record with those that take() will take; its bytes must live until then. In order
  /// within a partition.
  void stage(std::string_view topic, std::int32_t partition, Offset offset, std::string_view bytes,
             MonoTime now);
  /// Takes what is staged into the batch being filled. After an error none of it was taken; it is
  /// to be staged again.
  Result<> take(WallTime now);

  /// Gives the batch being filled to the writer if it is due and there is room.
  bool hand_over_if_due(MonoTime now);
  /// The same in any case: at the end, or of a partition.
  bool hand_over();
  /// Nothing more may be staged until a batch has been written.
  bool is_full() const { return policy_.is_full(*filling_).has_value(); }
  /// What was written since the last call.
  std::vector<PartitionSpan> take_written();

  // The writer's.

  /// The batch to write; null when there is none. It is filled no more.
  SharedBatch to_write() const;
  /// to_write() is in the tables.
  void note_written();

  // Anybody's.

  std::size_t waiting_batches() const;
  std::size_t held_samples() const;
  /// When the oldest message in memory had come in; the end of time when there is none.
  WallTime oldest_received_at() const;
  std::vector<std::vector<std::byte>> of_device(DeviceKey device,
                                                series::TimeRange range) const override;

 private:
  /// Where a partition is, as far as taken.
  struct Partition {
    std::optional<Offset> next;
    bool is_new_log = false;  // to be told to the store with the next span
  };

  SpanIndex span_of(std::string_view topic, std::int32_t partition, Offset offset, MonoTime now);
  bool hand_over(std::size_t reason);
  std::shared_ptr<Batch> fresh_batch() { return std::make_shared<Batch>(next_serial_++); }

  const FlushPolicy policy_;
  WriterMetrics& metrics_;

  // The consumer's alone.
  Intake intake_;
  std::map<TopicPartition, Partition> partitions_;
  std::vector<Partition*> by_span_;  // of the batch being filled; a map's entries stay in place
  std::vector<IntakeRecord> staged_;
  std::uint64_t next_serial_ = 1;

  mutable std::mutex mutex_;
  std::shared_ptr<Batch> filling_;  // written to by the consumer alone, and under the mutex
  std::deque<SharedBatch> waiting_;
  std::vector<PartitionSpan> written_;
};

}  // namespace sluice::tsdb
