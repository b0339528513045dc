#include <sluice/mqtt/subscription_index.h>

#include "testing_random.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <utility>

#include <sluice/mqtt/topic.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::mqtt {
namespace {

using Added = SubscriptionIndex::Added;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

class SubscriptionIndexTest : public testing::Test {
 protected:
  std::vector<SubscriberId> matches_of(std::string_view topic) const {
    std::vector<SubscriberId> found;
    index.match(topic,
                [&](const SubscriptionIndex::Match& match) { found.push_back(match.subscriber); });
    return found;
  }
  Added add(SubscriberId subscriber, std::string_view filter) {
    return index.add(subscriber, filter, {});
  }

  TestRandom random{1};
  SubscriptionIndex index{SubscriptionIndex::Limits{}, random};
};

TEST_F(SubscriptionIndexTest, FindsExactAndWildFilters) {
  add(1, "sport/tennis");
  add(2, "sport/+");
  add(3, "sport/#");
  add(4, "#");
  add(5, "+/tennis");
  add(6, "sport");
  EXPECT_THAT(matches_of("sport/tennis"), UnorderedElementsAre(1, 2, 3, 4, 5));
  EXPECT_THAT(matches_of("sport"), UnorderedElementsAre(3, 4, 6));
  EXPECT_THAT(matches_of("sport/"), UnorderedElementsAre(2, 3, 4));
  EXPECT_THAT(matches_of("/tennis"), UnorderedElementsAre(4, 5));
  EXPECT_THAT(matches_of("a/b/c"), UnorderedElementsAre(4));
}

TEST_F(SubscriptionIndexTest, KeepsTopicsOfTheServerFromWildcardsInTheFirstLevel) {
  add(1, "#");
  add(2, "+/clients");
  add(3, "$SYS/#");
  add(4, "$SYS/+");
  EXPECT_THAT(matches_of("$SYS/clients"), UnorderedElementsAre(3, 4));
  EXPECT_THAT(matches_of("a/$SYS"), UnorderedElementsAre(1));
}

TEST_F(SubscriptionIndexTest, ReplacesOptionsOfTheSameSubscriberAndFilter) {
  EXPECT_EQ(index.add(1, "a", {.qos = Qos::kAtLeastOnce}), Added::kNew);
  EXPECT_EQ(index.add(1, "a", {.qos = Qos::kExactlyOnce, .subscription_id = 7}), Added::kReplaced);
  EXPECT_EQ(index.size(), 1U);
  EXPECT_EQ(index.find(1, "a"),
            (SubscriptionOptions{.qos = Qos::kExactlyOnce, .subscription_id = 7}));
  EXPECT_EQ(index.find(2, "a"), std::nullopt);
  EXPECT_EQ(index.find(1, "a/#"), std::nullopt);
}

TEST_F(SubscriptionIndexTest, RefusesWhatIsNoFilterAndWhatIsOneTooMany) {
  for (const char* bad : {"", "a#", "#/a", "a/b+", "$share/g", "$share//a", "$share/+/a"}) {
    EXPECT_EQ(add(1, bad), Added::kInvalid) << bad;
    EXPECT_FALSE(index.remove(1, bad)) << bad;
  }
  SubscriptionIndex small({.max_subscriptions = 2}, random);
  EXPECT_EQ(small.add(1, "a", {}), Added::kNew);
  EXPECT_EQ(small.add(1, "b", {}), Added::kNew);
  EXPECT_EQ(small.add(1, "c", {}), Added::kFull);
  EXPECT_EQ(small.add(1, "b", {}), Added::kReplaced) << "replacing takes no room";
  EXPECT_TRUE(small.remove(1, "a"));
  EXPECT_EQ(small.add(1, "c", {}), Added::kNew);
}

TEST_F(SubscriptionIndexTest, MatchesNothingWithWhatIsNoTopic) {
  add(1, "#");
  add(2, "+/+");
  for (const std::string& bad : {std::string(), std::string("a/+"), std::string("#"),
                                 std::string(kMaxTopicLevels, '/'), std::string(2000, 'a')}) {
    EXPECT_THAT(matches_of(bad), IsEmpty()) << bad;
  }
  const std::string deepest(kMaxTopicLevels - 1, '/');
  add(3, deepest);
  EXPECT_THAT(matches_of(deepest), UnorderedElementsAre(1, 3));
}

TEST_F(SubscriptionIndexTest, TakesASubscriberOutWithAllItsFilters) {
  const std::vector<std::string> filters{"a/b", "a/#", "$share/g/a/b", "not/there"};
  for (const auto& filter : {"a/b", "a/#", "$share/g/a/b"}) add(1, filter), add(2, filter);
  EXPECT_EQ(index.remove_all(1, filters), 3U);
  EXPECT_EQ(index.size(), 3U);
  EXPECT_EQ(index.group(index.find_group("$share/g/a/b"))->members(), std::vector<SubscriberId>{2});
}

TEST_F(SubscriptionIndexTest, VisitsAShareGroupOnce) {
  for (SubscriberId member = 1; member <= 3; ++member) add(member, "$share/g/a/+");
  add(4, "$share/h/a/+");
  std::vector<GroupId> groups;
  index.match("a/b", [&](const SubscriptionIndex::Match& match) { groups.push_back(match.group); });
  EXPECT_THAT(groups, UnorderedElementsAre(index.find_group("$share/g/a/+"),
                                           index.find_group("$share/h/a/+")));
  EXPECT_EQ(index.groups(), 2U);
  EXPECT_EQ(index.find_group("$share/g/a/b"), kNoGroup);
  EXPECT_EQ(index.find_group("a/+"), kNoGroup);
}

TEST_F(SubscriptionIndexTest, AGroupThatEndedIsNeverTakenForALaterOne) {
  add(1, "$share/g/a");
  add(9, "b");  // so that the index is not empty in between
  const GroupId first = index.find_group("$share/g/a");
  index.remove(1, "$share/g/a");
  EXPECT_EQ(index.group(first), nullptr);
  add(2, "$share/g/a");
  EXPECT_EQ(index.group(first), nullptr);
  EXPECT_EQ(index.member_options(first, 2), std::nullopt);
  const GroupId second = index.find_group("$share/g/a");
  EXPECT_NE(first, second);
  EXPECT_TRUE(index.group(second)->contains(2));
  EXPECT_EQ(index.group(kNoGroup), nullptr);
}

TEST_F(SubscriptionIndexTest, UsesMemoryAgainAndGivesItBackWhenEmpty) {
  const std::size_t base = index.memory_bytes();
  // Other texts in each round, of the same length.
  const auto filter = [](int round, int number) {
    return std::to_string(round) + "/" + std::to_string(number / 10) +
           "/a device with a longer name " + std::to_string(round * 10'000 + number + 10'000) +
           "/+";
  };
  const auto shared = [](int round, int number) {
    return "$share/g" + std::to_string(round * 10'000 + number + 10'000) + "/x";
  };
  add(1, "stays, so that the index is never empty");
  std::size_t full = 0;
  for (int round = 0; round < 5; ++round) {
    for (int i = 0; i < 5000; ++i) add(7, filter(round, i));
    for (int i = 0; i < 500; ++i) add(7, shared(round, i));
    if (round <= 1) full = index.memory_bytes();  // the lists of free places came with round 1
    EXPECT_LE(index.memory_bytes(), full) << "round " << round;
    for (int i = 0; i < 5000; ++i) ASSERT_TRUE(index.remove(7, filter(round, i)));
    for (int i = 0; i < 500; ++i) ASSERT_TRUE(index.remove(7, shared(round, i)));
  }
  EXPECT_GT(index.memory_bytes(), base);
  EXPECT_TRUE(index.remove(1, "stays, so that the index is never empty"));
  EXPECT_TRUE(index.empty());
  EXPECT_EQ(index.memory_bytes(), base);
}

// What the complexity promises, in steps and not in time.
TEST_F(SubscriptionIndexTest, WhatDoesNotMatchCostsNothing) {
  for (int i = 0; i < 100'000; ++i) {
    std::string filter = "+/+/+/+/+/+/+/" + std::to_string(i);
    if (i % 2 == 0) filter += "/#";
    add(1, filter);
  }
  std::size_t found = 0;
  const std::size_t steps =
      index.match("a/b/c/d/e/f/g/77777", [&](const SubscriptionIndex::Match&) { ++found; });
  EXPECT_EQ(found, 1U);
  EXPECT_LE(steps, 10U);
  EXPECT_LE(index.match("a/b/c/d/e/f/g/h/i", [](const auto&) {}), 8U);
  EXPECT_EQ(index.match("a", [](const auto&) {}), 2U);
}

TEST_F(SubscriptionIndexTest, StepsAreBoundedByWhatIsStored) {
  // Every mix of `a` and `+` in ten levels: all of them match, and so does each beginning.
  for (unsigned bits = 0; bits < 1024; ++bits) {
    std::string filter;
    for (unsigned level = 0; level < 10; ++level) {
      filter += (bits >> level & 1U) != 0 ? "a/" : "+/";
    }
    add(1, filter + "z");
  }
  const auto steps = index.match("a/a/a/a/a/a/a/a/a/a/z", [](const auto&) {});
  EXPECT_EQ(steps, 2047U + 1024U);
  EXPECT_LE(index.match(std::string(31, '/'), [](const auto&) {}), 12U)
      << "depth alone does not multiply";
}

struct Model {
  std::map<std::pair<SubscriberId, std::string>, SubscriptionOptions> all{};

