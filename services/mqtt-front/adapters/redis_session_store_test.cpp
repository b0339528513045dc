#include "adapters/redis_session_store.h"

#include "adapters/redis_under_test.h"

#include <algorithm>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace sluice::front::testing {
namespace {

using namespace std::chrono_literals;

INSTANTIATE_TEST_SUITE_P(Redis, SessionStoreContract, ::testing::Values(make_single));
INSTANTIATE_TEST_SUITE_P(RedisCluster, SessionStoreContract, ::testing::Values(make_cluster));

INSTANTIATE_TEST_SUITE_P(Redis, RedisSessionStoreTest, ::testing::Values(make_single));

TEST_P(RedisSessionStoreTest, RefusesEveryWriteOfAnOldEpoch) {
  const Epoch old = claim(*one).epoch;
  const Epoch current = claim(*one).epoch;
  const StoredSubscription subscription{.filter = "a"};
  using Call = std::function<void(SessionStore&, Done<void>)>;
  const std::vector<std::pair<const char*, Call>> writes{
      {"put_subscription",
       [&](SessionStore& store, Done<void> done) {
         store.put_subscription(key, old, subscription, std::move(done));
       }},
      {"remove_subscription",
       [&](SessionStore& store, Done<void> done) {
         store.remove_subscription(key, old, "a", "", std::move(done));
       }},
      {"put_delivery",
       [&](SessionStore& store, Done<void> done) {
         store.put_delivery(key, old, delivery_of(1, "x"), std::move(done));
       }},
      {"put_inbound", [&](SessionStore& store,
                          Done<void> done) { store.put_inbound(key, old, 1, std::move(done)); }},
      {"remove_inbound", [&](SessionStore& store, Done<void> done) {
         store.remove_inbound(key, old, 1, std::move(done));
       }}};
  for (const auto& [name, call] : writes) {
    const auto refused = change(*one, call);
    ASSERT_FALSE(refused) << name;
    EXPECT_EQ(refused.error().code(), ErrorCode::kAborted) << name;
    EXPECT_EQ(refused.error().reason(), "fenced") << name;
  }
  // The two without an answer.
  ASSERT_TRUE(put_delivery(*one, current, delivery_of(1, "x")));
  one->loop().post()([&] {
    one->store().update_delivery(key, old, delivery_of(1, "x", 9, mqtt::Delivery::State::kSent));
    one->store().remove_delivery(key, old, 1);
  });
  ASSERT_TRUE(release(*one, current, {.expiry_seconds = 100}));
  const auto resumed = claim(*two);
  ASSERT_EQ(resumed.session.deliveries.size(), 1U);
  EXPECT_EQ(resumed.session.deliveries[0].packet_id, 0);
  EXPECT_TRUE(resumed.session.subscriptions.empty());
}

TEST_P(RedisSessionStoreTest, KeepsAReleasedHandshakeWithoutItsMessage) {
  const Epoch epoch = claim(*one).epoch;
  mqtt::Delivery delivery = delivery_of(1, std::string(2000, 'x'));
  delivery.qos = mqtt::Qos::kExactlyOnce;
  ASSERT_TRUE(put_delivery(*one, epoch, delivery));
  delivery.packet_id = 4711;
  delivery.state = mqtt::Delivery::State::kReleased;
  one->loop().post()([&] { one->store().update_delivery(key, epoch, delivery); });
  ASSERT_TRUE(release(*one, epoch, {.expiry_seconds = 100}));
  const auto resumed = claim(*two);
  ASSERT_EQ(resumed.session.deliveries.size(), 1U);
  EXPECT_EQ(resumed.session.deliveries[0].state, mqtt::Delivery::State::kReleased);
  EXPECT_EQ(resumed.session.deliveries[0].qos, mqtt::Qos::kExactlyOnce);
  EXPECT_EQ(resumed.session.deliveries[0].packet_id, 4711);
  EXPECT_EQ(resumed.session.deliveries[0].message, nullptr);
}

TEST_P(RedisSessionStoreTest, TakesSubscriptionsDeliveriesAndInboundOffAgain) {
  const Epoch epoch = claim(*one).epoch;
  for (const char* filter : {"a", "b", "a"}) {
    const StoredSubscription subscription{.filter = filter};
    ASSERT_TRUE(change(*one, [&](SessionStore& store, Done<void> done) {
      store.put_subscription(key, epoch, subscription, std::move(done));
    }));
  }
  ASSERT_TRUE(change(*one, [&](SessionStore& store, Done<void> done) {
    store.remove_subscription(key, epoch, "b", "", std::move(done));
  }));
  for (std::uint64_t i = 1; i <= 3; ++i) {
    ASSERT_TRUE(put_delivery(*one, epoch, delivery_of(i, std::to_string(i))));
  }
  one->loop().post()([&] {
    for (std::uint64_t i = 1; i <= 3; ++i) one->store().remove_delivery(key, epoch, i);
  });
  for (const bool is_put : {true, false}) {
    ASSERT_TRUE(change(*one, [&](SessionStore& store, Done<void> done) {
      if (is_put)
        store.put_inbound(key, epoch, 7, std::move(done));
      else
        store.remove_inbound(key, epoch, 7, std::move(done));
    }));
  }
  const std::string queue = redis().keys().session(key)[1];
  EXPECT_EQ(redis().ask(queue, {"EXISTS", queue}).integer(), 0) << "an empty queue takes no room";
  ASSERT_TRUE(release(*one, epoch, {.expiry_seconds = 100}));
  const auto resumed = claim(*two);
  ASSERT_EQ(resumed.session.subscriptions.size(), 1U);
  EXPECT_EQ(resumed.session.subscriptions[0].filter, "a");
  EXPECT_TRUE(resumed.session.deliveries.empty());
  EXPECT_TRUE(resumed.session.inbound_qos2.empty());
  EXPECT_EQ(resumed.session.next_sequence, 4U) << "a sequence is never given twice";
}

// A front whose first try was done, and whose answer was lost, cannot know that.
TEST_P(RedisSessionStoreTest, MayBeToldOfAnInboundPublishAgain) {
  const Epoch epoch = claim(*one).epoch;
  const auto tell = [&](bool is_put) {
    return change(*one, [&](SessionStore& store, Done<void> done) {
      if (is_put) return store.put_inbound(key, epoch, 7, std::move(done));
      store.remove_inbound(key, epoch, 7, std::move(done));
    });
  };
  EXPECT_TRUE(tell(true) && tell(true));
  ASSERT_TRUE(release(*one, epoch, {.expiry_seconds = 100}));
  EXPECT_EQ(claim(*one).session.inbound_qos2, std::vector<std::uint16_t>{7});
  const auto late = tell(false);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().reason(), "fenced");
}

