#include "core/routes.h"

#include <thread>
#include <vector>

#include <sluice/testing/sim_random.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::front {
namespace {

using mqtt::Qos;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

class RoutesOfATenant : public ::testing::Test {
 protected:
  std::vector<std::string> keys(std::string_view topic, const SessionKey& publisher = {}) {
    std::vector<std::string> found;
    for (const Target& target : routes.match(topic, publisher)) found.push_back(target.key.value());
    return found;
  }
  sluice::testing::SimRandom random{1};
  Routes all{3, random};
  TenantRoutes& routes = all.of("blue");
  const SessionKey one{"blue/d1"};
  const SessionKey two{"blue/d2"};
};

TEST_F(RoutesOfATenant, AreNotThoseOfAnother) {
  routes.put(one, {.filter = "a/#"});
  EXPECT_TRUE(all.of("red").is_empty());
  EXPECT_EQ(&all.of("blue"), &routes);
}

TEST_F(RoutesOfATenant, FindWhoSubscribed) {
  EXPECT_EQ(routes.put(one, {.filter = "a/+", .qos = Qos::kAtLeastOnce, .subscription_id = 4}),
            TenantRoutes::Put::kNew);
  EXPECT_EQ(routes.put(two, {.filter = "a/b"}), TenantRoutes::Put::kNew);
  EXPECT_THAT(keys("a/b"), UnorderedElementsAre("blue/d1", "blue/d2"));
  const auto targets = routes.match("a/c", {});
  ASSERT_EQ(targets.size(), 1U);
  EXPECT_EQ(targets[0].qos, Qos::kAtLeastOnce);
  EXPECT_THAT(targets[0].subscription_ids, ElementsAre(4));
}

TEST_F(RoutesOfATenant, AreBoundedAndTakeFiltersAlone) {
  EXPECT_EQ(routes.put(one, {.filter = "a/#/b"}), TenantRoutes::Put::kInvalid);
  for (const char* filter : {"a", "b", "c"}) routes.put(one, {.filter = filter});
  EXPECT_EQ(routes.put(one, {.filter = "c", .qos = Qos::kAtLeastOnce}),
            TenantRoutes::Put::kReplaced);
  EXPECT_EQ(routes.put(two, {.filter = "d"}), TenantRoutes::Put::kTenantFull);
  EXPECT_FALSE(routes.remove(two, "d", ""));
  EXPECT_TRUE(routes.remove(one, "a", ""));
  EXPECT_EQ(routes.put(two, {.filter = "d"}), TenantRoutes::Put::kNew);
}

TEST_F(RoutesOfATenant, SpareThePublisherWhereItWantsNoLocal) {
  routes.put(one, {.filter = "a", .no_local = true});
  routes.put(two, {.filter = "a", .no_local = true});
  EXPECT_THAT(keys("a", one), ElementsAre("blue/d2"));
}

TEST_F(RoutesOfATenant, ChooseOneOfAGroupAndPreferWhoIsOnline) {
  routes.learn(one, {.filter = "a", .group = "g"});
  routes.learn(two, {.filter = "a", .group = "g"});
  routes.set_online(two, true);
  for (int i = 0; i < 4; ++i) EXPECT_THAT(keys("a"), ElementsAre("blue/d2"));
  routes.set_online(two, false);
  EXPECT_EQ(keys("a").size(), 1U);
  EXPECT_TRUE(routes.remove(one, "a", "g"));
  EXPECT_FALSE(routes.remove(two, "a", ""));
  EXPECT_THAT(keys("a"), ElementsAre("blue/d2"));
}

TEST_F(RoutesOfATenant, GiveAMessageOfAGroupToOneMemberAfterAnother) {
  const SessionKey three{"blue/d3"};
  for (const SessionKey& key : {one, two, three}) routes.learn(key, {.filter = "a", .group = "g"});
  const auto first = routes.match("a", {}).at(0);
  ASSERT_TRUE(first.share);
  EXPECT_EQ(*first.share, "$share/g/a");
  std::vector<SessionKey> had{first.key};
  for (int i = 0; i < 2; ++i) {
    const auto next = routes.next_member(first.share, had);
    ASSERT_TRUE(next);
    EXPECT_THAT(had, ::testing::Not(::testing::Contains(next->key)));
    EXPECT_EQ(next->share, first.share);
    had.push_back(next->key);
  }
  EXPECT_FALSE(routes.next_member(first.share, had));
}

TEST_F(RoutesOfATenant, PreferWhoIsOnlineForWhatIsGivenOnToo) {
  const SessionKey three{"blue/d3"};
  for (const SessionKey& key : {one, two, three}) routes.learn(key, {.filter = "a", .group = "g"});
  const mqtt::SharePtr share = routes.match("a", {}).at(0).share;
  routes.set_online(three, true);
  routes.remove(one, "a", "g");
  EXPECT_EQ(routes.next_member(share, std::vector{one})->key, three);
  EXPECT_EQ(routes.next_member(share, std::vector{one, three})->key, two);
  routes.remove_all(two);
  routes.remove_all(three);
  EXPECT_FALSE(routes.next_member(share, std::vector{one})) << "the group is gone";
}

TEST_F(RoutesOfATenant, AreReplacedWhereASessionConnectsAgain) {
  routes.learn(one, {.filter = "a", .qos = Qos::kAtMostOnce});
  routes.learn(one, {.filter = "b"});
  routes.learn(one, {.filter = "c", .group = "g"});
  const mqtt::SharePtr share = routes.match("c", {}).at(0).share;
  const std::vector<StoredSubscription> now{
      {.filter = "a", .qos = Qos::kExactlyOnce, .is_wide = true},
      {.filter = "c", .group = "g", .is_wide = true},
      {.filter = "of its own"}};
  EXPECT_THAT(routes.replace(one, now), ElementsAre("b"));
  EXPECT_THAT(keys("b"), IsEmpty());
  const auto targets = routes.match("a", {});
  ASSERT_EQ(targets.size(), 1U);
  EXPECT_EQ(targets[0].qos, Qos::kExactlyOnce);
  EXPECT_TRUE(targets[0].is_online);
  EXPECT_TRUE(routes.next_member(share, {})) << "its group is the same as before";
  EXPECT_THAT(routes.replace(one, {}), UnorderedElementsAre("a", "$share/g/c"));
  EXPECT_TRUE(routes.is_empty());
}

TEST_F(RoutesOfATenant, AreFoundWhileASessionConnectsAgain) {
  const std::vector<StoredSubscription> kept{{.filter = "a/#", .is_wide = true},
                                             {.filter = "b/#", .is_wide = true}};
  routes.replace(one, kept);
  std::jthread connecting([&](const std::stop_token& stop) {
    while (!stop.stop_requested()) routes.replace(one, kept);
  });
  std::size_t missed = 0;
  for (int i = 0; i < 20'000; ++i) missed += keys("b/x").empty() ? 1U : 0U;
  EXPECT_EQ(missed, 0U);
}

TEST_F(RoutesOfATenant, OfWhoIsConnectedHereAreNotChangedByWhatIsToldLate) {
  routes.put(one, {.filter = "a"});
  routes.forget(one, "a", "");
  routes.learn(one, {.filter = "b"});
  EXPECT_THAT(keys("a"), ElementsAre("blue/d1"));
  EXPECT_THAT(keys("b"), IsEmpty());
  routes.set_online(one, false);
  routes.learn(one, {.filter = "b"});
  routes.forget(one, "a", "");
  EXPECT_THAT(keys("a"), IsEmpty());
  EXPECT_THAT(keys("b"), ElementsAre("blue/d1"));
}

TEST_F(RoutesOfATenant, ForgetASessionAltogether) {
  routes.put(one, {.filter = "a"});
  routes.put(one, {.filter = "b", .group = "g"});
  routes.put(two, {.filter = "a"});
  EXPECT_THAT(routes.remove_all(one), UnorderedElementsAre("a", "$share/g/b"));
  EXPECT_THAT(routes.remove_all(one), IsEmpty());
  EXPECT_THAT(keys("a"), ElementsAre("blue/d2"));
  EXPECT_TRUE(routes.remove(two, "a", ""));
  EXPECT_TRUE(routes.is_empty());
}

TEST(TenantOf, IsWhatComesBeforeTheDevice) {
  EXPECT_EQ(tenant_of(SessionKey("blue/d1")), "blue");
  EXPECT_EQ(tenant_of(SessionKey("/client")), "");
}

}  // namespace
}  // namespace sluice::front
