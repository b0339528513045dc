#include "core/topic_policy.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace sluice::registry {
namespace {

std::vector<TopicRule> rules(std::string_view action, const std::vector<std::string>& topics) {
  nlohmann::json json = nlohmann::json::array();
  for (const std::string& topic : topics)
    json.push_back({{"action", action}, {"topic", topic}, {"max_qos", 1}});
  return rules_from_json(json);
}

TopicNames names() {
  return {
      .tenant = "blue", .device = "d1", .external_id = "e1", .fleet = "", .device_class = "meter"};
}

bool is_allowed(const std::string& topic) {
  return check_rules(rules("publish", {topic}), "/rules").empty();
}

TEST(TopicPolicy, TakesTemplatesThatStayInTheirTenant) {
  for (const char* topic :
       {"{tenant}/x", "tenant/{tenant}/device/{device}/#", "a/{device}/+/b", "{device}"}) {
    EXPECT_TRUE(is_allowed(topic)) << topic;
  }
  for (const char* topic : {"#", "+/{device}", "a/b", "{fleet}/x", "{tenant}/#/x", "{tenant}/a#",
                            "{tenant}x/y", "{tenant}/{colour}", "x/{external_id}"}) {
    EXPECT_FALSE(is_allowed(topic)) << topic;
  }
  std::string deep = "{tenant}";
  for (std::size_t i = 0; i < kMaxTopicLevels; ++i) deep += "/a";
  EXPECT_FALSE(is_allowed(deep));
}

TEST(TopicPolicy, FillsInTheDevicesOwnNames) {
  const auto rendered = render_rules(
      rules("publish", {"{tenant}/{device}/{class}/up", "{tenant}/{fleet}/up", "/{tenant}/x"}),
      names());
  ASSERT_EQ(rendered.size(), 2U);  // it has no fleet: that rule grants nothing
  EXPECT_EQ(rendered[0].topic(), "blue/d1/meter/up");
  EXPECT_EQ(rendered[1].topic(), "/blue/x");
}

TEST(TopicPolicy, NeverLetsANameBecomeAPattern) {
  TopicNames hostile = names();
  hostile.device = "+";
  EXPECT_TRUE(render_rules(rules("publish", {"{tenant}/{device}/up"}), hostile).empty());
  hostile.device = "d1/x";
  EXPECT_TRUE(render_rules(rules("publish", {"{tenant}/{device}/up"}), hostile).empty());
}

TEST(TopicPolicy, AllowsPublishingWhatARuleMatches) {
  const auto rendered = render_rules(
      rules("publish", {"{tenant}/{device}/+/up", "{tenant}/{device}/log/#"}), names());
  EXPECT_TRUE(may_publish(rendered, "blue/d1/a/up", 1, false));
  EXPECT_TRUE(may_publish(rendered, "blue/d1/log", 0, false));
  EXPECT_TRUE(may_publish(rendered, "blue/d1/log/a/b", 0, false));
  EXPECT_FALSE(may_publish(rendered, "blue/d1/a/up", 2, false));
  EXPECT_FALSE(may_publish(rendered, "blue/d1/a/up", 1, true));
  EXPECT_FALSE(may_publish(rendered, "blue/d2/a/up", 1, false));
  EXPECT_FALSE(may_publish(rendered, "blue/d1/a/b/up", 1, false));
  EXPECT_FALSE(may_publish(rendered, "blue/d1/+/up", 1, false));
  EXPECT_FALSE(may_publish(rendered, "", 0, false));
}

TEST(TopicPolicy, AllowsSubscribingToWhatARuleCoversWhole) {
  const auto rendered = render_rules(
      rules("subscribe", {"{tenant}/{device}/+/down", "{tenant}/{device}/jobs/#"}), names());
  EXPECT_TRUE(may_subscribe(rendered, "blue/d1/+/down"));
  EXPECT_TRUE(may_subscribe(rendered, "blue/d1/a/down"));
  EXPECT_TRUE(may_subscribe(rendered, "blue/d1/jobs/+/x"));
  EXPECT_TRUE(may_subscribe(rendered, "blue/d1/jobs/#"));
  EXPECT_FALSE(may_subscribe(rendered, "blue/d1/#"));
  EXPECT_FALSE(may_subscribe(rendered, "blue/+/a/down"));
  EXPECT_FALSE(may_subscribe(rendered, "#"));
}

TEST(TopicPolicy, GivesADeviceItsOwnTopicsByDefault) {
  const auto rendered = render_rules(default_rules(), names());
  EXPECT_TRUE(may_publish(rendered, "tenant/blue/device/d1/telemetry", 1, false));
  EXPECT_TRUE(may_publish(rendered, "tenant/blue/device/d1/telemetry/fast", 2, false));
  EXPECT_TRUE(may_subscribe(rendered, "tenant/blue/device/d1/commands/#"));
  EXPECT_FALSE(may_publish(rendered, "tenant/blue/device/d1/commands", 1, false));
  EXPECT_FALSE(may_publish(rendered, "tenant/blue/device/d2/telemetry", 1, false));
  EXPECT_FALSE(may_publish(rendered, "tenant/red/device/d1/telemetry", 1, false));
  EXPECT_FALSE(may_subscribe(rendered, "tenant/blue/device/+/commands/#"));
}

}  // namespace
}  // namespace sluice::registry
