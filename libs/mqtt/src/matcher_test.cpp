#include "testing_random.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include <sluice/mqtt/subscription_index.h>
#include <sluice/mqtt/topic.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::mqtt {
namespace {

using testing::ElementsAre;
using testing::SizeIs;
using testing::UnorderedElementsAre;

class EverybodyButSome final : public MemberStates {
 public:
  State state_of(SubscriberId member) const override {
    return {.presence = away == member ? Presence::kNever : Presence::kOnline};
  }
  SubscriberId away = 0;
};

class MatcherTest : public testing::Test {
 protected:
  std::vector<Matcher::Target> match(std::string_view topic, SubscriberId publisher = 0) {
    const auto result = matcher.match(index, topic, publisher, states);
    std::vector<Matcher::Target> targets(result.targets.begin(), result.targets.end());
    std::ranges::sort(targets, {}, &Matcher::Target::subscriber);
    return targets;
  }

  TestRandom random{1};
  SubscriptionIndex index{SubscriptionIndex::Limits{}, random};
  Matcher matcher;
  EverybodyButSome states;
};

TEST_F(MatcherTest, MergesTheSubscriptionsOfASubscriber) {
  index.add(1, "a/b", {.qos = Qos::kAtLeastOnce, .subscription_id = 5});
  index.add(1, "a/+", {.qos = Qos::kExactlyOnce, .retain_as_published = true});
  index.add(1, "#", {.qos = Qos::kAtMostOnce, .subscription_id = 6});
  index.add(2, "a/#", {.subscription_id = 7});
  const auto targets = match("a/b");
  ASSERT_THAT(targets, SizeIs(2));
  EXPECT_EQ(targets[0].qos, Qos::kExactlyOnce);
  EXPECT_TRUE(targets[0].retain_as_published);
  EXPECT_THAT(targets[0].subscription_ids, UnorderedElementsAre(5, 6));
  EXPECT_EQ(targets[1].qos, Qos::kAtMostOnce);
  EXPECT_FALSE(targets[1].retain_as_published);
  EXPECT_THAT(targets[1].subscription_ids, ElementsAre(7));
}

TEST_F(MatcherTest, NoLocalKeepsAMessageFromItsPublisherBySuchSubscriptionsAlone) {
  index.add(1, "a", {.qos = Qos::kExactlyOnce, .no_local = true, .subscription_id = 5});
  EXPECT_THAT(match("a", 1), SizeIs(0));
  EXPECT_THAT(match("a", 2), SizeIs(1));
  index.add(1, "+", {.qos = Qos::kAtMostOnce, .subscription_id = 6});
  const auto targets = match("a", 1);
  ASSERT_THAT(targets, SizeIs(1));
  EXPECT_EQ(targets[0].qos, Qos::kAtMostOnce);
  EXPECT_THAT(targets[0].subscription_ids, ElementsAre(6));
}

TEST_F(MatcherTest, AGroupIsATargetOfItsOwnWithTheOptionsOfTheChosen) {
  index.add(1, "$share/g/a", {.qos = Qos::kAtLeastOnce, .subscription_id = 5});
  index.add(2, "$share/g/a", {.qos = Qos::kExactlyOnce});
  index.add(1, "a", {.qos = Qos::kAtMostOnce, .subscription_id = 6});
  const auto first = match("a");
  ASSERT_THAT(first, SizeIs(2)) << "a subscriber's shared and own subscriptions are apart";
  EXPECT_THAT(match("a"), SizeIs(2));
  states.away = 2;
  const auto targets = matcher.match(index, "a", 0, states).targets;
  ASSERT_THAT(targets, SizeIs(2));
  EXPECT_EQ(targets[1].subscriber, 1U);
  EXPECT_EQ(targets[1].qos, Qos::kAtLeastOnce);
  EXPECT_EQ(targets[1].group, index.find_group("$share/g/a"));
  EXPECT_THAT(targets[1].subscription_ids, ElementsAre(5));
  EXPECT_THAT(targets[0].subscription_ids, ElementsAre(6));
  index.remove(1, "$share/g/a");
  const auto result = matcher.match(index, "a", 0, states);
  EXPECT_THAT(result.targets, SizeIs(1));
  EXPECT_EQ(result.groups_without_member, 1U);
}

TEST_F(MatcherTest, KeepsItsMemoryForTheNextMessage) {
  for (SubscriberId subscriber = 1; subscriber <= 5000; ++subscriber) {
    index.add(subscriber, "all", {.subscription_id = 1});
    index.add(subscriber, "#", {.subscription_id = 2});
  }
  ASSERT_THAT(match("all"), SizeIs(5000));
  const auto memory = matcher.memory_bytes();
  for (int i = 0; i < 10; ++i) {
    const auto targets = match("all");
    ASSERT_THAT(targets, SizeIs(5000));
    ASSERT_TRUE(std::ranges::all_of(
        targets, [](const auto& target) { return target.subscription_ids.size() == 2; }));
  }
  EXPECT_EQ(matcher.memory_bytes(), memory);
}

TEST(MatcherProperty, EverySubscriberComesOnceWithAllItsSubscriptions) {
  struct Merged {
    Qos qos = Qos::kAtMostOnce;
    bool retain_as_published = false;
    std::multiset<std::uint32_t> ids{};
    bool operator==(const Merged&) const = default;
  };
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    TestRandom random(seed);
    SubscriptionIndex index({}, random);
    std::map<std::pair<SubscriberId, std::string>, SubscriptionOptions> model;
    Matcher matcher;
    const EverybodyButSome states;
    for (int step = 0; step < 600; ++step) {
      const SubscriberId subscriber = 1 + random.below(200);
      const std::string filter = random_filter(random, 2);
      const SubscriptionOptions options{
          .qos = static_cast<Qos>(random.below(3)),
          .no_local = random.below(2) == 0,
          .retain_as_published = random.below(2) == 0,
          .subscription_id = static_cast<std::uint32_t>(random.below(4))};
      index.add(subscriber, filter, options);
      model.insert_or_assign({subscriber, filter}, options);
      const std::string topic = random_topic(random, 2);
      const SubscriberId publisher = random.below(200);
      std::map<SubscriberId, Merged> expected;
      for (const auto& [key, one] : model) {
        if (!matches(key.second, topic) || (one.no_local && key.first == publisher)) continue;
        auto& merged = expected[key.first];
        merged.qos = std::max(merged.qos, one.qos);
        merged.retain_as_published |= one.retain_as_published;
        if (one.subscription_id != 0) merged.ids.insert(one.subscription_id);
      }
      std::map<SubscriberId, Merged> found;
      for (const auto& target : matcher.match(index, topic, publisher, states).targets) {
        const Merged merged{
            .qos = target.qos,
            .retain_as_published = target.retain_as_published,
            .ids = {target.subscription_ids.begin(), target.subscription_ids.end()}};
        ASSERT_TRUE(found.emplace(target.subscriber, merged).second) << "came twice";
      }
      ASSERT_EQ(found, expected) << "seed " << seed << " step " << step;
    }
  }
}

}  // namespace
}  // namespace sluice::mqtt
