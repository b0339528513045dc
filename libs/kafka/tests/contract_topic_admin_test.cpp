#include "contract.h"

#include <sluice/testing/environment.h>

#include <gmock/gmock.h>

namespace sluice::kafka::contract {
namespace {

using namespace std::chrono_literals;

TEST_P(TopicAdminContract, MakesTopicsAsSpecifiedAndDoesNothingTheSecondTime) {
  const std::string events = testing::unique_name("events");
  const std::string table = testing::unique_name("table");
  const std::vector<TopicSpec> topics{
      {.name = events, .partitions = 3, .retention = std::chrono::days(2)},
      {.name = table, .cleanup = Cleanup::kCompact, .partitions = 2}};
  ASSERT_TRUE(world_->admin().ensure(topics, 30s));
  ASSERT_TRUE(world_->admin().ensure(topics, 30s));
  EXPECT_EQ(world_->log->count("kafka_topic_differs"), 0U);

  auto described = world_->admin().describe(events, 30s);
  ASSERT_TRUE(described) << described.error().message();
  EXPECT_EQ(described->partitions, 3);
  EXPECT_GE(described->replication, 1);
  EXPECT_EQ(described->config["cleanup.policy"], "delete");
  EXPECT_EQ(described->config["retention.ms"], "172800000");
  described = world_->admin().describe(table, 30s);
  ASSERT_TRUE(described) << described.error().message();
  EXPECT_EQ(described->partitions, 2);
  EXPECT_EQ(described->config["cleanup.policy"], "compact");
}

TEST_P(TopicAdminContract, LeavesTopicsAsOperatorsMadeThemAndLogsWhatDiffers) {
  const std::string name = testing::unique_name("events");
  const TopicSpec as_it_is{.name = name, .partitions = 3, .retention = std::chrono::days(2)};
  ASSERT_TRUE(world_->admin().ensure({&as_it_is, 1}, 30s));

  const TopicSpec wanted{.name = name, .partitions = 6, .retention = std::chrono::days(7)};
  ASSERT_TRUE(world_->admin().ensure({&wanted, 1}, 30s));
  EXPECT_EQ(world_->log->count("kafka_topic_differs"), 2U);
  const auto described = world_->admin().describe(name, 30s);
  ASSERT_TRUE(described);
  EXPECT_EQ(described->partitions, 3);
}

TEST_P(TopicAdminContract, RefusesATopicThatIsCleanedUpInTheWrongWay) {
  const std::string name = world_->make_topic(1, Cleanup::kDelete);
  const TopicSpec table{.name = name, .cleanup = Cleanup::kCompact, .partitions = 1};
  const auto ensured = world_->admin().ensure({&table, 1}, 30s);
  ASSERT_FALSE(ensured);
  EXPECT_EQ(ensured.error().code(), ErrorCode::kFailedPrecondition);
  ASSERT_EQ(ensured.error().faults().size(), 1U);
  EXPECT_EQ(ensured.error().faults()[0].field, name);
}

TEST_P(TopicAdminContract, SaysThatAnUnknownTopicIsNotThereAndRemovesItAllTheSame) {
  const std::string name = testing::unique_name("none");
  const auto described = world_->admin().describe(name, 30s);
  ASSERT_FALSE(described);
  EXPECT_EQ(described.error().code(), ErrorCode::kNotFound);
  const std::vector<std::string> names{name};
  EXPECT_TRUE(world_->admin().remove(names, 30s));
}

TEST_P(TopicAdminContract, CountsTheLagOfAGroupThatHasNeverCommitted) {
  const std::string topic = world_->make_topic(2);
  world_->append({{.topic = topic, .value = "a", .partition = Partition(0)},
                  {.topic = topic, .value = "b", .partition = Partition(1)},
                  {.topic = topic, .value = "c", .partition = Partition(1)}});
  const auto lags = world_->admin().group_lag(testing::unique_name("group"), topic, 30s);
  ASSERT_TRUE(lags) << lags.error().message();
  ASSERT_EQ(lags->size(), 2U);
  EXPECT_EQ((*lags)[0].records, 1);
  EXPECT_EQ((*lags)[1].records, 2);
}

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(TopicAdminContract);

}  // namespace
}  // namespace sluice::kafka::contract
