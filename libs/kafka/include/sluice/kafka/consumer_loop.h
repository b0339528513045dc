#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <sluice/base/backoff.h>
#include <sluice/base/clock.h>
#include <sluice/base/random.h>
#include <sluice/base/result.h>
#include <sluice/kafka/config.h>
#include <sluice/kafka/consumer.h>
#include <sluice/kafka/record.h>
#include <sluice/log/logger.h>
#include <sluice/metrics/metrics.h>

namespace sluice::kafka {

/// What a handler can tell its loop. Valid only during a call of the handler.
class ConsumerControl {
 public:
  /// The effects of everything below `next` are durable. Only with Durability::kOnMark. Marks below
  /// an earlier one and for partitions that are no longer ours are ignored.
  virtual void mark_durable(std::string_view topic, Partition partition, Offset next) = 0;
  /// Back-pressure per partition: what is already in the batch still comes, nothing after it does.
  virtual void pause(std::string_view topic, Partition partition) = 0;
  virtual void resume(std::string_view topic, Partition partition) = 0;

 protected:
  ~ConsumerControl() = default;
};

/// What a service does with records. All calls come from the loop's thread.
class RecordHandler {
 public:
  virtual ~RecordHandler() = default;

  /// Takes records of any of the assigned partitions, in offset order within each; the views die
  /// when it returns. After an error the same records come again (with more or fewer neighbours),
  /// so their effects must be idempotent:
  ///   retryable (is_retryable)  comes again after a back-off, for ever: a store is down
  ///   any other                 comes again too, at most poison_attempts times, then record by
  ///   record,
  ///                             until the one at fault goes to on_poison
  /// A record that is merely bad (cannot be parsed, breaks its schema) is no error: the handler
  /// puts it where bad records go and succeeds. The loop skips nothing.
  virtual Result<> on_batch(std::span<const RecordView> records, ConsumerControl& control) = 0;

  /// Called once a turn, also when no records come (at least each fetch_wait): flush what is old
  /// enough.
  virtual Result<> on_tick(ConsumerControl& /*control*/) { return {}; }

  /// Where to begin, for handlers that keep offsets with their data; partitions not mentioned begin
  /// at the committed offset. After an error the partitions wait, and it is asked again after a
  /// back-off.
  virtual Result<std::vector<StartPosition>> on_assigned(
      std::span<const TopicPartition> /*partitions*/) {
    return std::vector<StartPosition>{};
  }

  /// These partitions go to somebody else when this returns. Flush and mark; then the loop commits
  /// what is durable and not a record more. What is not durable is read again by the next owner.
  /// Must not take longer than the group waits (max_poll_interval). Also called for all partitions
  /// at the end.
  virtual void on_revoking(std::span<const TopicPartition> /*partitions*/,
                           ConsumerControl& /*control*/) {}

  /// These partitions are somebody else's already, or their log was reset beneath us (the topic was
  /// made anew): drop what is not durable of them. After a reset their new records follow without
  /// on_assigned.
  virtual void on_lost(std::span<const TopicPartition> /*partitions*/) {}

  /// This one record failed `attempts` times, not retryably. Success means that it is dealt with
  /// durably (a dead letter was acknowledged); an error makes the loop try it again after a
  /// back-off. The default never gives up, because giving up must be somebody's decision.
  virtual Result<> on_poison(const RecordView& /*record*/, const Error& error, int /*attempts*/) {
    return fail(error);
  }
};

enum class Durability : std::uint8_t {
  kOnReturn,  // a successful on_batch made its records durable
  kOnMark,    // the handler says so later, by mark_durable
};

/// Reads topics as a member of a consumer group and commits exactly what its handler made durable.
///
/// Guarantees: an offset is committed only after the handler reported everything below it durable
/// (I2); every record reaches on_batch until on_batch succeeds, none is skipped; the order of a
/// partition is kept. After a crash or a rebalance, what was not committed comes again.
///
/// Thread rule: one owner thread calls step(), or start() makes one. assigned() and lag() may be
/// read from anywhere. Rebalances are cooperative: only partitions that move stop flowing, so a
/// scaling or a rolling update of many members is no pause for all of them.
class ConsumerLoop final : private RebalanceListener, private ConsumerControl {
 public:
  struct Options {
    Durability durability = Durability::kOnReturn;
    ConsumerConfig limits{};
  };

