#include "contract.h"

#include <algorithm>
#include <atomic>
#include <format>
#include <set>

#include <sluice/testing/environment.h>
#include <sluice/testing/eventually.h>

#include <gmock/gmock.h>

namespace sluice::kafka::contract {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using testing::unique_name;

/// Values "0", "1", … spread over the partitions by turns.
std::vector<std::string> fill(World& world, const std::string& topic, int count,
                              std::int32_t partitions) {
  std::vector<std::string> values;
  for (int i = 0; i < count; ++i) values.push_back(std::format("{}", i));
  std::vector<Record> records;
  for (int i = 0; i < count; ++i) {
    records.push_back({.topic = topic,
                       .key = "k",
                       .value = values[static_cast<std::size_t>(i)],
                       .partition = Partition(i % partitions)});
  }
  world.append(records);
  return values;
}

std::int64_t committed_lag(World& world, const std::string& group, const std::string& topic) {
  const auto lags = world.admin().group_lag(group, topic, 30s);
  EXPECT_TRUE(lags) << lags.error().message();
  std::int64_t sum = 0;
  for (const PartitionLag& lag : *lags) sum += lag.records;
  return sum;
}

bool is_in_order(const std::vector<Seen>& seen) {
  std::map<std::pair<std::string, std::int32_t>, std::int64_t> last;
  return std::ranges::all_of(seen, [&](const Seen& record) {
    auto [place, is_first] = last.try_emplace({record.topic, record.partition}, -1);
    const bool follows = record.offset > place->second;
    place->second = record.offset;
    return follows;
  });
}

TEST_P(ConsumerLoopContract, HandsOverEveryRecordOnceAndInTheOrderOfItsPartition) {
  const std::string topic = world_->make_topic(3);
  const auto values = fill(*world_, topic, 60, 3);
  Reader reader(*world_, unique_name("group"), {topic});
  ASSERT_TRUE(reader.run_until([&] { return reader.handler.has(values.size()); }));
  reader.loop.stop();

  EXPECT_TRUE(is_in_order(reader.handler.seen));
  EXPECT_THAT(reader.handler.values(), ::testing::UnorderedElementsAreArray(values));
}

TEST_P(ConsumerLoopContract, ReadsSeveralTopics) {
  const std::string one = world_->make_topic(1);
  const std::string two = world_->make_topic(1);
  fill(*world_, one, 1, 1);
  fill(*world_, two, 1, 1);
  Reader reader(*world_, unique_name("group"), {one, two});
  ASSERT_TRUE(reader.run_until([&] { return reader.handler.has(2); }));
  EXPECT_NE(reader.handler.seen[0].topic, reader.handler.seen[1].topic);
}

TEST_P(ConsumerLoopContract, ContinuesWhereItCommittedWhenItStopped) {
  const std::string topic = world_->make_topic(2);
  const std::string group = unique_name("group");
  fill(*world_, topic, 10, 2);
  Reader first(*world_, group, {topic});
  ASSERT_TRUE(first.run_until([&] { return first.handler.has(10); }));
  first.loop.stop();
  EXPECT_EQ(committed_lag(*world_, group, topic), 0);

  world_->append({{.topic = topic, .value = "new", .partition = Partition(0)}});
  Reader second(*world_, group, {topic});
  ASSERT_TRUE(second.run_until([&] { return second.handler.has(1); }));
  second.run_some_turns();
  EXPECT_THAT(second.handler.values(), ElementsAre("new"));
}

TEST_P(ConsumerLoopContract, CommitsWhileItRuns) {
  const std::string topic = world_->make_topic(1);
  const std::string group = unique_name("group");
  fill(*world_, topic, 10, 1);
  Reader reader(*world_, group, {topic});
  ASSERT_TRUE(reader.run_until([&] { return reader.handler.has(10); }));
  EXPECT_TRUE(reader.run_until([&] { return committed_lag(*world_, group, topic) == 0; }));
}

TEST_P(ConsumerLoopContract, CommitsNothingThatIsNotMarkedDurable) {
  const std::string topic = world_->make_topic(1);
  const std::string group = unique_name("group");
  fill(*world_, topic, 10, 1);
  Reader reader(*world_, group, {topic}, Durability::kOnMark);
  ASSERT_TRUE(reader.run_until([&] { return reader.handler.has(10); }));
  reader.run_some_turns();
  EXPECT_EQ(committed_lag(*world_, group, topic), 10);
  reader.loop.stop();
  EXPECT_EQ(committed_lag(*world_, group, topic), 10);
}

TEST_P(ConsumerLoopContract, CommitsUpToTheMarkAndNotARecordMore) {
  const std::string topic = world_->make_topic(1);
  const std::string group = unique_name("group");
  fill(*world_, topic, 10, 1);
  Reader reader(*world_, group, {topic}, Durability::kOnMark);
  reader.handler.tick = [&](ConsumerControl& control) {
    if (reader.handler.has(10)) control.mark_durable(topic, Partition(0), Offset(7));
  };
  ASSERT_TRUE(reader.run_until([&] { return committed_lag(*world_, group, topic) == 3; }));
  reader.loop.stop();

  Reader next(*world_, group, {topic});
  ASSERT_TRUE(next.run_until([&] { return next.handler.has(3); }));
  EXPECT_THAT(next.handler.values(), ElementsAre("7", "8", "9"));
}

TEST_P(ConsumerLoopContract, LetsTheHandlerFlushBeforePartitionsGo) {
  const std::string topic = world_->make_topic(1);
  const std::string group = unique_name("group");
  fill(*world_, topic, 5, 1);
  Reader reader(*world_, group, {topic}, Durability::kOnMark);
  reader.handler.revoking = [&](std::span<const TopicPartition>, ConsumerControl& control) {
    control.mark_durable(topic, Partition(0), Offset(5));
  };
  ASSERT_TRUE(reader.run_until([&] { return reader.handler.has(5); }));
  reader.loop.stop();
  EXPECT_THAT(reader.handler.revoked, ElementsAre(TopicPartition{topic, Partition(0)}));
  EXPECT_EQ(committed_lag(*world_, group, topic), 0);
}

TEST_P(ConsumerLoopContract, ReadsAgainWhatWasNotCommittedAfterACrash) {
  const std::string topic = world_->make_topic(1);
  const std::string group = unique_name("group");
  fill(*world_, topic, 5, 1);
  {
    Reader crashing(*world_, group, {topic}, Durability::kOnMark);
    ASSERT_TRUE(crashing.run_until([&] { return crashing.handler.has(5); }));
    EXPECT_THAT(crashing.handler.revoked, IsEmpty());
  }
  // With a real broker the group waits for the session of the dead member to end.
  Reader next(*world_, group, {topic});
  ASSERT_TRUE(next.run_until([&] { return next.handler.has(5); }));
  EXPECT_THAT(next.handler.values(), ElementsAre("0", "1", "2", "3", "4"));
}

TEST_P(ConsumerLoopContract, BringsRefusedRecordsAgainAndCommitsNothingBefore) {
  const std::string topic = world_->make_topic(1);
  const std::string group = unique_name("group");
  fill(*world_, topic, 5, 1);
  Reader reader(*world_, group, {topic});
  bool is_store_down = true;
  int refused = 0;
  reader.handler.before = [&](std::span<const RecordView> records, ConsumerControl&) -> Result<> {
    if (!is_store_down) return {};
    ++refused;
    EXPECT_EQ(records.front().offset, Offset(0));
    return fail(ErrorCode::kUnavailable, "store is down");
  };
  // Well past poison_attempts: a store that is down is nobody's poison.
  ASSERT_TRUE(reader.run_until([&] { return refused >= 12; }));
  EXPECT_EQ(committed_lag(*world_, group, topic), 5);
  is_store_down = false;
  ASSERT_TRUE(reader.run_until([&] { return reader.handler.has(5); }));
  EXPECT_THAT(reader.handler.values(), ElementsAre("0", "1", "2", "3", "4"));
  EXPECT_THAT(reader.handler.poison, IsEmpty());
}

TEST_P(ConsumerLoopContract, PutsAsideTheOneRecordThatAlwaysFailsAndHandlesItsNeighbours) {
  const std::string topic = world_->make_topic(1);
  const std::string group = unique_name("group");
  fill(*world_, topic, 5, 1);
  ConsumerConfig limits = quick_limits();
  limits.poison_attempts = 3;
  Reader reader(*world_, group, {topic}, Durability::kOnReturn, limits);
  reader.handler.before = [&](std::span<const RecordView> records, ConsumerControl&) -> Result<> {
    for (const RecordView& record : records) {
      if (record.value == "2") return fail(ErrorCode::kInternal, "cannot do this one");
    }
    return {};
  };
  ASSERT_TRUE(reader.run_until([&] { return reader.handler.has(4); }));
  ASSERT_THAT(reader.handler.poison, SizeIs(1));
  EXPECT_EQ(reader.handler.poison[0].value, "2");
  EXPECT_EQ(reader.handler.last_attempts, 3);
  EXPECT_THAT(reader.handler.values(), ElementsAre("0", "1", "3", "4"));
  reader.loop.stop();
  EXPECT_EQ(committed_lag(*world_, group, topic), 0);
}

TEST_P(ConsumerLoopContract, StopsTheFlowOfAPausedPartitionAlone) {
  const std::string topic = world_->make_topic(2);
  Reader reader(*world_, unique_name("group"), {topic});
  fill(*world_, topic, 2, 2);
  bool should_pause = true;
  reader.handler.tick = [&](ConsumerControl& control) {
    if (!reader.handler.has(2)) return;
    if (should_pause) {
      control.pause(topic, Partition(0));
    } else {
      control.resume(topic, Partition(0));
    }
  };
  ASSERT_TRUE(reader.run_until([&] { return reader.handler.has(2); }));
  fill(*world_, topic, 10, 2);
  ASSERT_TRUE(reader.run_until([&] { return reader.handler.has(7); }));
  reader.run_some_turns();
  EXPECT_THAT(reader.handler.seen, SizeIs(7));

  should_pause = false;
  ASSERT_TRUE(reader.run_until([&] { return reader.handler.has(12); }));
  reader.run_some_turns();
  EXPECT_THAT(reader.handler.seen, SizeIs(12));
  EXPECT_TRUE(is_in_order(reader.handler.seen));
}

TEST_P(ConsumerLoopContract, BeginsWhereTheHandlerSays) {
  const std::string topic = world_->make_topic(1);
  fill(*world_, topic, 10, 1);
  Reader reader(*world_, unique_name("group"), {topic});
  reader.handler.start =
      [](std::span<const TopicPartition> partitions) -> Result<std::vector<StartPosition>> {
    if (partitions.empty()) return {};
    return std::vector<StartPosition>{{partitions[0], Offset(8)}};
  };
  ASSERT_TRUE(reader.run_until([&] { return reader.handler.has(2); }));
  EXPECT_THAT(reader.handler.values(), ElementsAre("8", "9"));
}

TEST_P(ConsumerLoopContract, ReadsNothingUntilTheHandlerKnowsWhereToBegin) {
  const std::string topic = world_->make_topic(1);
  fill(*world_, topic, 3, 1);
  Reader reader(*world_, unique_name("group"), {topic});
  int asked = 0;
  bool is_store_down = true;
  reader.handler.start =
      [&](std::span<const TopicPartition> partitions) -> Result<std::vector<StartPosition>> {
    if (partitions.empty()) return {};
    ++asked;
    if (is_store_down) return fail(ErrorCode::kUnavailable, "store is down");
    return std::vector<StartPosition>{{partitions[0], Offset(1)}};
  };
  ASSERT_TRUE(reader.run_until([&] { return asked >= 3; }));
  EXPECT_THAT(reader.handler.seen, IsEmpty());
  is_store_down = false;
  ASSERT_TRUE(reader.run_until([&] { return reader.handler.has(2); }));
  EXPECT_THAT(reader.handler.values(), ElementsAre("1", "2"));
  reader.loop.stop();
}

TEST_P(ConsumerLoopContract, MovesPartitionsToANewMemberWithoutLossOrDisorder) {
  const std::string topic = world_->make_topic(4);
  const std::string group = unique_name("group");
  Reader first(*world_, group, {topic});
  fill(*world_, topic, 40, 4);
  ASSERT_TRUE(first.run_until([&] { return first.handler.has(40); }));

  Reader second(*world_, group, {topic});
  const auto run_both_until = [&](const std::function<bool()>& holds) {
    return testing::eventually([&] {
      static_cast<void>(first.loop.step(5ms));
      static_cast<void>(second.loop.step(5ms));
      return holds();
    });
  };
  std::size_t moved = 0;
  second.handler.start =
      [&](std::span<const TopicPartition> partitions) -> Result<std::vector<StartPosition>> {
    moved += partitions.size();
    return {};
  };
  // Records flow all the time: what stays with the first member must not stop, and commits go on.
  ASSERT_TRUE(run_both_until([&] {
    world_->append({{.topic = topic, .key = "k", .value = "meanwhile", .partition = Partition(0)}});
    return moved == 2;
  }));
  EXPECT_THAT(first.handler.revoked, SizeIs(2));
  EXPECT_THAT(first.handler.lost, IsEmpty());
  fill(*world_, topic, 40, 4);
  ASSERT_TRUE(run_both_until([&] { return committed_lag(*world_, group, topic) == 0; }));
  // What moved was committed before: nobody has read anything twice.
  std::vector<Seen> both = first.handler.seen;
  both.insert(both.end(), second.handler.seen.begin(), second.handler.seen.end());
  EXPECT_TRUE(is_in_order(both));

  second.loop.stop();
  fill(*world_, topic, 4, 4);
  ASSERT_TRUE(first.run_until([&] { return committed_lag(*world_, group, topic) == 0; }));
  first.loop.stop();
}

TEST_P(ConsumerLoopContract, IsAssignedAlsoWhenItsShareIsNothing) {
  const std::string topic = world_->make_topic(1);
  const std::string group = unique_name("group");
  Reader first(*world_, group, {topic});
  EXPECT_FALSE(first.loop.assigned());
  ASSERT_TRUE(first.run_until([&] { return first.loop.assigned(); }));
  Reader second(*world_, group, {topic});
  EXPECT_TRUE(testing::eventually([&] {
    static_cast<void>(first.loop.step(5ms));
    static_cast<void>(second.loop.step(5ms));
    return second.loop.assigned();
  }));
}

TEST_P(ConsumerLoopContract, KnowsHowFarItIsBehind) {
  const std::string topic = world_->make_topic(2);
  const std::string group = unique_name("group");
  Reader reader(*world_, group, {topic}, Durability::kOnMark);
  fill(*world_, topic, 20, 2);
  ASSERT_TRUE(reader.run_until([&] { return reader.handler.has(20); }));
  EXPECT_TRUE(reader.run_until([&] { return reader.loop.lag() == 20; })) << reader.loop.lag();

  reader.handler.tick = [&](ConsumerControl& control) {
    control.mark_durable(topic, Partition(0), Offset(10));
    control.mark_durable(topic, Partition(1), Offset(4));
  };
  EXPECT_TRUE(reader.run_until([&] { return reader.loop.lag() == 6; })) << reader.loop.lag();
  EXPECT_TRUE(reader.run_until([&] { return committed_lag(*world_, group, topic) == 6; }));
}

TEST_P(ConsumerLoopContract, RunsOnAThreadOfItsOwn) {
  const std::string topic = world_->make_topic(1);
  const std::string group = unique_name("group");
  std::atomic<int> taken = 0;
  Reader reader(*world_, group, {topic});
  reader.handler.before = [&](std::span<const RecordView> records, ConsumerControl&) -> Result<> {
    taken += static_cast<int>(records.size());
    return {};
  };
  reader.loop.start();
  fill(*world_, topic, 10, 1);
  EXPECT_TRUE(testing::eventually([&] { return taken == 10; }));
  reader.loop.stop();
  reader.loop.stop();
  EXPECT_EQ(committed_lag(*world_, group, topic), 0);
}

TEST_P(TableReaderContract, ReadsAllThenFollowsAndForgetsWhatIsDeleted) {
  const std::string topic = world_->make_topic(2, Cleanup::kCompact);
  world_->append({{.topic = topic, .key = "a", .value = "1"},
                  {.topic = topic, .key = "b", .value = "1"},
                  {.topic = topic, .key = "a", .value = "2"},
                  {.topic = topic, .key = "c", .value = "1"},
                  {.topic = topic, .key = "c", .value = std::nullopt}});
  Table table;
  TableReader reader({.topic = topic, .refresh_interval = 20ms, .limits = quick_limits()},
                     world_->clock, world_->logger, world_->registry, world_->table_consumer(topic),
                     table);
  EXPECT_FALSE(reader.caught_up());
  EXPECT_EQ(reader.staleness(), std::nullopt);
  const auto run_until = [&](const std::function<bool()>& holds) {
    return testing::eventually([&] {
      static_cast<void>(reader.step(20ms));
      return holds();
    });
  };
  ASSERT_TRUE(run_until([&] { return reader.caught_up(); }));
  EXPECT_THAT(table.rows, ElementsAre(std::pair("a", "2"), std::pair("b", "1")));
  EXPECT_EQ(table.caught_up, 1);
  EXPECT_NE(reader.staleness(), std::nullopt);

  world_->append({{.topic = topic, .key = "b", .value = std::nullopt},
                  {.topic = topic, .key = "d", .value = "1"}});
  ASSERT_TRUE(run_until([&] { return table.changes >= 7; }));
  EXPECT_THAT(table.rows, ElementsAre(std::pair("a", "2"), std::pair("d", "1")));
  EXPECT_EQ(table.caught_up, 1);
  reader.stop();
}

TEST_P(TableReaderContract, IsCaughtUpWithAnEmptyTopic) {
  const std::string topic = world_->make_topic(3, Cleanup::kCompact);
  Table table;
  TableReader reader({.topic = topic, .refresh_interval = 20ms, .limits = quick_limits()},
                     world_->clock, world_->logger, world_->registry, world_->table_consumer(topic),
                     table);
  reader.start();
  EXPECT_TRUE(testing::eventually([&] { return reader.caught_up(); }));
  reader.stop();
  EXPECT_EQ(table.changes, 0);
}

TEST_P(TableReaderContract, WaitsForATopicThatIsNotThereYet) {
  const std::string topic = unique_name("later");
  Table table;
  TableReader reader({.topic = topic, .refresh_interval = 20ms, .limits = quick_limits()},
                     world_->clock, world_->logger, world_->registry, world_->table_consumer(topic),
                     table);
  const auto stepped = reader.step(20ms);
  ASSERT_FALSE(stepped);
  EXPECT_EQ(stepped.error().code(), ErrorCode::kNotFound);

  const TopicSpec spec{.name = topic, .cleanup = Cleanup::kCompact, .partitions = 1};
  ASSERT_TRUE(world_->admin().ensure({&spec, 1}, 30s));
  EXPECT_TRUE(testing::eventually([&] {
    static_cast<void>(reader.step(20ms));
    return reader.caught_up();
  }));
  reader.stop();
}

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(ConsumerLoopContract);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(TableReaderContract);

}  // namespace
}  // namespace sluice::kafka::contract