TEST_P(RedisSessionStoreTest, BoundsWhatAnOwnerPuts) {
  const Epoch epoch = claim(*one).epoch;
  std::uint64_t sequence = 0;
  while (sequence < static_cast<std::uint64_t>(config.max_queued)) {
    ASSERT_TRUE(put_delivery(*one, epoch, delivery_of(++sequence, "x")));
  }
  const auto full = put_delivery(*one, epoch, delivery_of(++sequence, "x"));
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().reason(), "session_max_queued");
}

TEST_P(RedisSessionStoreTest, DeliversToTheQueueOfASessionWhoseFrontDied) {
  const Epoch epoch = claim(*one).epoch;
  const StoredSubscription subscription{.filter = "a"};
  ASSERT_TRUE(change(*one, [&](SessionStore& store, Done<void> done) {
    store.put_subscription(key, epoch, subscription, std::move(done));
  }));
  ASSERT_TRUE(put_delivery(*one, epoch, delivery_of(1, "first")));
  under_test->kill(*one);
  EXPECT_TRUE(eventually([&] {
    const auto place = locate(*two);
    return place && place->exists && !place->owner && place->subscriptions.size() == 1;
  }));
  ASSERT_TRUE(enqueue(*two, "second"));
  const auto late = put_delivery(*one, epoch, delivery_of(2, "of a zombie"));
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().reason(), "fenced");
  EXPECT_EQ(payloads_of(claim(*two).session), (std::vector<std::string>{"first", "second"}));
}

TEST_P(RedisSessionStoreTest, ReadsATableAgainWhoseLogWasCutOff) {
  const auto put = [&](const std::string& topic) {
    const auto message = message_of(topic, "x");
    ASSERT_TRUE(change(*one, [&](SessionStore& store, Done<void> done) {
      store.put_retained(message, SessionStore::WhenAway::kFail, std::move(done));
    }));
  };
  put("a");
  ASSERT_TRUE(eventually([&] { return two->listener().retained().contains("a"); }));
  // As if thousands of changes had come while the fronts did not look: one value and one version
  // appear, and the log does not tell of them.
  const auto names = redis().keys().mirror("retained");
  redis().ask(names[0], {"HDEL", names[0], "a"});
  redis().ask(names[2], {"HINCRBY", names[2], "ver", "5"});
  EXPECT_TRUE(eventually([&] { return two->listener().retained().empty(); }));
  put("b");
  EXPECT_TRUE(eventually([&] { return two->listener().retained().contains("b"); }));
}

TEST_P(RedisSessionStoreTest, TellsRedisAgainOfASessionItLetGoOf) {
  const Epoch epoch = claim(*one, {.expiry_seconds = 100, .will = will_of("w", 1s)}).epoch;
  const std::string record = redis().keys().session(key)[0];
  redis().ask(record, {"RENAME", record, record + "aside"});  // the same slot: {} holds it
  redis().ask(record, {"SADD", record, "so that the release fails"});
  EXPECT_FALSE(release(*one, epoch, {.expiry_seconds = 100, .will = will_of("w", 1s)}));
  redis().ask(record, {"RENAME", record + "aside", record});
  EXPECT_TRUE(eventually([&] {
    const auto place = locate(*two);
    return place && place->exists && !place->owner;
  }));
  EXPECT_TRUE(eventually(
      [&] { return one->listener().wills().size() + two->listener().wills().size() == 1; }));
  const auto resumed = try_claim(*two, {.expiry_seconds = 100}, key);
  ASSERT_TRUE(resumed);
  EXPECT_FALSE(resumed->owned_by_other);
  EXPECT_TRUE(resumed->claim.session_present);
}

