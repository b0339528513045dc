#include <sluice/mqtt/shared_group.h>

#include "testing_random.h"

#include <algorithm>
#include <map>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::mqtt {
namespace {

using Presence = MemberStates::Presence;
using testing::ElementsAre;

class FakeStates final : public MemberStates {
 public:
  State state_of(SubscriberId member) const override {
    const auto found = states.find(member);
    return found == states.end() ? State{} : found->second;
  }
  void set(SubscriberId member, Presence presence) { states[member].presence = presence; }

  std::map<SubscriberId, State> states{};
};

std::vector<SubscriberId> take(SharedGroup& group, const MemberStates& states, int count) {
  std::vector<SubscriberId> chosen;
  for (int i = 0; i < count; ++i) chosen.push_back(group.choose(states).value_or(0));
  return chosen;
}

TEST(SharedGroup, GoesAround) {
  SharedGroup group;
  const FakeStates states;
  EXPECT_EQ(group.choose(states), std::nullopt);
  for (const SubscriberId member : {1U, 2U, 3U}) EXPECT_TRUE(group.add(member));
  EXPECT_FALSE(group.add(2));
  EXPECT_THAT(take(group, states, 7), ElementsAre(1, 2, 3, 1, 2, 3, 1));
}

TEST(SharedGroup, ChoosesTheOfflineOnlyWhileNobodyIsOnline) {
  SharedGroup group;
  FakeStates states;
  for (const SubscriberId member : {1U, 2U, 3U}) group.add(member);
  states.set(1, Presence::kOffline);
  states.set(2, Presence::kOffline);
  EXPECT_THAT(take(group, states, 3), ElementsAre(3, 3, 3));
  states.set(3, Presence::kOffline);
  EXPECT_THAT(take(group, states, 4), ElementsAre(1, 2, 3, 1));
  states.set(2, Presence::kNever);
  EXPECT_THAT(take(group, states, 3), ElementsAre(3, 1, 3));
  states.set(1, Presence::kNever);
  states.set(3, Presence::kNever);
  EXPECT_EQ(group.choose(states), std::nullopt);
}

TEST(SharedGroup, LeastLoadedPassesByTheSlowAndSharesAmongEquals) {
  SharedGroup group(SharedGroup::Policy::kLeastLoaded);
  FakeStates states;
  for (const SubscriberId member : {1U, 2U, 3U}) group.add(member);
  EXPECT_THAT(take(group, states, 4), ElementsAre(1, 2, 3, 1));
  states.states[2].unacknowledged = 5;
  EXPECT_THAT(take(group, states, 4), ElementsAre(3, 1, 3, 1));
  states.states[1].unacknowledged = 1;
  EXPECT_THAT(take(group, states, 2), ElementsAre(3, 3));
  states.set(3, Presence::kOffline);
  EXPECT_THAT(take(group, states, 2), ElementsAre(1, 1));
}

TEST(SharedGroup, GivesAMessageToAnotherThanTheOneThatWent) {
  SharedGroup group;
  FakeStates states;
  for (const SubscriberId member : {1U, 2U, 3U}) group.add(member);
  EXPECT_EQ(group.next_after(1, states), 2U);
  EXPECT_EQ(group.next_after(1, states), 3U);
  EXPECT_EQ(group.next_after(1, states), 2U) << "a member's messages spread over the others";
  group.remove(1);
  EXPECT_EQ(group.next_after(1, states), 3U) << "also when it has left already";
  group.remove(2);
  EXPECT_EQ(group.next_after(3, states), std::nullopt);
  EXPECT_EQ(group.choose(states), 3U);
}

// A model: a round is over when everybody online had a turn since the last member came or went.
TEST(SharedGroupProperty, NobodyOnlineWaitsForMoreThanOneTurnOfEveryOther) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    TestRandom random(seed);
    SharedGroup group;
    const FakeStates states;
    std::map<SubscriberId, std::map<SubscriberId, int>> turns_while_waiting;
    for (int step = 0; step < 2000; ++step) {
      const SubscriberId member = 1 + random.below(12);
      switch (random.below(8)) {
        case 0:
          if (group.add(member)) {
            // One that comes anew queues up anew.
            for (auto& [waiting, turns] : turns_while_waiting) turns.erase(member);
            turns_while_waiting[member] = {};
          }
          break;
        case 1:
          if (group.remove(member)) turns_while_waiting.erase(member);
          break;
        default: {
          const auto chosen = group.choose(states);
          ASSERT_EQ(chosen.has_value(), !turns_while_waiting.empty());
          if (!chosen) break;
          ASSERT_TRUE(turns_while_waiting.contains(*chosen)) << "no member";
          turns_while_waiting[*chosen] = {};
          for (auto& [waiting, turns] : turns_while_waiting) {
            if (waiting == *chosen) continue;
            ASSERT_LE(++turns[*chosen], 2) << seed << " step " << step;
          }
        }
      }
      ASSERT_EQ(group.size(), turns_while_waiting.size());
      ASSERT_EQ(group.contains(member), turns_while_waiting.contains(member));
    }
  }
}

TEST(SharedGroupProperty, TheBestPresenceIsChosenAndNeverTheExcluded) {
  for (const auto policy : {SharedGroup::Policy::kRoundRobin, SharedGroup::Policy::kLeastLoaded}) {
    for (std::uint64_t seed = 1; seed <= 50; ++seed) {
      TestRandom random(seed);
      SharedGroup group(policy);
      SharedGroup twin(policy);
      FakeStates states;
      for (int step = 0; step < 500; ++step) {
        const SubscriberId member = 1 + random.below(10);
        if (random.below(3) == 0) {
          ASSERT_EQ(group.add(member), twin.add(member));
        } else if (random.below(3) == 0) {
          ASSERT_EQ(group.remove(member), twin.remove(member));
        }
        states.states[member] = {.presence = static_cast<Presence>(random.below(3)),
                                 .unacknowledged = static_cast<std::uint32_t>(random.below(4))};
        const SubscriberId excluded = random.below(11);
        const auto chosen = group.next_after(excluded, states);
        ASSERT_EQ(chosen, twin.next_after(excluded, states)) << "the same calls, the same choices";
        auto best = Presence::kNever;
        for (const SubscriberId one : group.members()) {
          if (one != excluded) best = std::min(best, states.state_of(one).presence);
        }
        ASSERT_EQ(chosen.has_value(), best != Presence::kNever);
        if (chosen) {
          ASSERT_TRUE(group.contains(*chosen));
          ASSERT_NE(*chosen, excluded);
          ASSERT_EQ(states.state_of(*chosen).presence, best);
        }
      }
    }
  }
}

}  // namespace
}  // namespace sluice::mqtt
