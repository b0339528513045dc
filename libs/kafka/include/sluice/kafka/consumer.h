#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/base/clock.h>
#include <sluice/base/result.h>
#include <sluice/kafka/config.h>
#include <sluice/kafka/record.h>
#include <sluice/log/logger.h>

namespace sluice::kafka {

/// Where to begin to read a partition. Without an offset: at the group's committed one, and where
/// there is none, at the beginning of the partition (we never skip what nobody has seen).
struct StartPosition {
  TopicPartition partition;
  std::optional<Offset> offset{};
};

/// "Everything below `next` is dealt with": what is committed.
struct CommitPoint {
  TopicPartition partition;
  Offset next;
};

/// The end of a partition and when it was asked for: true of that moment, not of now.
struct EndOffset {
  Offset offset;
  MonoTime asked_at;
};

/// Told when partitions come and go. Called from inside Consumer::poll and close, on their thread.
class RebalanceListener {
 public:
  /// These come in addition to what we have. Returns those to begin with now; the others stay
  /// assigned but unread until Consumer::begin names them.
  virtual std::vector<StartPosition> on_assigned(std::span<const TopicPartition> partitions) = 0;
  /// These go, after this call returns: now is the time to flush and commit them.
  virtual void on_revoked(std::span<const TopicPartition> partitions) = 0;
  /// These are gone already (the group went on without us): nothing of them can be committed.
  virtual void on_lost(std::span<const TopicPartition> partitions) = 0;

 protected:
  ~RebalanceListener() = default;
};

/// A reader of topics: the thin seam between ConsumerLoop and TableReader, which hold all the
/// rules, and what is under them, librdkafka or FakeKafka. Services use the two, not this.
///
/// One owner thread. All calls are quick but poll, commit_and_wait and close, which have a limit.
class Consumer {
 public:
  virtual ~Consumer() = default;

  /// Waits up to `timeout` for records and appends at most `max_records` to `out`, in order within
  /// each partition. With 0 no record is taken, but membership and rebalances are served: for
  /// waiting while a batch cannot be processed. The listener may remove records from `out` while
  /// this runs. The views stay valid until release().
  virtual Result<> poll(std::chrono::milliseconds timeout, std::size_t max_records,
                        RebalanceListener& listener, std::vector<RecordView>& out) = 0;
  virtual void release() = 0;

  /// Begins to read partitions that on_assigned held back.
  virtual Result<> begin(std::span<const StartPosition> positions) = 0;

  /// Stops and continues the flow of one partition; nothing is lost or repeated by it.
  virtual void pause(const TopicPartition& partition) = 0;
  virtual void resume(const TopicPartition& partition) = 0;

  /// Starts a commit; its outcome comes from take_commit_result(), after some poll(). One at a
  /// time.
  virtual void commit(std::span<const CommitPoint> points) = 0;
  virtual std::optional<Result<>> take_commit_result() = 0;
  virtual Result<> commit_and_wait(std::span<const CommitPoint> points,
                                   std::chrono::milliseconds timeout) = 0;

  /// The offset of the next record to come, past gaps that compaction left, as far as known.
  virtual std::optional<Offset> position(const TopicPartition& partition) const = 0;
  /// Asks for the ends of all partitions being read; end_offset() has the answers after some
  /// poll().
  virtual void refresh_end_offsets() = 0;
  virtual std::optional<EndOffset> end_offset(const TopicPartition& partition) const = 0;

  /// Gives everything back through the listener (on_revoked, in which commits still work) and
  /// leaves.
  virtual Result<> close(RebalanceListener& listener, std::chrono::milliseconds timeout) = 0;
};

/// A member of a consumer group: partitions are shared between the members by cooperative
/// rebalances. The group's name in Kafka begins with the namespace, as a topic's does, so that the
/// same service of two platforms is not one group.
Result<std::unique_ptr<Consumer>> open_group_consumer(const Config& config,
                                                      const ConsumerConfig& consumer,
                                                      std::string_view group,
                                                      std::vector<std::string> topics,
                                                      const Clock& clock, const Logger& logger);

/// Reads all partitions of one topic from the beginning, belongs to no group and commits nothing.
Result<std::unique_ptr<Consumer>> open_table_consumer(const Config& config,
                                                      const ConsumerConfig& consumer,
                                                      std::string_view topic, const Clock& clock,
                                                      const Logger& logger);

}  // namespace sluice::kafka
