#include "core/access_policy.h"

#include <string>
#include <vector>

#include <sluice/mqtt/topic.h>

#include <gtest/gtest.h>

namespace sluice::front {
namespace {

using Action = AccessRule::Action;
using mqtt::Qos;

constexpr ingest::DeviceNames kOwn{.tenant = "blue",
                                   .device = "d1",
                                   .external_id = "press-7",
                                   .fleet = "north",
                                   .device_class = "meter"};

AccessPolicy compiled(const std::vector<AccessRule>& rules, AccessPolicy::Options options = {}) {
  auto policy = AccessPolicy::compile(rules, ingest::TopicMap().spellings_of(kOwn), options);
  EXPECT_TRUE(policy) << policy.error().message();
  return policy ? *std::move(policy) : AccessPolicy();
}

/// What the registry gives to a device whose class names no policy.
AccessPolicy built_in() {
  std::vector<AccessRule> rules;
  const std::string own = "tenant/blue/device/d1/";
  for (const char* up : {"telemetry/#", "events/+", "commands/+/accepted", "commands/+/rejected",
                         "commands/+/result", "shadow/#", "jobs/#", "certificates/#"}) {
    rules.push_back({.action = Action::kPublish, .filter = own + up});
  }
  for (const char* down : {"commands/#", "shadow/#", "jobs/#", "certificates/#"}) {
    rules.push_back({.action = Action::kSubscribe, .filter = own + down});
  }
  return compiled(rules);
}

/// All sequences of `words` of up to `longest` levels.
std::vector<std::string> all_of(const std::vector<std::string>& words, std::size_t longest) {
  std::vector<std::string> all;
  std::vector<std::string> last{""};
  for (std::size_t levels = 1; levels <= longest; ++levels) {
    std::vector<std::string> next;
    for (const std::string& before : last) {
      for (const std::string& word : words) {
        next.push_back(levels == 1 ? word : before + "/" + word);
      }
    }
    all.insert(all.end(), next.begin(), next.end());
    last = std::move(next);
  }
  return all;
}

// Two literals suffice to tell '+' from a literal; five levels of topics, to tell '#' from the
// deepest of the filters, which have three; an empty level and '$' have rules of their own.
TEST(Covers, IsExactlyThatEveryTopicOfTheInnerMatchesTheOuter) {
  std::vector<std::string> filters = all_of({"a", "", "$a", "+", "#"}, 3);
  std::erase_if(filters, [](const auto& filter) { return !mqtt::is_valid_filter(filter); });
  std::vector<std::string> topics = all_of({"a", "b", "", "$a"}, 5);
  std::erase_if(topics, [](const auto& topic) { return !mqtt::is_valid_topic(topic); });

  std::vector<std::vector<bool>> matched;
  for (const std::string& filter : filters) {
    auto& row = matched.emplace_back();
    for (const std::string& topic : topics) row.push_back(mqtt::matches(filter, topic));
  }
  for (std::size_t outer = 0; outer < filters.size(); ++outer) {
    for (std::size_t inner = 0; inner < filters.size(); ++inner) {
      bool expected = true;
      for (std::size_t i = 0; i < topics.size() && expected; ++i) {
        expected = !matched[inner][i] || matched[outer][i];
      }
      ASSERT_EQ(covers(filters[outer], filters[inner]), expected)
          << "'" << filters[outer] << "' and '" << filters[inner] << "'";
    }
  }
}

TEST(AccessPolicy, OfNothingAllowsNothing) {
  const AccessPolicy policy;
  EXPECT_EQ(policy.may_publish("a", Qos::kAtMostOnce, false).reason, kTopicNotAllowed);
  EXPECT_EQ(policy.may_subscribe("a").reason, kTopicNotAllowed);
  EXPECT_FALSE(policy.may_receive("a"));
  const AccessPolicy empty = compiled({});
  EXPECT_FALSE(
      empty.may_publish("tenant/blue/device/d1/telemetry", Qos::kAtMostOnce, false).is_allowed());
  EXPECT_FALSE(empty.may_subscribe("#").is_allowed());
}

TEST(AccessPolicy, LetsADeviceAtItsOwnTopicsInEverySpelling) {
  const AccessPolicy policy = built_in();
  for (const char* topic :
       {"tenant/blue/device/d1/telemetry", "tenant/blue/device/d1/telemetry/axis/x",
        "tenant/blue/device/d1/data", "tenant/blue/device/d1/data/x", "north/devices/d1/telemetry",
        "tenant/blue/device/d1/events/door", "tenant/blue/device/d1/commands/c1/result",
        "$aws/things/d1/shadow/update", "$aws/things/press-7/shadow/name/lamp/get",
        "$aws/things/press-7/jobs/start-next"}) {
    EXPECT_TRUE(policy.may_publish(topic, Qos::kAtLeastOnce, false).is_allowed()) << topic;
  }
  for (const char* filter :
       {"tenant/blue/device/d1/commands", "tenant/blue/device/d1/commands/#",
        "tenant/blue/device/d1/commands/+", "tenant/blue/device/d1/shadow/+/accepted",
        "north/devices/d1/commands", "$aws/things/d1/shadow/#",
        "$aws/things/press-7/shadow/update/+", "$share/g/tenant/blue/device/d1/jobs/#"}) {
    EXPECT_TRUE(policy.may_subscribe(filter).is_allowed()) << filter;
  }
  EXPECT_TRUE(policy.may_receive("tenant/blue/device/d1/commands"));
  EXPECT_TRUE(policy.may_receive("north/devices/d1/commands"));
  EXPECT_TRUE(policy.may_receive("$aws/things/press-7/shadow/update/delta"));
}

TEST(AccessPolicy, KeepsADeviceFromEverythingElse) {
  const AccessPolicy policy = built_in();
  for (const char* topic :
       {"tenant/blue/device/d2/telemetry", "tenant/red/device/d1/telemetry",
        "tenant/blue/device/d1/telemetry2", "tenant/blue/device/d1/events/a/b",
        "tenant/blue/device/d1/commands", "tenant/blue/device/d1", "south/devices/d1/telemetry",
        "north/devices/d2/telemetry", "north/devices/d1/commands", "$aws/things/press-8/shadow/get",
        "$aws/things/d1/telemetry", "$SYS/x", "$share/g/tenant/blue/device/d1/telemetry", "",
        "tenant/blue/device/d1/telemetry/+", "tenant/blue/device/d1/telemetry/#"}) {
    EXPECT_EQ(policy.may_publish(topic, Qos::kAtMostOnce, false).reason, kTopicNotAllowed) << topic;
  }
  for (const char* filter :
       {"#", "+", "+/#", "tenant/#", "tenant/blue/device/d1/#", "tenant/blue/device/+/commands",
        "tenant/+/device/d1/commands", "tenant/blue/device/d1/+", "north/devices/+/commands",
        "north/devices/d1/#", "$aws/#", "$aws/things/+/shadow/#", "$aws/things/d1/#", "$SYS/#",
        "$share/g/#", "tenant/blue/device/d1/telemetry"}) {
    EXPECT_EQ(policy.may_subscribe(filter).reason, kTopicNotAllowed) << filter;
  }
  for (const char* filter : {"", "a/#/b", "a+", "$share/g", "$share//a", "$share/+/a"}) {
    EXPECT_EQ(policy.may_subscribe(filter).reason, kFilterInvalid) << filter;
  }
  EXPECT_FALSE(policy.may_receive("tenant/blue/device/d2/commands"));
  EXPECT_FALSE(policy.may_receive("tenant/blue/device/d1/telemetry"));
  EXPECT_FALSE(policy.may_receive(""));
}

TEST(AccessPolicy, SaysWhetherTopicQosOrRetainIsInTheWay) {
  const AccessPolicy policy =
      compiled({{.action = Action::kPublish, .filter = "x/+", .max_qos = Qos::kAtLeastOnce},
                {.action = Action::kPublish,
                 .filter = "x/kept",
                 .max_qos = Qos::kAtMostOnce,
                 .may_retain = true}});
  EXPECT_EQ(policy.may_publish("y", Qos::kAtMostOnce, false).reason, kTopicNotAllowed);
  EXPECT_EQ(policy.may_publish("x/a", Qos::kExactlyOnce, false).reason, kQosNotAllowed);
  EXPECT_EQ(policy.may_publish("x/a", Qos::kAtLeastOnce, true).reason, kRetainNotAllowed);
  EXPECT_TRUE(policy.may_publish("x/kept", Qos::kAtLeastOnce, false).is_allowed());
  EXPECT_TRUE(policy.may_publish("x/kept", Qos::kAtMostOnce, true).is_allowed());
  // No single rule allows both.
  EXPECT_FALSE(policy.may_publish("x/kept", Qos::kAtLeastOnce, true).is_allowed());
}

TEST(AccessPolicy, GrantsTheHighestQosOfTheRulesThatCoverAFilter) {
  const AccessPolicy policy =
      compiled({{.action = Action::kSubscribe, .filter = "x/#", .max_qos = Qos::kAtMostOnce},
                {.action = Action::kSubscribe, .filter = "x/+/y", .max_qos = Qos::kAtLeastOnce}});
  EXPECT_EQ(policy.may_subscribe("x/a/y").max_qos, Qos::kAtLeastOnce);
  EXPECT_EQ(policy.may_subscribe("x/a").max_qos, Qos::kAtMostOnce);
}

TEST(AccessPolicy, HoldsADeviceToTheQosOfItsClass) {
  const AccessPolicy policy = compiled({{.action = Action::kPublish, .filter = "x"}},
                                       {.max_publish_qos = Qos::kAtMostOnce});
  EXPECT_EQ(policy.may_publish("x", Qos::kAtLeastOnce, false).reason, kQosNotAllowed);
}

TEST(AccessPolicy, OpensDollarTopicsOnlyBelowTheDevicesOwnAliases) {
  const std::vector<AccessRule> rules = {
      {.action = Action::kSubscribe, .filter = "$SYS/#"},
      {.action = Action::kSubscribe, .filter = "$aws/things/d1/jobs/notify"},
      {.action = Action::kSubscribe, .filter = "$aws/things/d2/jobs/notify"}};
  const AccessPolicy policy = compiled(rules);
  EXPECT_FALSE(policy.may_subscribe("$SYS/x").is_allowed());
  EXPECT_TRUE(policy.may_subscribe("$aws/things/d1/jobs/notify").is_allowed());
  EXPECT_FALSE(policy.may_subscribe("$aws/things/d2/jobs/notify").is_allowed());
  EXPECT_TRUE(compiled(rules, {.opens_dollar_topics = true}).may_subscribe("$SYS/x").is_allowed());
}

// However a rule is cut for speed, it matches what its filter matches.
TEST(AccessPolicy, LetsThroughExactlyWhatARulesFilterMatches) {
  std::vector<std::string> filters = all_of({"a", "", "$a", "+", "#"}, 4);
  std::erase_if(filters, [](const auto& filter) { return !mqtt::is_valid_filter(filter); });
  std::vector<std::string> topics = all_of({"a", "aa", "", "$a"}, 4);
  std::erase_if(topics, [](const auto& topic) { return !mqtt::is_valid_topic(topic); });
  for (const std::string& filter : filters) {
    const AccessPolicy policy = *AccessPolicy::compile(std::vector<AccessRule>{{.filter = filter}},
                                                       {}, {.opens_dollar_topics = true});
    for (const std::string& topic : topics) {
      ASSERT_EQ(policy.may_publish(topic, Qos::kAtMostOnce, false).is_allowed(),
                mqtt::matches(filter, topic))
          << "'" << filter << "' and '" << topic << "'";
    }
  }
}

// A rule with wildcards where the device's own names stand holds for the spellings of these names.
TEST(AccessPolicy, RespellsRulesWithWildcards) {
  const AccessPolicy wide = compiled({{.action = Action::kSubscribe, .filter = "#"}});
  EXPECT_TRUE(wide.may_subscribe("$aws/things/d1/shadow/#").is_allowed());
  EXPECT_FALSE(wide.may_subscribe("$aws/things/d2/shadow/#").is_allowed());
  const AccessPolicy one = compiled(
      {{.action = Action::kSubscribe, .filter = "tenant/blue/device/+/shadow/+/accepted"}});
  EXPECT_TRUE(one.may_subscribe("$aws/things/d1/shadow/get/accepted").is_allowed());
  EXPECT_FALSE(one.may_subscribe("$aws/things/d1/shadow/#").is_allowed());
  EXPECT_FALSE(one.may_subscribe("$aws/things/d1/shadow/get").is_allowed());
  EXPECT_FALSE(one.may_subscribe("$aws/things/d1/jobs/get/accepted").is_allowed());
}

TEST(AccessPolicy, RefusesRulesThatAreNoFiltersAndTooManyOfThem) {
  const auto compile = [](const std::vector<AccessRule>& rules) {
    return AccessPolicy::compile(rules, {}, {}).has_value();
  };
  EXPECT_FALSE(compile({{.filter = "a/#/b"}}));
  EXPECT_FALSE(compile({{.filter = ""}}));
  std::vector<AccessRule> many(AccessPolicy::kMaxRules, AccessRule{.filter = "a"});
  EXPECT_TRUE(compile(many));
  many.push_back({.filter = "a"});
  EXPECT_FALSE(compile(many));
}

}  // namespace
}  // namespace sluice::front