TEST_P(RedisSessionStoreTest, LetsGoOfWhatAClaimWithoutAnAnswerMade) {
  const std::string wills = redis().keys().front_wills(one->id().value());
  redis().ask(wills, {"SET", wills, "so that the claim is made and fails"});
  EXPECT_FALSE(try_claim(*one, {.expiry_seconds = 100, .will = will_of("w", 0s)}, key));
  EXPECT_TRUE(eventually([&] {
    const auto place = locate(*two);
    return place && place->exists && !place->owner;
  }));
  // The connection was never accepted, and so nobody is to hear of its end.
  EXPECT_EQ(redis()
                .ask(redis().keys().session(key)[2], {"EXISTS", redis().keys().session(key)[2]})
                .integer(),
            0);
}

TEST_P(RedisSessionStoreTest, LetsGoOfNothingThatItClaimedSince) {
  const std::string wills = redis().keys().front_wills(one->id().value());
  redis().ask(wills, {"SET", wills, "so that the claim is made and fails"});
  EXPECT_FALSE(try_claim(*one, {.expiry_seconds = 100, .will = will_of("w", 0s)}, key));
  const SessionKey other("blue/other");
  EXPECT_FALSE(try_claim(*one, {.expiry_seconds = 100, .will = will_of("w", 0s)}, other));
  const Epoch epoch = claim(*one, {.expiry_seconds = 100}).epoch;
  // Its turn would have come together with that of the other one.
  ASSERT_TRUE(eventually([&] {
    const auto place = wait_for<SessionStore::Place>(
        two->loop(),
        [&](Done<SessionStore::Place> done) { two->store().locate(other, std::move(done)); });
    return place && place->exists && !place->owner;
  }));
  EXPECT_TRUE(put_delivery(*one, epoch, delivery_of(1, "x")));
  const auto place = locate(*two);
  ASSERT_TRUE(place);
  EXPECT_TRUE(place->owner);
}

TEST_P(RedisSessionStoreTest, TakesWhatItsOwnerSaysThatItDoesNotHold) {
  const Epoch epoch = claim(*one).epoch;
  const auto owned = try_claim(*two, {.expiry_seconds = 100}, key);
  ASSERT_TRUE(owned);
  ASSERT_TRUE(owned->owned_by_other);
  EXPECT_EQ(owned->owned_by_other->epoch, epoch);
  // What it claimed since it said so is its own.
  const Epoch later = claim(*one).epoch;
  const auto refused =
      try_claim(*two, {.expiry_seconds = 100, .not_held_by = owned->owned_by_other}, key);
  ASSERT_TRUE(refused);
  ASSERT_TRUE(refused->owned_by_other);
  EXPECT_EQ(refused->owned_by_other->epoch, later);
  const auto taken =
      try_claim(*two, {.expiry_seconds = 100, .not_held_by = refused->owned_by_other}, key);
  ASSERT_TRUE(taken);
  EXPECT_FALSE(taken->owned_by_other);
  EXPECT_TRUE(taken->claim.session_present);
  EXPECT_FALSE(put_delivery(*one, later, delivery_of(1, "x")));
}

TEST_P(RedisSessionStoreTest, KeepsAnIdleSessionSmall) {
  const SessionKey usual(
      "0192f0c1-7a5e-7cc3-98c4-dc0c0c07398f/0192f0c1-7a5e-7cc3-98c4-dc0c0c073990");
  const auto made = try_claim(*one, {.expiry_seconds = 3600}, usual);
  ASSERT_TRUE(made);
  for (const char* filter : {"$sys/commands/#", "devices/shadow/update/delta", "devices/jobs/+"}) {
    const StoredSubscription subscription{.filter = filter, .qos = mqtt::Qos::kAtLeastOnce};
    ASSERT_TRUE(change(*one, [&](SessionStore& store, Done<void> done) {
      store.put_subscription(usual, made->claim.epoch, subscription, std::move(done));
    }));
  }
  ASSERT_TRUE(change(*one, [&](SessionStore& store, Done<void> done) {
    store.release(usual, made->claim.epoch, {.expiry_seconds = 3600}, std::move(done));
  }));
  const std::string record = redis().keys().session(usual)[0];
  const auto bytes = redis().ask(record, {"MEMORY", "USAGE", record}).integer();
  RecordProperty("memory_usage", std::to_string(bytes));
  RecordProperty("key_size", std::to_string(record.size()));
  RecordProperty("record_size", std::to_string(redis().ask(record, {"STRLEN", record}).integer()));
  EXPECT_GT(bytes, 0);
  EXPECT_LE(bytes, 200 + static_cast<std::int64_t>(record.size()));
  for (const std::size_t other : {1U, 2U}) {
    const std::string name = redis().keys().session(usual)[other];
    EXPECT_EQ(redis().ask(name, {"EXISTS", name}).integer(), 0);
  }
}

}  // namespace
}  // namespace sluice::front::testing
