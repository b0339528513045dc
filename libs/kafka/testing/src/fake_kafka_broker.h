#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include <sluice/kafka/testing/fake_kafka.h>

/// The state of a FakeKafka, shared by its clients. Whoever touches it holds `mutex` and calls
/// note_change() after changing it.
namespace sluice::testing::fake_kafka {

using kafka::Offset;
using kafka::Partition;
using kafka::TopicPartition;
using StoredRecord = FakeKafka::StoredRecord;

struct Log {
  std::vector<StoredRecord> records;  // by offset, with gaps where compaction was
  std::int64_t start = 0;
  std::int64_t next = 0;
};

struct Topic {
  std::vector<Log> partitions;
  std::map<std::string, std::string> config;
  std::int32_t next_without_key = 0;
};

/// One consumer of a group. `target` is what the group wants it to have, `owned` what it has:
/// partitions move in two steps, given up by one before they are given to the other (a cooperative
/// rebalance).
struct Member {
  std::vector<std::string> topics;
  std::set<TopicPartition> owned;
  std::set<TopicPartition> target;
  bool is_expelled = false;
};

struct Group {
  std::map<TopicPartition, Offset> committed;
  std::map<std::uint64_t, Member*> members;  // by order of joining; owned by their consumers
};

/// A record that a producer took. Its completion comes when it has an `outcome` and acks are not
/// held.
struct Sent {
  std::uint64_t token = 0;
  std::string topic;
  StoredRecord record;
  std::size_t bytes = 0;
  MonoTime taken_at{};
  bool is_stored = false;
  bool has_outcome = false;
  std::optional<ErrorCode> failure{};
};

/// What a producer has in flight, in order.
struct ProducerState {
  std::vector<Sent> in_flight;
};

class Broker {
 public:
  explicit Broker(const Clock& c) : clock(c) {}

  void note_change();
  void make_topic(const std::string& name, std::int32_t partitions,
                  std::map<std::string, std::string> config);
  Log* find_log(const TopicPartition& partition);
  /// Chooses the partition and appends.
  StoredRecord& store(Topic& topic, StoredRecord record);
  Partition choose_partition(Topic& topic, std::string_view key);
  /// Stores what producers hold, as far as the faults allow.
  void serve_producer(ProducerState& producer);
  void serve_producers();

  void join(const std::string& group, Member& member);
  void leave(const std::string& group, const Member& member);
  void rebalance(Group& group);
  bool is_owned_by_another(const Group& group, const Member& member,
                           const TopicPartition& partition) const;
  Result<> commit(const std::string& group, const Member& member,
                  std::span<const kafka::CommitPoint> points);

  const Clock& clock;
  mutable std::mutex mutex;
  std::condition_variable changed;
  std::uint64_t version = 0;  // counts changes, for those who wait

  std::map<std::string, Topic, std::less<>> topics;
  std::map<std::string, Group, std::less<>> groups;
  std::set<ProducerState*> producers;
  std::uint64_t next_member = 0;

  bool is_reachable = true;
  bool holds_acks = false;
  struct {
    std::size_t count = 0;
    ErrorCode code{};
    bool and_store = false;
  } failing_appends;
  struct {
    std::size_t count = 0;
    ErrorCode code{};
  } failing_commits;
};

std::unique_ptr<kafka::Producer> make_producer(std::shared_ptr<Broker> broker,
                                               kafka::ProducerConfig limits);
std::unique_ptr<kafka::Consumer> make_consumer(std::shared_ptr<Broker> broker, std::string group,
                                               std::vector<std::string> topics);
std::unique_ptr<kafka::PartitionReader> make_partition_reader(std::shared_ptr<Broker> broker);
std::unique_ptr<kafka::TopicAdmin> make_admin(std::shared_ptr<Broker> broker, const Logger& logger);

}  // namespace sluice::testing::fake_kafka
