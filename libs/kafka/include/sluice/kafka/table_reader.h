#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include <sluice/base/clock.h>
#include <sluice/base/result.h>
#include <sluice/kafka/config.h>
#include <sluice/kafka/consumer.h>
#include <sluice/kafka/record.h>
#include <sluice/log/logger.h>
#include <sluice/metrics/metrics.h>

namespace sluice::kafka {

/// Keeps what a compacted topic says, in whatever shape its service needs. Called from the reader's
/// thread.
class TableHandler {
 public:
  virtual ~TableHandler() = default;
  /// The newest word about `record.key`; without a value the key is gone. In order per key; after a
  /// restart everything comes again from the beginning. A value that cannot be read is the
  /// handler's to count and ignore: a table has no dead letters.
  virtual void on_change(const RecordView& record) = 0;
  /// Once, when everything that the topic held at the start has been seen.
  virtual void on_caught_up() {}
};

/// Reads a compacted topic from its beginning and then follows it: control.devices,
/// control.schemas, control.rules, control.limits. No group, no commits: every process has the
/// whole table. Thread rule as ConsumerLoop: step() by one owner, or start(); the questions from
/// anywhere. The number of partitions is read when it begins and is never changed for a compacted
/// topic: keys would move between partitions and lose their order.
class TableReader final : private RebalanceListener {
 public:
  struct Options {
    std::string topic;
    /// How often the ends are asked for: the resolution of caught_up() and staleness().
    std::chrono::milliseconds refresh_interval{1'000};
    ConsumerConfig limits{};
  };

  TableReader(Options options, const Clock& clock, const Logger& logger, Registry& registry,
              std::unique_ptr<Consumer> consumer, TableHandler& handler);
  ~TableReader();
  TableReader(const TableReader&) = delete;
  TableReader& operator=(const TableReader&) = delete;

  /// One turn; waits for records at most `wait`.
  Result<> step(std::chrono::milliseconds wait);
  void start();
  void stop();

  /// Whether everything the topic held when we began has been handed over: for readiness.
  bool caught_up() const { return caught_up_.load(std::memory_order_relaxed); }

  /// How old the table may be: the time since the reader last knew that it had everything. Grows
  /// while Kafka cannot be reached, also without any change; nullopt before it was caught up. Where
  /// a table decides about security (revocations), refuse past a limit on this.
  std::optional<std::chrono::milliseconds> staleness() const;

 private:
  struct Metrics;

  std::vector<StartPosition> on_assigned(std::span<const TopicPartition> partitions) override;
  void on_revoked(std::span<const TopicPartition> partitions) override;
  void on_lost(std::span<const TopicPartition> partitions) override;
  void check_freshness();
  void report_staleness();

  Options options_;
  const Clock& clock_;
  const Logger& logger_;
  std::unique_ptr<Metrics> metrics_;
  std::unique_ptr<Consumer> consumer_;
  TableHandler& handler_;
  std::vector<TopicPartition> partitions_;
  std::vector<RecordView> batch_;
  MonoTime next_refresh_at_{};
  std::atomic<bool> caught_up_{false};
  std::atomic<std::int64_t> fresh_at_ns_{
      0};  // MonoTime at which the table was known to be complete
  bool stopped_ = false;
  std::jthread thread_;
};

}  // namespace sluice::kafka
