#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <sluice/base/clock.h>
#include <sluice/base/random.h>
#include <sluice/kafka/consumer_loop.h>
#include <sluice/kafka/partition_reader.h>
#include <sluice/kafka/producer.h>
#include <sluice/kafka/table_reader.h>
#include <sluice/kafka/topic_admin.h>
#include <sluice/metrics/metrics.h>
#include <sluice/testing/captured_log.h>

#include <gtest/gtest.h>

/// The contract suite: what services may rely on, whoever is underneath. The same tests run on
/// FakeKafka (in kafka_test) and on a real broker (in kafka_stack_test).
namespace sluice::kafka::contract {

/// A Kafka to run the suite on.
class World {
 public:
  virtual ~World() = default;

  virtual std::unique_ptr<Producer> producer(const ProducerConfig& limits) = 0;
  virtual std::unique_ptr<Consumer> group_consumer(const std::string& group,
                                                   std::vector<std::string> topics) = 0;
  virtual std::unique_ptr<Consumer> table_consumer(const std::string& topic) = 0;
  virtual std::unique_ptr<PartitionReader> partition_reader() = 0;
  virtual TopicAdmin& admin() = 0;

  std::unique_ptr<Producer> producer() { return producer(ProducerConfig{}); }
  /// A topic of a name that nobody else uses.
  std::string make_topic(std::int32_t partitions, Cleanup cleanup = Cleanup::kDelete);
  /// Appends and waits until all are acknowledged.
  void append(const std::vector<Record>& records);

  SystemClock clock;
  SystemRandom random;
  Registry registry;
  std::shared_ptr<testing::CapturedLog> log = std::make_shared<testing::CapturedLog>();
  Logger logger = log->logger("kafka-contract", clock);
};

using MakeWorld = std::unique_ptr<World> (*)();

class Contract : public ::testing::TestWithParam<MakeWorld> {
 protected:
  /// The log of a test that failed says what the clients went through.
  void TearDown() override;

  std::unique_ptr<World> world_ = GetParam()();
};

// Aliases, so that a failing test is named after the part it is about.
class ProducerContract : public Contract {};
class ConsumerLoopContract : public Contract {};
class TableReaderContract : public Contract {};
class PartitionReaderContract : public Contract {};
class TopicAdminContract : public Contract {};
class SenderContract : public Contract {};
class LedgerContract : public Contract {};

/// Limits that make tests quick: short waits between attempts and commits.
ConsumerConfig quick_limits();

/// A record as a test remembers it.
struct Seen {
  std::string topic;
  std::int32_t partition;
  std::int64_t offset;
  std::string key;
  std::optional<std::string> value;
  std::optional<std::string> trace;

  bool operator==(const Seen&) const = default;
};

/// Remembers what it is given, and lets a test say what to answer.
class RecordingHandler final : public RecordHandler {
 public:
  Result<> on_batch(std::span<const RecordView> records, ConsumerControl& control) override;
  Result<> on_tick(ConsumerControl& control) override;
  Result<std::vector<StartPosition>> on_assigned(
      std::span<const TopicPartition> partitions) override;
  void on_revoking(std::span<const TopicPartition> partitions, ConsumerControl& control) override;
  void on_lost(std::span<const TopicPartition> partitions) override;
  Result<> on_poison(const RecordView& record, const Error& error, int attempts) override;

  /// Values of what it has taken, in order.
  std::vector<std::string> values() const;
  bool has(std::size_t count) const { return seen.size() >= count; }

  std::vector<Seen> seen;
  std::vector<Seen> poison;
  int batches = 0;
  int last_attempts = 0;
  std::vector<TopicPartition> revoked;
  std::vector<TopicPartition> lost;
  /// What on_batch does before it takes the records; an error makes it refuse them.
  std::function<Result<>(std::span<const RecordView>, ConsumerControl&)> before;
  std::function<void(ConsumerControl&)> tick;
  std::function<Result<std::vector<StartPosition>>(std::span<const TopicPartition>)> start;
  std::function<void(std::span<const TopicPartition>, ConsumerControl&)> revoking;
  std::function<Result<>(const RecordView&)> poisoned;
};

/// A loop and its handler.
struct Reader {
  Reader(World& world, const std::string& group, std::vector<std::string> topics,
         Durability durability = Durability::kOnReturn, ConsumerConfig limits = quick_limits());

  /// Takes turns until it holds; false when it has not for too long.
  bool run_until(const std::function<bool()>& holds);
  /// Some turns, in which what should not happen would.
  void run_some_turns();

  RecordingHandler handler;
  ConsumerLoop loop;
};

/// Keeps a compacted topic as a map.
struct Table final : TableHandler {
  void on_change(const RecordView& record) override;
  void on_caught_up() override { ++caught_up; }

  std::map<std::string, std::string, std::less<>> rows;
  int changes = 0;
  int caught_up = 0;
};

/// What a producer was told, by token.
std::vector<Completion> complete_all(Producer& producer, std::size_t count);

/// Everything a topic holds, read without a group.
std::vector<Seen> read_all(World& world, const std::string& topic, std::size_t at_least);

}  // namespace sluice::kafka::contract
