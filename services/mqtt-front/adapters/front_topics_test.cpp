#include "adapters/front_topics.h"

#include <format>
#include <memory>

#include <sluice/kafka/testing/fake_kafka.h>
#include <sluice/testing/captured_log.h>
#include <sluice/testing/sim_clock.h>

#include <gtest/gtest.h>

namespace sluice::front {
namespace {

class PartitionWatchTest : public ::testing::Test {
 protected:
  bool shows(int uncounted) const {
    return metrics.scrape().contains(
        std::format("sluice_mqtt_partitions_uncounted {}\n", uncounted));
  }

  const sluice::testing::SimClock clock;
  const std::shared_ptr<sluice::testing::CapturedLog> lines =
      std::make_shared<sluice::testing::CapturedLog>();
  const Logger log = lines->logger("test", clock);
  Registry metrics;
  sluice::testing::FakeKafka kafka{clock};
  bool opens = true;
  PartitionWatch watch{[this]() -> Result<std::unique_ptr<kafka::TopicAdmin>> {
                         if (!opens) return fail(Error(ErrorCode::kUnavailable, "no admin"));
                         return kafka.admin(log);
                       },
                       "telemetry.raw", 3, log, metrics};
};

TEST_F(PartitionWatchTest, TellsOfPartitionsThatWereAdded) {
  kafka.create_topic("telemetry.raw", 3);
  ASSERT_TRUE(watch.look());
  EXPECT_TRUE(shows(0));
  EXPECT_EQ(lines->count("topic_partitions_changed"), 0U);

  kafka.create_topic("telemetry.raw", 5);
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(watch.look());
  EXPECT_TRUE(shows(2));
  EXPECT_EQ(lines->count("topic_partitions_changed"), 1U) << "once for a change";

  kafka.set_reachable(false);
  EXPECT_FALSE(watch.look());
  EXPECT_TRUE(shows(2));
}

TEST_F(PartitionWatchTest, BeginsOnceItCan) {
  kafka.create_topic("telemetry.raw", 4);
  opens = false;
  EXPECT_FALSE(watch.look());
  opens = true;
  EXPECT_TRUE(watch.look());
  EXPECT_TRUE(shows(1));
}

}  // namespace
}  // namespace sluice::front
