#include <sluice/kafka/testing/fake_kafka.h>

#include "fake_kafka_broker.h"

#include <algorithm>
#include <format>

#include <sluice/base/check.h>

namespace sluice::testing {
namespace fake_kafka {

void Broker::note_change() {
  ++version;
  changed.notify_all();
}

void Broker::make_topic(const std::string& name, std::int32_t partitions,
                        std::map<std::string, std::string> config) {
  Topic& topic = topics[name];
  topic.partitions.resize(static_cast<std::size_t>(partitions));
  topic.config = std::move(config);
  for (auto& [group_name, group] : groups) rebalance(group);
  note_change();
}

Log* Broker::find_log(const TopicPartition& partition) {
  const auto topic = topics.find(partition.topic);
  const auto index = static_cast<std::size_t>(partition.partition.value());
  if (topic == topics.end() || index >= topic->second.partitions.size()) return nullptr;
  return &topic->second.partitions[index];
}

Partition Broker::choose_partition(Topic& topic, std::string_view key) {
  const auto count = static_cast<std::int32_t>(topic.partitions.size());
  return key.empty() ? Partition(topic.next_without_key++ % count)
                     : kafka::partition_for_key(key, count);
}

StoredRecord& Broker::store(Topic& topic, StoredRecord record) {
  Log& log = topic.partitions.at(static_cast<std::size_t>(record.partition.value()));
  record.offset = Offset(log.next++);
  return log.records.emplace_back(std::move(record));
}

void Broker::serve_producer(ProducerState& producer) {
  if (!is_reachable) return;
  for (Sent& sent : producer.in_flight) {
    if (sent.has_outcome) continue;
    sent.has_outcome = true;
    const auto topic = topics.find(sent.topic);
    if (topic == topics.end()) {
      sent.failure = ErrorCode::kNotFound;
      continue;
    }
    bool should_store = true;
    if (failing_appends.count > 0) {
      --failing_appends.count;
      sent.failure = failing_appends.code;
      should_store = failing_appends.and_store;
    }
    if (sent.record.partition.value() < 0) {
      sent.record.partition = choose_partition(topic->second, sent.record.key);
    }
    if (should_store) {
      sent.is_stored = true;
      sent.record.offset = store(topic->second, sent.record).offset;
    }
  }
}

void Broker::serve_producers() {
  for (ProducerState* producer : producers) serve_producer(*producer);
  note_change();
}

void Broker::join(const std::string& group, Member& member) {
  groups[group].members.emplace(next_member++, &member);
  rebalance(groups[group]);
  note_change();
}

void Broker::leave(const std::string& group, const Member& member) {
  std::erase_if(groups[group].members, [&](const auto& entry) { return entry.second == &member; });
  rebalance(groups[group]);
  note_change();
}

/// Shares all partitions evenly and leaves each where it is as far as that allows.
void Broker::rebalance(Group& group) {
  std::vector<TopicPartition> rest;
  for (const auto& [name, topic] : topics) {
    for (std::size_t i = 0; i < topic.partitions.size(); ++i) {
      rest.push_back({name, Partition(static_cast<std::int32_t>(i))});
    }
  }
  const auto reads = [](const Member& member, const TopicPartition& partition) {
    return std::ranges::contains(member.topics, partition.topic);
  };
  std::erase_if(rest, [&](const TopicPartition& partition) {
    return std::ranges::none_of(group.members,
                                [&](const auto& m) { return reads(*m.second, partition); });
  });
  if (group.members.empty()) return;

  const std::size_t share = rest.size() / group.members.size();
  std::size_t with_one_more = rest.size() % group.members.size();
  std::map<Member*, std::size_t> quota;
  for (auto& [id, member] : group.members) {
    quota[member] = share + (with_one_more > 0 ? 1 : 0);
    if (with_one_more > 0) --with_one_more;
    std::set<TopicPartition> kept;
    for (const TopicPartition& partition : member->target) {
      if (kept.size() < quota[member] && std::erase(rest, partition) > 0) kept.insert(partition);
    }
    member->target = std::move(kept);
  }
  for (const TopicPartition& partition : rest) {
    Member* taker = nullptr;
    for (auto& [id, member] : group.members) {
      if (!reads(*member, partition)) continue;
      if (taker == nullptr || member->target.size() < taker->target.size()) taker = member;
    }
    if (taker != nullptr) taker->target.insert(partition);
  }
}

bool Broker::is_owned_by_another(const Group& group, const Member& member,
                                 const TopicPartition& partition) const {
  return std::ranges::any_of(group.members, [&](const auto& entry) {
    return entry.second != &member && entry.second->owned.contains(partition);
  });
}

Result<> Broker::commit(const std::string& group, const Member& member,
                        std::span<const kafka::CommitPoint> points) {
  if (failing_commits.count > 0) {
    --failing_commits.count;
    return fail(failing_commits.code, "commit offsets: failed as the test wants");
  }
  if (member.is_expelled) return fail(ErrorCode::kAborted, "commit offsets: not a member any more");
  for (const kafka::CommitPoint& point : points) {
    groups[group].committed.insert_or_assign(point.partition, point.next);
  }
  note_change();
  return {};
}

}  // namespace fake_kafka

using fake_kafka::Broker;
using fake_kafka::Log;

FakeKafka::FakeKafka(const Clock& clock) : broker_(std::make_shared<Broker>(clock)) {}
FakeKafka::~FakeKafka() = default;

std::unique_ptr<kafka::Producer> FakeKafka::producer(kafka::ProducerConfig limits) {
  return fake_kafka::make_producer(broker_, std::move(limits));
}

std::unique_ptr<kafka::Consumer> FakeKafka::group_consumer(std::string_view group,
                                                           std::vector<std::string> topics) {
  return fake_kafka::make_consumer(broker_, std::string(group), std::move(topics));
}

std::unique_ptr<kafka::Consumer> FakeKafka::table_consumer(std::string_view topic) {
  return fake_kafka::make_consumer(broker_, "", {std::string(topic)});
}

std::unique_ptr<kafka::PartitionReader> FakeKafka::partition_reader() {
  return fake_kafka::make_partition_reader(broker_);
}

std::unique_ptr<kafka::TopicAdmin> FakeKafka::admin(const Logger& logger) {
  return fake_kafka::make_admin(broker_, logger);
}

void FakeKafka::create_topic(std::string_view topic, std::int32_t partitions,
                             kafka::Cleanup cleanup) {
  const std::lock_guard lock(broker_->mutex);
  broker_->make_topic(
      std::string(topic), partitions,
      kafka::config_of({.name = topic, .cleanup = cleanup, .partitions = partitions}));
}

kafka::Offset FakeKafka::append(std::string_view topic, std::string_view key,
                                std::optional<std::string_view> value,
                                std::optional<kafka::Partition> partition) {
  const std::lock_guard lock(broker_->mutex);
  const auto found = broker_->topics.find(topic);
  SLUICE_CHECK(found != broker_->topics.end());
  StoredRecord record;
  record.partition = partition.value_or(broker_->choose_partition(found->second, key));
  record.key = key;
  if (value) record.value.emplace(*value);
  record.timestamp = broker_->clock.wall();
  const kafka::Offset offset = broker_->store(found->second, std::move(record)).offset;
  broker_->note_change();
  return offset;
}

std::vector<FakeKafka::StoredRecord> FakeKafka::records(std::string_view topic) const {
  const std::lock_guard lock(broker_->mutex);
  std::vector<StoredRecord> all;
  const auto found = broker_->topics.find(topic);
  if (found == broker_->topics.end()) return all;
  for (const Log& log : found->second.partitions) {
    all.insert(all.end(), log.records.begin(), log.records.end());
  }
  return all;
}

std::optional<kafka::Offset> FakeKafka::committed(std::string_view group,
                                                  const kafka::TopicPartition& partition) const {
  const std::lock_guard lock(broker_->mutex);
  const auto found = broker_->groups.find(group);
  if (found == broker_->groups.end()) return std::nullopt;
  const auto offset = found->second.committed.find(partition);
  if (offset == found->second.committed.end()) return std::nullopt;
  return offset->second;
}

void FakeKafka::compact(std::string_view topic, bool and_tombstones) {
  const std::lock_guard lock(broker_->mutex);
  const auto found = broker_->topics.find(topic);
  SLUICE_CHECK(found != broker_->topics.end());
  for (Log& log : found->second.partitions) {
    std::map<std::string, kafka::Offset> newest;
    for (const StoredRecord& record : log.records) newest[record.key] = record.offset;
    std::erase_if(log.records, [&](const StoredRecord& record) {
      return newest[record.key] != record.offset || (and_tombstones && !record.value);
    });
  }
  broker_->note_change();
}

void FakeKafka::delete_before(const kafka::TopicPartition& partition, kafka::Offset offset) {
  const std::lock_guard lock(broker_->mutex);
  Log* log = broker_->find_log(partition);
  SLUICE_CHECK(log != nullptr && offset.value() <= log->next);
  std::erase_if(log->records, [&](const StoredRecord& record) { return record.offset < offset; });
  log->start = std::max(log->start, offset.value());
  broker_->note_change();
}

void FakeKafka::set_reachable(bool is_reachable) {
  const std::lock_guard lock(broker_->mutex);
  broker_->is_reachable = is_reachable;
  broker_->serve_producers();
}

void FakeKafka::hold_acks(bool should_hold) {
  const std::lock_guard lock(broker_->mutex);
  broker_->holds_acks = should_hold;
  broker_->note_change();
}

void FakeKafka::fail_next_appends(std::size_t count, ErrorCode code, bool and_store) {
  const std::lock_guard lock(broker_->mutex);
  broker_->failing_appends = {count, code, and_store};
}

void FakeKafka::fail_next_commits(std::size_t count, ErrorCode code) {
  const std::lock_guard lock(broker_->mutex);
  broker_->failing_commits = {count, code};
}

void FakeKafka::expel_members(std::string_view group) {
  const std::lock_guard lock(broker_->mutex);
  const auto found = broker_->groups.find(group);
  if (found == broker_->groups.end()) return;
  for (auto& [id, member] : found->second.members) {
    member->is_expelled = true;
    member->target.clear();
  }
  found->second.members.clear();
  broker_->note_change();
}

}  // namespace sluice::testing
