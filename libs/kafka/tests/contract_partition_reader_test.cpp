#include "contract.h"

#include <sluice/testing/environment.h>

namespace sluice::kafka::contract {
namespace {

using namespace std::chrono_literals;

/// "0", "1", …: the values of one partition.
struct Log {
  explicit Log(World& world, int count = 5) : topic(world.make_topic(2)) {
    std::vector<std::string> values;
    for (int i = 0; i < count; ++i) values.push_back(std::to_string(i));
    std::vector<Record> records;
    for (const std::string& value : values) {
      records.push_back({.topic = topic, .key = "key", .value = value, .partition = Partition(0)});
    }
    world.append(records);
  }
  Stretch stretch() const { return {.partition = {topic, Partition(0)}}; }

  std::string topic;
};

std::vector<std::string> values_of(PartitionReader& reader, const Stretch& stretch) {
  std::vector<std::string> values;
  const auto read = reader.read({&stretch, 1}, 30s, [&](const RecordView& record) {
    EXPECT_EQ(record.topic, stretch.partition.topic);
    EXPECT_EQ(record.key, "key");
    values.emplace_back(record.value.value_or("tombstone"));
    return true;
  });
  EXPECT_TRUE(read) << read.error().message();
  return values;
}

TEST_P(PartitionReaderContract, GivesAllThatAPartitionHoldsAndReturns) {
  const Log log(*world_);
  const auto reader = world_->partition_reader();
  EXPECT_THAT(values_of(*reader, log.stretch()), ::testing::ElementsAre("0", "1", "2", "3", "4"));
}

TEST_P(PartitionReaderContract, GivesPartOfAPartition) {
  const Log log(*world_);
  const auto reader = world_->partition_reader();
  Stretch stretch = log.stretch();
  stretch.from = Offset(1);
  stretch.to = Offset(3);
  EXPECT_THAT(values_of(*reader, stretch), ::testing::ElementsAre("1", "2"));
}

TEST_P(PartitionReaderContract, GivesTheLatest) {
  const Log log(*world_);
  const auto reader = world_->partition_reader();
  Stretch stretch = log.stretch();
  stretch.last = 2;
  EXPECT_THAT(values_of(*reader, stretch), ::testing::ElementsAre("3", "4"));
  stretch.last = 100;
  EXPECT_EQ(values_of(*reader, stretch).size(), 5U);
}

TEST_P(PartitionReaderContract, GivesNothingOfAnEmptyPartitionOrBeyondTheEnd) {
  const Log log(*world_);
  const auto reader = world_->partition_reader();
  EXPECT_TRUE(values_of(*reader, {.partition = {log.topic, Partition(1)}}).empty());
  Stretch stretch = log.stretch();
  stretch.from = Offset(5);
  EXPECT_TRUE(values_of(*reader, stretch).empty());
}

TEST_P(PartitionReaderContract, EndsWhenItsCallerHasSeenEnoughAndReadsAgain) {
  const Log log(*world_);
  const auto reader = world_->partition_reader();
  int seen = 0;
  const Stretch stretch = log.stretch();
  ASSERT_TRUE(reader->read({&stretch, 1}, 30s, [&](const RecordView&) { return ++seen < 2; }));
  EXPECT_EQ(seen, 2);
  EXPECT_EQ(values_of(*reader, stretch).size(), 5U);
}

TEST_P(PartitionReaderContract, ReadsSeveralPartitionsAtOnce) {
  const Log log(*world_);
  const Record other{.topic = log.topic, .key = "key", .value = "x", .partition = Partition(1)};
  world_->append({other});
  const auto reader = world_->partition_reader();
  const Stretch stretches[] = {log.stretch(), {.partition = {log.topic, Partition(1)}}};
  int seen = 0;
  ASSERT_TRUE(reader->read(stretches, 30s, [&](const RecordView&) { return ++seen > 0; }));
  EXPECT_EQ(seen, 6);
}

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(PartitionReaderContract);

}  // namespace
}  // namespace sluice::kafka::contract
