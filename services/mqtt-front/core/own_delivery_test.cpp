#include "core/own_delivery.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::front {
namespace {

using mqtt::Qos;
using ::testing::ElementsAre;

constexpr ingest::DeviceNames kNames{
    .tenant = "blue", .device = "d1", .external_id = "press-7", .fleet = "north"};

mqtt::MessagePtr message(std::string topic, bool retain = false) {
  return std::make_shared<const mqtt::Message>(
      mqtt::Message{.topic = std::move(topic), .qos = Qos::kExactlyOnce, .retain = retain});
}

class OwnDelivery : public ::testing::Test {
 protected:
  std::optional<mqtt::Delivery> deliver(const mqtt::MessagePtr& what) {
    return own_delivery(subscriptions, topics, kNames, what);
  }
  ingest::TopicMap topics;
  std::vector<StoredSubscription> subscriptions;
};

TEST_F(OwnDelivery, IsNoneWhereNothingMatches) {
  subscriptions = {{.filter = "tenant/blue/device/d1/jobs/#"},
                   {.filter = "tenant/blue/device/d1/commands/#", .is_wide = true}};
  EXPECT_FALSE(deliver(message("tenant/blue/device/d1/commands/c1")));
}

TEST_F(OwnDelivery, JoinsAllThatMatches) {
  subscriptions = {{.filter = "tenant/blue/device/d1/commands/#",
                    .qos = Qos::kAtLeastOnce,
                    .subscription_id = 3},
                   {.filter = "tenant/blue/device/d1/commands/c1",
                    .retain_as_published = true,
                    .subscription_id = 5}};
  const auto delivery = deliver(message("tenant/blue/device/d1/commands/c1", true));
  ASSERT_TRUE(delivery);
  EXPECT_EQ(delivery->qos, Qos::kAtLeastOnce);
  EXPECT_TRUE(delivery->retain);
  EXPECT_THAT(delivery->subscription_ids, ElementsAre(3, 5));
}

TEST_F(OwnDelivery, IsUnderTheSpellingSubscribedTo) {
  subscriptions = {{.filter = "north/devices/d1/commands"}};
  const auto delivery = deliver(message("tenant/blue/device/d1/commands"));
  ASSERT_TRUE(delivery);
  EXPECT_EQ(delivery->message->topic, "north/devices/d1/commands");
}

TEST_F(OwnDelivery, KnowsTheNamesOfADeviceThatIsAwayByItsSubscriptions) {
  subscriptions = {{.filter = "$aws/things/press-7/shadow/#"}};
  const SessionKey key("blue/d1");
  EXPECT_EQ(names_of(key, subscriptions, topics).external_id, "press-7");
  EXPECT_EQ(names_of(key, subscriptions, topics).device, "d1");
  subscriptions = {{.filter = "$aws/things/d1/shadow/#"}};
  EXPECT_EQ(names_of(key, subscriptions, topics).external_id, "");
}

TEST_F(OwnDelivery, KnowsTheFleetOfADeviceThatIsAwayByItsSubscriptions) {
  subscriptions = {{.filter = "tenant/blue/device/d1/jobs/#"},
                   {.filter = "north/devices/d1/commands", .qos = Qos::kAtLeastOnce}};
  const SessionKey key("blue/d1");
  const auto names = names_of(key, subscriptions, topics);
  EXPECT_EQ(names.fleet, "north");
  const auto delivery =
      own_delivery(subscriptions, topics, names, message("tenant/blue/device/d1/commands"));
  ASSERT_TRUE(delivery);
  EXPECT_EQ(delivery->message->topic, "north/devices/d1/commands");
  EXPECT_EQ(delivery->qos, Qos::kAtLeastOnce);
}

TEST_F(OwnDelivery, TakesTheFleetOfNoOtherDevice) {
  const SessionKey key("blue/d1");
  for (const char* filter : {"north/devices/d2/commands", "north/devices/+/commands",
                             "+/devices/d1/commands", "north/devices/d1/commands/x"}) {
    subscriptions = {{.filter = filter}};
    EXPECT_EQ(names_of(key, subscriptions, topics).fleet, "") << filter;
  }
  subscriptions = {{.filter = "north/devices/d1/commands", .is_wide = true}};
  EXPECT_EQ(names_of(key, subscriptions, topics).fleet, "");
}

TEST(NamesOf, FindsEveryNameOfAnAlias) {
  const auto map = ingest::TopicMap::compile(
      {.aliases = {{"{class}/in/{fleet}/{external_id}/down/#", "commands/#"}}});
  ASSERT_TRUE(map) << map.error().message();
  const std::vector<StoredSubscription> subscriptions{
      {.filter = "meter/in/north/press-7/down/+", .qos = Qos::kAtLeastOnce}};
  const SessionKey key("blue/d1");
  const auto names = names_of(key, subscriptions, *map);
  EXPECT_EQ(names.device_class, "meter");
  EXPECT_EQ(names.fleet, "north");
  EXPECT_EQ(names.external_id, "press-7");
  const auto delivery =
      own_delivery(subscriptions, *map, names, message("tenant/blue/device/d1/commands/c1"));
  ASSERT_TRUE(delivery);
  EXPECT_EQ(delivery->message->topic, "meter/in/north/press-7/down/c1");
}

}  // namespace
}  // namespace sluice::front
