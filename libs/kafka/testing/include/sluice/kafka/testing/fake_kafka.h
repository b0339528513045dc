#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sluice/base/clock.h>
#include <sluice/kafka/consumer.h>
#include <sluice/kafka/partition_reader.h>
#include <sluice/kafka/producer.h>
#include <sluice/kafka/topic_admin.h>

namespace sluice::testing {

namespace fake_kafka {
class Broker;
}

/// Kafka in memory: topics, groups and clients behind the interfaces of libs/kafka, so that
/// ConsumerLoop, TableReader and Sender run on it unchanged. It passes the contract suite that the
/// real broker passes.
///
///   FakeKafka kafka(clock);
///   kafka.create_topic("telemetry.raw", 3);
///   ConsumerLoop loop({}, clock, random, logger, registry, kafka.group_consumer("writer",
///   {"telemetry.raw"}), handler); kafka.append("telemetry.raw", "device", "value");
///   loop.step(0ms);
///
/// Deterministic: with time-outs of 0 nothing waits, and the same calls give the same results:
/// records of the partitions by turns, partitions to members by the order in which these joined. A
/// client that is destroyed without close() is a crash, noticed by its group at once. With other
/// time-outs calls wait in real time, until something changes: for code with threads. Thread-safe;
/// clients may outlive it.
///
/// Not modelled: transactions, retention by time, replicas, the idempotence errors that rebuild a
/// producer.
class FakeKafka {
 public:
  struct StoredRecord {
    kafka::Partition partition;
    kafka::Offset offset;
    std::string key;
    std::optional<std::string> value;
    std::vector<std::pair<std::string, std::string>> headers;
    WallTime timestamp;
  };

  /// `clock` stamps records and times deliveries out; it must outlive the clients, too.
  explicit FakeKafka(const Clock& clock);
  ~FakeKafka();
  FakeKafka(const FakeKafka&) = delete;
  FakeKafka& operator=(const FakeKafka&) = delete;

  std::unique_ptr<kafka::Producer> producer(kafka::ProducerConfig limits = {});
  std::unique_ptr<kafka::Consumer> group_consumer(std::string_view group,
                                                  std::vector<std::string> topics);
  std::unique_ptr<kafka::Consumer> table_consumer(std::string_view topic);
  std::unique_ptr<kafka::PartitionReader> partition_reader();
  /// `logger` must outlive it.
  std::unique_ptr<kafka::TopicAdmin> admin(const Logger& logger);

  // The world as a test makes and sees it.

  void create_topic(std::string_view topic, std::int32_t partitions,
                    kafka::Cleanup cleanup = kafka::Cleanup::kDelete);
  /// Stores a record as some other program would; nullopt as the value is a tombstone.
  kafka::Offset append(std::string_view topic, std::string_view key,
                       std::optional<std::string_view> value,
                       std::optional<kafka::Partition> partition = std::nullopt);
  /// Everything a topic holds, partition after partition.
  std::vector<StoredRecord> records(std::string_view topic) const;
  std::optional<kafka::Offset> committed(std::string_view group,
                                         const kafka::TopicPartition& partition) const;
  /// Removes all but the newest record of each key, and with `and_tombstones` those, too.
  void compact(std::string_view topic, bool and_tombstones = false);
  /// Removes the oldest records, as retention does.
  void delete_before(const kafka::TopicPartition& partition, kafka::Offset offset);

  // Faults. Each lasts until it is undone.

  /// Nothing is stored, answered or handed out; what producers took waits for its delivery
  /// time-out.
  void set_reachable(bool is_reachable);
  /// Records are stored, but no producer is told: what a broker that stalls looks like.
  void hold_acks(bool should_hold);
  /// The next `count` records fail; with `and_store` Kafka has them nevertheless.
  void fail_next_appends(std::size_t count, ErrorCode code, bool and_store = false);
  void fail_next_commits(std::size_t count, ErrorCode code);
  /// The group goes on without its present members, which notice at their next poll() (on_lost).
  void expel_members(std::string_view group);

 private:
  // Owned together with every client, so that these may live longer.
  std::shared_ptr<fake_kafka::Broker> broker_;
};

}  // namespace sluice::testing
