#include <sluice/kafka/topic_admin.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::kafka {
namespace {

using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::IsEmpty;

TopicDescription as_made(const TopicSpec& topic, std::int32_t replication) {
  return {.partitions = topic.partitions, .replication = replication, .config = config_of(topic)};
}

TEST(TopicRules, AnOperatorChoosesPartitionsWhereATopicNeedsNoNumberOfItsOwn) {
  Config config;
  config.topic_partitions = 48;
  EXPECT_EQ(as_configured(topics::kTelemetryRaw, config).partitions, 48);
  EXPECT_EQ(as_configured(topics::kControlRules, config).partitions, 1);
  config.topic_partitions = 0;
  EXPECT_EQ(as_configured(topics::kTelemetryRaw, config).partitions, kUsualPartitions);
}

TEST(TopicRules, ATopicIsMadeWithTheCopiesThatWereChosen) {
  Config config;
  EXPECT_FALSE(
      config_of(as_configured(topics::kTelemetryRaw, config)).contains("min.insync.replicas"));
  config.topic_replication = 3;
  config.topic_min_insync = 2;
  const TopicSpec topic = as_configured(topics::kTelemetryRaw, config);
  EXPECT_EQ(topic.replication, 3);
  EXPECT_EQ(config_of(topic)["min.insync.replicas"], "2");
}

TEST(TopicRules, FewerCopiesThanWereChosenAreHarmful) {
  Config config;
  config.topic_replication = 3;
  config.topic_min_insync = 2;
  const TopicSpec wanted = as_configured(topics::kTelemetryRaw, config);
  EXPECT_THAT(compare(wanted, as_made(wanted, 3)), IsEmpty());
  EXPECT_THAT(compare(wanted, as_made(wanted, 5)), IsEmpty());
  EXPECT_THAT(
      compare(wanted, as_made(wanted, 1)),
      ElementsAre(AllOf(Field(&TopicDifference::what, "replicas"), Field(&TopicDifference::is, "1"),
                        Field(&TopicDifference::is_harmful, true))));

  TopicDescription found = as_made(wanted, 3);
  found.config["min.insync.replicas"] = "1";
  EXPECT_THAT(compare(wanted, found),
              ElementsAre(AllOf(Field(&TopicDifference::what, "min.insync.replicas"),
                                Field(&TopicDifference::is_harmful, true))));
  found.config["min.insync.replicas"] = "3";
  EXPECT_THAT(compare(wanted, found), ElementsAre(Field(&TopicDifference::is_harmful, false)));
}

TEST(TopicRules, WhereNothingWasChosenTheBrokersChoose) {
  const TopicSpec wanted = as_configured(topics::kTelemetryRaw, Config());
  TopicDescription found = as_made(wanted, 1);
  found.config["min.insync.replicas"] = "1";
  EXPECT_THAT(compare(wanted, found), IsEmpty());
}

}  // namespace
}  // namespace sluice::kafka
