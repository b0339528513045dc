#include "contract.h"

#include <algorithm>
#include <format>
#include <iostream>

#include <sluice/testing/environment.h>
#include <sluice/testing/eventually.h>

namespace sluice::kafka::contract {

using namespace std::chrono_literals;
using testing::eventually;

std::string World::make_topic(std::int32_t partitions, Cleanup cleanup) {
  const std::string name = testing::unique_name("contract");
  const TopicSpec spec{.name = name, .cleanup = cleanup, .partitions = partitions};
  const auto made = admin().ensure({&spec, 1}, 30s);
  EXPECT_TRUE(made) << made.error().message();
  return name;
}

void World::append(const std::vector<Record>& records) {
  const auto appender = producer(ProducerConfig{.linger = 1ms});
  for (const Record& record : records) {
    const auto taken = appender->try_append(record, 0);
    ASSERT_TRUE(taken) << taken.error().message();
  }
  for (const Completion& completion : complete_all(*appender, records.size())) {
    ASSERT_FALSE(completion.failure) << to_string(*completion.failure);
  }
}

void Contract::TearDown() {
  if (!HasFailure()) return;
  for (const std::string& line : world_->log->lines()) std::cerr << line << '\n';
}

ConsumerConfig quick_limits() {
  return {.fetch_wait = 20ms,
          .commit_interval = 10ms,
          .session_timeout = 6s,  // the shortest that brokers allow
          .retry_backoff = 1ms,
          .max_retry_backoff = 20ms,
          .lag_interval = 100ms};
}

namespace {

Seen seen_of(const RecordView& record) {
  Seen seen{.topic = std::string(record.topic),
            .partition = record.partition.value(),
            .offset = record.offset.value(),
            .key = std::string(record.key),
            .value = std::nullopt,
            .trace = std::nullopt};
  if (record.value) seen.value.emplace(*record.value);
  if (const auto trace = record.header(kTraceHeader)) seen.trace.emplace(*trace);
  return seen;
}

}  // namespace

Result<> RecordingHandler::on_batch(std::span<const RecordView> records, ConsumerControl& control) {
  ++batches;
  if (before) SLUICE_TRY(before(records, control));
  for (const RecordView& record : records) seen.push_back(seen_of(record));
  return {};
}

Result<> RecordingHandler::on_tick(ConsumerControl& control) {
  if (tick) tick(control);
  return {};
}

Result<std::vector<StartPosition>> RecordingHandler::on_assigned(
    std::span<const TopicPartition> partitions) {
  if (start) return start(partitions);
  return std::vector<StartPosition>{};
}

void RecordingHandler::on_revoking(std::span<const TopicPartition> partitions,
                                   ConsumerControl& control) {
  revoked.insert(revoked.end(), partitions.begin(), partitions.end());
  if (revoking) revoking(partitions, control);
}

void RecordingHandler::on_lost(std::span<const TopicPartition> partitions) {
  lost.insert(lost.end(), partitions.begin(), partitions.end());
}

Result<> RecordingHandler::on_poison(const RecordView& record, const Error& error, int attempts) {
  last_attempts = attempts;
  if (poisoned) SLUICE_TRY(poisoned(record));
  static_cast<void>(error);
  poison.push_back(seen_of(record));
  return {};
}

std::vector<std::string> RecordingHandler::values() const {
  std::vector<std::string> values;
  for (const Seen& record : seen) values.push_back(record.value.value_or("(none)"));
  return values;
}

Reader::Reader(World& world, const std::string& group, std::vector<std::string> topics,
               Durability durability, ConsumerConfig limits)
    : loop({.durability = durability, .limits = limits}, world.clock, world.random, world.logger,
           world.registry, world.group_consumer(group, std::move(topics)), handler) {}

bool Reader::run_until(const std::function<bool()>& holds) {
  return eventually([&] {
    if (holds()) return true;
    static_cast<void>(loop.step(20ms));
    return holds();
  });
}

void Reader::run_some_turns() {
  constexpr int kTurns = 30;
  for (int i = 0; i < kTurns; ++i) static_cast<void>(loop.step(20ms));
}

void Table::on_change(const RecordView& record) {
  ++changes;
  if (record.value) {
    rows[std::string(record.key)] = std::string(*record.value);
  } else {
    rows.erase(std::string(record.key));
  }
}

std::vector<Completion> complete_all(Producer& producer, std::size_t count) {
  std::vector<Completion> completions;
  EXPECT_TRUE(eventually([&] {
    producer.poll(completions);
    if (completions.size() < count) producer.wait(20ms);
    return completions.size() >= count;
  })) << completions.size()
      << " of " << count << " completions";
  return completions;
}

namespace {

struct Collector final : TableHandler {
  void on_change(const RecordView& record) override { seen.push_back(seen_of(record)); }
  std::vector<Seen> seen;
};

}  // namespace

std::vector<Seen> read_all(World& world, const std::string& topic, std::size_t at_least) {
  Collector collector;
  TableReader reader({.topic = topic, .refresh_interval = 50ms, .limits = quick_limits()},
                     world.clock, world.logger, world.registry, world.table_consumer(topic),
                     collector);
  EXPECT_TRUE(eventually([&] {
    static_cast<void>(reader.step(20ms));
    return reader.caught_up() && collector.seen.size() >= at_least;
  })) << collector.seen.size()
      << " of " << at_least << " records";
  reader.stop();
  std::ranges::sort(collector.seen, {},
                    [](const Seen& record) { return std::pair(record.partition, record.offset); });
  return collector.seen;
}

}  // namespace sluice::kafka::contract