  using Found = std::multiset<std::tuple<SubscriberId, std::uint32_t, std::string>>;
  Found match(const std::string& topic) const {
    Found found;
    std::set<std::string> groups;
    for (const auto& [key, options] : all) {
      const auto shared = parse_shared(key.second);
      if (!matches(shared ? shared->filter : std::string_view(key.second), topic)) continue;
      if (!shared) {
        found.emplace(key.first, options.subscription_id, "");
      } else if (groups.insert(key.second).second) {
        found.emplace(0, 0, key.second);
      }
    }
    return found;
  }
};

Model::Found found_in(SubscriptionIndex& index, const std::string& topic,
                      const std::vector<std::string>& group_names) {
  Model::Found found;
  index.match(topic, [&](const SubscriptionIndex::Match& match) {
    std::string name;
    for (const auto& candidate : group_names) {
      if (match.group != kNoGroup && index.find_group(candidate) == match.group) name = candidate;
    }
    found.emplace(match.subscriber, match.options.subscription_id, name);
  });
  return found;
}

TEST(SubscriptionIndexProperty, AgreesWithAListAndMatches) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    TestRandom random(seed);
    SubscriptionIndex index({}, random);
    const std::size_t base = index.memory_bytes();
    Model model;
    std::set<std::string> groups;
    for (std::uint32_t step = 1; step <= 1500; ++step) {
      const SubscriberId subscriber = 1 + random.below(5);
      std::string filter = random_filter(random);
      if (random.below(5) == 0) {
        filter.insert(0, random.below(2) == 0 ? "$share/g/" : "$share/a/");
        groups.insert(filter);
      }
      // More comes than goes, then the other way round.
      if (random.below(10) < (step < 750 ? 7U : 3U)) {
        const SubscriptionOptions options{.subscription_id = step};
        const bool is_new = model.all.insert_or_assign({subscriber, filter}, options).second;
        ASSERT_EQ(index.add(subscriber, filter, options), is_new ? Added::kNew : Added::kReplaced);
      } else {
        ASSERT_EQ(index.remove(subscriber, filter), model.all.erase({subscriber, filter}) == 1);
      }
      ASSERT_EQ(index.size(), model.all.size());
      const std::string topic = random_topic(random);
      ASSERT_EQ(found_in(index, topic, {groups.begin(), groups.end()}), model.match(topic))
          << "seed " << seed << " step " << step << " topic " << topic;
    }
    for (const auto& [key, options] : model.all) {
      ASSERT_EQ(index.find(key.first, key.second), options);
      ASSERT_TRUE(index.remove(key.first, key.second));
    }
    EXPECT_EQ(index.memory_bytes(), base) << "seed " << seed;
    EXPECT_EQ(index.groups(), 0U);
  }
}

}  // namespace
}  // namespace sluice::mqtt