  /// `handler`, `clock`, `random`, `logger` and `registry` must outlive the loop.
  ConsumerLoop(Options options, const Clock& clock, Random& random, const Logger& logger,
               Registry& registry, std::unique_ptr<Consumer> consumer, RecordHandler& handler);
  ~ConsumerLoop();
  ConsumerLoop(const ConsumerLoop&) = delete;
  ConsumerLoop& operator=(const ConsumerLoop&) = delete;

  /// One turn: read, hand over, commit what is durable. Waits for records at most `wait`. An error
  /// is Kafka's and is retried by the next turn.
  Result<> step(std::chrono::milliseconds wait);

  /// Turns on a thread of its own until stop().
  void start();
  /// Orderly end: hands over no more records, lets the handler flush (on_revoking), commits what is
  /// durable, leaves the group. Safe to call twice, and without start().
  void stop();

  /// Whether the group has given us our share (which may be none): for readiness.
  bool assigned() const { return assigned_.load(std::memory_order_relaxed); }

  /// Records between what is durable and the end, over all our partitions, as last computed.
  std::int64_t lag() const { return lag_.load(std::memory_order_relaxed); }

 private:
  struct PartitionState;
  struct Metrics;
  struct TopicLag;

  std::vector<StartPosition> on_assigned(std::span<const TopicPartition> partitions) override;
  void on_revoked(std::span<const TopicPartition> partitions) override;
  void on_lost(std::span<const TopicPartition> partitions) override;
  void mark_durable(std::string_view topic, Partition partition, Offset next) override;
  void pause(std::string_view topic, Partition partition) override;
  void resume(std::string_view topic, Partition partition) override;

  std::vector<StartPosition> where_to_begin(std::span<const TopicPartition> partitions);
  void begin_held_partitions();
  void note_polled();
  void deliver();
  void tick();
  void note_failure(const Error& error, std::span<const RecordView> records);
  void note_delivered(std::span<const RecordView> records);
  void finish_batch_if_done();
  void commit_if_due();
  void collect_commit_result();
  std::vector<CommitPoint> uncommitted(std::span<const TopicPartition> only = {});
  static void pass_dealt_with(PartitionState& state);
  void forget(std::span<const TopicPartition> partitions);
  void update_lag_if_due();
  PartitionState* find(std::string_view topic, Partition partition);
  void back_off();

  Options options_;
  const Clock& clock_;
  const Logger& logger_;
  Registry& registry_;
  std::unique_ptr<Metrics> metrics_;
  std::unique_ptr<Consumer> consumer_;
  RecordHandler& handler_;

  std::vector<std::unique_ptr<PartitionState>> partitions_;
  PartitionState* last_found_ = nullptr;  // records come in runs of one partition
  std::map<std::string, std::unique_ptr<TopicLag>, std::less<>> topic_lag_;

  std::vector<RecordView> batch_;  // being handed over; [next_, end) is not yet delivered
  std::size_t next_ = 0;
  bool one_by_one_ = false;  // looking for the record at fault
  int attempts_ = 0;         // non-retryable failures of what is handed over now
  Backoff backoff_;
  MonoTime retry_at_{};
  Backoff start_backoff_;
  MonoTime start_retry_at_{};
  Backoff tick_backoff_;
  MonoTime tick_retry_at_{};
  Backoff error_backoff_;  // between turns of our own thread that Kafka's client failed

  bool is_committing_ = false;
  std::vector<CommitPoint> committing_;  // sent, not answered
  MonoTime next_commit_at_{};
  MonoTime next_lag_at_{};

  std::atomic<bool> assigned_{false};
  std::atomic<std::int64_t> lag_{0};
  bool stopped_ = false;
  std::jthread thread_;
};

}  // namespace sluice::kafka
