#include "adapters/redis_under_test.h"

#include <algorithm>
#include <format>
#include <iterator>
#include <set>
#include <string>
#include <vector>

// What the store in Redis does with what sessions leave behind.
namespace sluice::front::testing {
namespace {

TEST_P(RedisSessionStoreTest, LetsEverythingOfASessionExpireTogether) {
  StoredSession kept;
  kept.deliveries = {delivery_of(1, "x")};
  keep(*one, claim(*one, {.expiry_seconds = 50}).epoch, kept, 50);
  ASSERT_TRUE(enqueue(*two, "y"));
  for (const std::string& name : {redis().keys().session(key)[0], redis().keys().session(key)[1]}) {
    const auto left = redis().ask(name, {"PTTL", name}).integer();
    EXPECT_GT(left, 0) << name;
    EXPECT_LE(left, 50'000) << name;
  }
}

TEST_P(RedisSessionStoreTest, HandsOutAgainWhatWasNotSettledUnlessItIsOfQos2) {
  StoredSession session;
  session.deliveries = {shared_of(1, "settled", mqtt::Qos::kAtLeastOnce),
                        shared_of(2, "open", mqtt::Qos::kAtLeastOnce),
                        shared_of(3, "twice", mqtt::Qos::kExactlyOnce)};
  keep(*one, claim(*one).epoch, session);
  claim(*two, {.clean_start = true, .expiry_seconds = 100});
  ASSERT_TRUE(eventually([&] { return ended().size() == 3; }));
  auto handed_out = one->listener().ended();
  std::ranges::move(two->listener().ended(), std::back_inserter(handed_out));
  EXPECT_EQ(handed_out[1].given_on, 3);
  one->loop().post()(
      [&, sequence = handed_out[0].sequence] { one->store().remove_ended(key, sequence); });

  // As if the time of whoever has them were over.
  const std::string left = redis().keys().session(key).back();
  const std::string list = redis().keys().ended_sessions();
  ASSERT_TRUE(eventually([&] {
    return redis()
               .ask(left, {"HEXISTS", left, std::format("d{}", handed_out[0].sequence)})
               .integer() == 0;
  }));
  redis().ask(left, {"HSET", left, "till", "0"});
  redis().ask(list, {"ZADD", list, "0", key.value()});
  EXPECT_TRUE(eventually([&] { return ended().size() >= 4; }));
  auto all = ended();
  std::ranges::sort(all);
  EXPECT_EQ(all, (std::vector<std::string>{"open", "open", "settled", "twice"}));
}

TEST_P(RedisSessionStoreTest, HandsOutWhatADeadFrontLeftOfItsSessions) {
  const Epoch epoch = claim(*one).epoch;
  ASSERT_TRUE(put_delivery(*one, epoch, shared_of(1, "x", mqtt::Qos::kAtLeastOnce)));
  under_test->kill(*one);
  // Its record is kept for longer than a test can wait; the queue outlives it.
  const auto keys = redis().keys().session(key);
  const auto life = [&](const std::string& name) {
    return redis().ask(name, {"PTTL", name}).integer();
  };
  EXPECT_GT(life(keys[1]), life(keys[0]) + 80'000'000);
  redis().ask(keys[0], {"DEL", keys[0]});
  const std::string list = redis().keys().ended_sessions();
  ASSERT_FALSE(redis().ask(list, {"ZSCORE", list, key.value()}).is_nil()) << "nobody looks for it";
  redis().ask(list, {"ZADD", list, "0", key.value()});
  EXPECT_TRUE(eventually([&] { return ended() == std::vector<std::string>{"x"}; }));
}

TEST_P(RedisSessionStoreTest, HandsOutWhatIsLeftOfASessionThatIsReleasedForGood) {
  const Epoch epoch = claim(*one).epoch;
  ASSERT_TRUE(put_delivery(*one, epoch, shared_of(1, "x", mqtt::Qos::kAtLeastOnce)));
  ASSERT_TRUE(release(*one, epoch, {.expiry_seconds = 0}));
  EXPECT_TRUE(eventually([&] { return ended() == std::vector<std::string>{"x"}; }));
}

TEST_P(RedisSessionStoreTest, KeepsNothingOfASessionThatEndsWithItsConnection) {
  keep(*one, claim(*one).epoch, {.deliveries = {shared_of(1, "x", mqtt::Qos::kAtLeastOnce)}});
  const auto resumed = claim(*one, {.expiry_seconds = 0});
  EXPECT_EQ(resumed.session.deliveries.size(), 1U);
  const std::string queue = redis().keys().session(key)[1];
  EXPECT_EQ(redis().ask(queue, {"EXISTS", queue}).integer(), 0)
      << "what is acknowledged from now on would be there for ever";
}

TEST_P(RedisSessionStoreTest, ForgetsTheWideSubscriptionsOfASessionThatExpired) {
  const StoredSubscription wide{.filter = "blue/+/up", .group = "g"};
  const auto put = [&](const SessionKey& of, Epoch epoch) {
    return wait_for<void>(one->loop(), [&](Done<void> done) {
      one->store().put_wide(of, epoch, wide, std::move(done));
    });
  };
  const SessionKey other("blue/d2");
  const auto stays = try_claim(*one, {.expiry_seconds = 100}, other);
  ASSERT_TRUE(stays);
  ASSERT_TRUE(put(other, stays->claim.epoch));
  const Epoch epoch = claim(*one, {.expiry_seconds = 1}).epoch;
  ASSERT_TRUE(put(key, epoch));
  keep(*one, epoch, {}, 1);
  const std::set<std::string> left{"blue/d2 g blue/+/up"};
  for (FrontUnderTest* front : {one.get(), two.get()}) {
    EXPECT_TRUE(eventually([&] { return front->listener().wide().size() == 2; }));
  }
  // Missing twice, with time enough in between for whoever owns it to put it back.
  const std::string ended = redis().keys().session(key).back();
  const std::string list = redis().keys().ended_sessions();
  EXPECT_TRUE(
      eventually([&] { return redis().ask(ended, {"HEXISTS", ended, "gone"}).integer() == 1; }));
  EXPECT_EQ(one->listener().wide().size(), 2U);
  redis().ask(list, {"ZADD", list, "0", key.value()});
  for (FrontUnderTest* front : {one.get(), two.get()}) {
    EXPECT_TRUE(eventually([&] { return front->listener().wide() == left; }));
  }
}

}  // namespace
}  // namespace sluice::front::testing
