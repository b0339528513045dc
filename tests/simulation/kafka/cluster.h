#pragma once

#include "world/world.h"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sluice/kafka/config.h>
#include <sluice/kafka/consumer.h>
#include <sluice/kafka/partition_reader.h>
#include <sluice/kafka/producer.h>
#include <sluice/kafka/testing/fake_kafka.h>

namespace sluice::simulation {

/// A record as the cluster has it from now on. Views live as long as the call.
struct Appended {
  std::string_view topic;
  kafka::Partition partition;
  kafka::Offset offset;
  std::string_view key;
  std::string_view value;
};

/// Told at the very moment, so that a promise that is broken for a millisecond is found broken.
class ClusterObserver {
 public:
  virtual ~ClusterObserver() = default;
  virtual void on_appended(const Appended& record) = 0;
  /// A producer was told that this record is not stored, which may be wrong.
  virtual void on_reported_lost(std::string_view topic, std::string_view key,
                                std::string_view value) = 0;
  virtual void on_committed(std::string_view group, const kafka::TopicPartition& partition,
                            kafka::Offset next) = 0;
  /// How much a producer has in flight, after each append.
  virtual void on_in_flight(std::string_view producer, std::size_t records, std::size_t most) = 0;
};

/// Kafka between its machines and ours: FakeKafka has the records, the groups and the offsets, this
/// the way there and back. A record is appended some time after it was sent and acknowledged some
/// time after that; answers get lost, and what was sent is then sent again and not stored twice
/// (producers are idempotent); a cluster that is out of reach for longer than a delivery time-out
/// makes a producer believe that it failed, whether the record is stored or not.
class Cluster {
 public:
  explicit Cluster(World& world) : world_(world), kafka_(world.clock) {}

  void create_topic(std::string_view topic, std::int32_t partitions, kafka::Cleanup cleanup);
  void observe(ClusterObserver& observer) { observer_ = &observer; }

  /// `wake` is called when poll() has something after it had nothing.
  std::unique_ptr<kafka::Producer> producer(std::string name, const kafka::ProducerConfig& config,
                                            std::function<void()> wake = {});
  std::unique_ptr<kafka::Consumer> consumer(std::string_view group,
                                            std::vector<std::string> topics);
  std::unique_ptr<kafka::PartitionReader> partition_reader() { return kafka_.partition_reader(); }

  /// Out of reach, for this long.
  void go_down(Duration time);
  bool is_up() const { return downs_ == 0; }
  /// The group goes on without its members, which find out at their next poll.
  void expel_members(std::string_view group) { kafka_.expel_members(group); }
  void fail_next_commit() { kafka_.fail_next_commits(1, ErrorCode::kUnavailable); }

  std::int32_t partitions_of(std::string_view topic) const;
  std::optional<kafka::Offset> committed(std::string_view group,
                                         const kafka::TopicPartition& partition) const {
    return kafka_.committed(group, partition);
  }
  std::vector<testing::FakeKafka::StoredRecord> records(std::string_view topic) const {
    return kafka_.records(topic);
  }
  std::int64_t end_of(const kafka::TopicPartition& partition) const;

  // For its clients.
  World& world() { return world_; }
  ClusterObserver* observer() { return observer_; }
  kafka::Offset append(std::string_view topic, kafka::Partition partition, std::string_view key,
                       std::optional<std::string_view> value);
  /// Tells of what was committed since it was last asked.
  void tell_commits(std::string_view group, const std::vector<std::string>& topics);

 private:
  World& world_;
  testing::FakeKafka kafka_;
  ClusterObserver* observer_ = nullptr;
  std::map<std::string, std::int32_t, std::less<>> partitions_;
  std::map<kafka::TopicPartition, std::int64_t> ends_;
  std::map<std::pair<std::string, kafka::TopicPartition>, kafka::Offset> committed_;
  int downs_ = 0;
};

}  // namespace sluice::simulation
