#pragma once

#include "core/batch/write_queue.h"
#include "core/batch/writer_metrics.h"

#include <set>
#include <span>
#include <vector>

#include <sluice/base/clock.h>
#include <sluice/kafka/consumer_loop.h>

namespace sluice::tsdb {

/// Between Kafka and the queue of batches: feeds it, pauses partitions while it is full, marks what
/// was written. When partitions go, what is in memory is written first, if the writer can; what is
/// not is read again by the next owner, and the store leaves out whichever of the two comes second.
/// One owner thread, the consumer's.
class WriteHandler final : public kafka::RecordHandler {
 public:
  /// Who writes the batches.
  class Writer {
   public:
    /// There is something to write.
    virtual void wake() = 0;
    /// Returns when nothing waits to be written any more, or it has taken too long.
    virtual void await() = 0;

   protected:
    ~Writer() = default;
  };

  /// All must outlive it.
  WriteHandler(const Clock& clock, WriteQueue& queue, HotStore& store, WriterMetrics& metrics,
               Writer& writer)
      : clock_(clock), queue_(queue), store_(store), metrics_(metrics), writer_(writer) {}

  Result<> on_batch(std::span<const kafka::RecordView> records,
                    kafka::ConsumerControl& control) override;
  Result<> on_tick(kafka::ConsumerControl& control) override;
  Result<std::vector<kafka::StartPosition>> on_assigned(
      std::span<const kafka::TopicPartition> partitions) override;
  void on_revoking(std::span<const kafka::TopicPartition> partitions,
                   kafka::ConsumerControl& control) override;
  void on_lost(std::span<const kafka::TopicPartition> partitions) override;

 private:
  Result<> take(std::span<const kafka::RecordView> records);
  bool hand_over_if_due();
  void mark_written(kafka::ConsumerControl& control);

  const Clock& clock_;
  WriteQueue& queue_;
  HotStore& store_;
  WriterMetrics& metrics_;
  Writer& writer_;
  std::set<TopicPartition> paused_;
};

}  // namespace sluice::tsdb
