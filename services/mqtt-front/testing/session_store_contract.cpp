#include "testing/session_store_contract.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include <sluice/testing/eventually.h>

namespace sluice::front::testing {

using namespace std::chrono_literals;

// The core's test program links this folder too, and has no store.
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(SessionStoreContract);

TEST_P(SessionStoreContract, GivesANewSessionThatIsEmpty) {
  const SessionStore::Claim made = claim(*one);
  EXPECT_FALSE(made.session_present);
  EXPECT_TRUE(made.session.subscriptions.empty());
  EXPECT_TRUE(made.session.deliveries.empty());
  EXPECT_EQ(made.session.next_sequence, 1U);
}

TEST_P(SessionStoreContract, ResumesEverythingInOrderWithItsPacketIds) {
  using State = mqtt::Delivery::State;
  StoredSession kept;
  kept.subscriptions = {{.filter = "blue/d1/#", .qos = mqtt::Qos::kAtLeastOnce},
                        {.filter = "jobs",
                         .group = "workers",
                         .qos = mqtt::Qos::kExactlyOnce,
                         .no_local = true,
                         .retain_as_published = true,
                         .subscription_id = 77}};
  // Packet ids have wrapped around: the later message has the lower one.
  kept.deliveries = {delivery_of(9, "a", 65'535, State::kSent),
                     delivery_of(10, "b", 1, State::kSent), delivery_of(11, "c"),
                     delivery_of(100, "d")};
  kept.deliveries[1].subscription_ids = {5, 6};
  kept.inbound_qos2 = {3, 40'000};
  kept.next_sequence = 101;
  keep(*one, claim(*one).epoch, kept);

  const SessionStore::Claim resumed = claim(*two);
  EXPECT_TRUE(resumed.session_present);
  EXPECT_EQ(resumed.session.subscriptions, kept.subscriptions);
  EXPECT_EQ(payloads_of(resumed.session), (std::vector<std::string>{"a", "b", "c", "d"}));
  ASSERT_EQ(resumed.session.deliveries.size(), 4U);
  EXPECT_EQ(resumed.session.deliveries[0].packet_id, 65'535);
  EXPECT_EQ(resumed.session.deliveries[0].state, State::kSent);
  EXPECT_EQ(resumed.session.deliveries[1].packet_id, 1);
  EXPECT_EQ(resumed.session.deliveries[1].subscription_ids, (std::vector<std::uint32_t>{5, 6}));
  EXPECT_EQ(resumed.session.deliveries[2].state, State::kWaiting);
  EXPECT_EQ(resumed.session.deliveries[3].sequence, 100U);
  EXPECT_EQ(resumed.session.inbound_qos2, kept.inbound_qos2);
  EXPECT_EQ(resumed.session.next_sequence, 101U);
}

TEST_P(SessionStoreContract, GivesRisingEpochs) {
  const Epoch first = claim(*one).epoch;
  const Epoch second = claim(*one).epoch;
  EXPECT_GT(second, first);
  ASSERT_TRUE(release(*one, second, {.expiry_seconds = 0}));
  EXPECT_GT(claim(*two).epoch, second);
}

TEST_P(SessionStoreContract, ForgetsEverythingAtACleanStart) {
  StoredSession kept;
  kept.subscriptions = {{.filter = "a"}};
  kept.deliveries = {delivery_of(1, "a")};
  kept.inbound_qos2 = {3};
  kept.next_sequence = 2;
  keep(*one, claim(*one).epoch, kept);
  const auto fresh = claim(*one, {.clean_start = true, .expiry_seconds = 100});
  EXPECT_FALSE(fresh.session_present);
  keep(*one, fresh.epoch, {});
  const auto resumed = claim(*two);
  EXPECT_TRUE(resumed.session_present);
  EXPECT_TRUE(resumed.session.subscriptions.empty());
  EXPECT_TRUE(resumed.session.deliveries.empty());
  EXPECT_TRUE(resumed.session.inbound_qos2.empty());
}

TEST_P(SessionStoreContract, EndsASessionWithoutExpiryWithItsConnection) {
  const auto made = claim(*one, {.expiry_seconds = 0});
  ASSERT_TRUE(release(*one, made.epoch, {.expiry_seconds = 0}));
  EXPECT_FALSE(locate(*two)->exists);
  EXPECT_FALSE(claim(*two).session_present);
}

TEST_P(SessionStoreContract, SaysWhichFrontOwnsASession) {
  const auto mine = claim(*one);
  const auto other = try_claim(*two, {.expiry_seconds = 100}, key);
  ASSERT_TRUE(other) << other.error().message();
  ASSERT_TRUE(other->owned_by_other);
  EXPECT_EQ(other->owned_by_other->owner, one->id());
  EXPECT_EQ(other->owned_by_other->epoch, mine.epoch);
  EXPECT_EQ(other->owned_by_other->address, "address of " + one->id().value());
  const auto place = locate(*two);
  ASSERT_TRUE(place && place->exists && place->owner);
  EXPECT_EQ(place->owner->owner, one->id());
  EXPECT_EQ(locate(*one)->owner->owner, one->id());
  ASSERT_TRUE(release(*one, mine.epoch, {.expiry_seconds = 100}));
  EXPECT_FALSE(locate(*two)->owner);
  EXPECT_TRUE(claim(*two).session_present);
}

TEST_P(SessionStoreContract, LetsNobodyReleaseWithAnOldEpoch) {
  const Epoch old = claim(*one).epoch;
  const Epoch now = claim(*one).epoch;
  const auto late = release(*one, old, {.expiry_seconds = 0});
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code(), ErrorCode::kAborted);
  EXPECT_EQ(late.error().reason(), "fenced");
  EXPECT_TRUE(locate(*two)->owner);
  EXPECT_TRUE(release(*one, now, {.expiry_seconds = 100}));
}

TEST_P(SessionStoreContract, QueuesForASessionThatNobodyOwns) {
  StoredSession kept;
  kept.subscriptions = {{.filter = "a", .qos = mqtt::Qos::kAtLeastOnce}};
  kept.deliveries = {delivery_of(4, "first")};
  kept.next_sequence = 5;
  keep(*one, claim(*one).epoch, kept);
  const auto place = locate(*two);
  ASSERT_TRUE(place);
  EXPECT_TRUE(place->exists);
  EXPECT_FALSE(place->owner);
  EXPECT_EQ(place->subscriptions, kept.subscriptions);
  ASSERT_TRUE(enqueue(*two, "second"));
  ASSERT_TRUE(enqueue(*one, "third"));
  const auto resumed = claim(*two);
  EXPECT_EQ(payloads_of(resumed.session), (std::vector<std::string>{"first", "second", "third"}));
  EXPECT_EQ(resumed.session.deliveries.at(1).sequence, 5U);
  EXPECT_EQ(resumed.session.next_sequence, 7U);
}

TEST_P(SessionStoreContract, RefusesToQueueForWhatIsOwnedOrGone) {
  const auto gone = enqueue(*one, "x");
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().code(), ErrorCode::kNotFound);
  claim(*one);
  const auto owned = enqueue(*two, "x");
  ASSERT_FALSE(owned);
  EXPECT_EQ(owned.error().code(), ErrorCode::kFailedPrecondition);
  EXPECT_EQ(owned.error().reason(), "owned");
}

TEST_P(SessionStoreContract, BoundsAQueueByMessagesAndBytes) {
  keep(*one, claim(*one).epoch, {});
  for (std::int64_t i = 0; i < config.max_queued; ++i) ASSERT_TRUE(enqueue(*two, "x")) << i;
  const auto full = enqueue(*two, "x");
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().code(), ErrorCode::kResourceExhausted);
  EXPECT_EQ(full.error().reason(), "session_max_queued");

  keep(*one, claim(*one, {.clean_start = true, .expiry_seconds = 100}).epoch, {});
  const std::string half(config.max_queued_bytes.count * 6 / 10, 'x');
  ASSERT_TRUE(enqueue(*two, half));
  const auto big = enqueue(*two, half);
  ASSERT_FALSE(big);
  EXPECT_EQ(big.error().reason(), "session_max_queued_bytes");
  EXPECT_EQ(claim(*two).session.deliveries.size(), 1U);
}

// [MQTT5-3.3.2-5]: a queue of what nobody will get has room for what somebody waits for.
TEST_P(SessionStoreContract, MakesRoomInAQueueOfWhatHasExpired) {
  const auto has_expired = [](mqtt::Delivery delivery) {
    auto message = *delivery.message;
    message.expires_at = MonoTime(1ns);
    delivery.message = std::make_shared<const mqtt::Message>(std::move(message));
    return delivery;
  };
  StoredSession kept;
  kept.deliveries = {has_expired(delivery_of(1, "sent", 7, mqtt::Delivery::State::kSent))};
  kept.next_sequence = 2;
  keep(*one, claim(*one).epoch, kept);
  ASSERT_TRUE(enqueue(*two, "lasts"));
  for (std::int64_t i = 2; i < config.max_queued; ++i) {
    ASSERT_TRUE(enqueue(*two, has_expired(delivery_of(0, "x")))) << i;
  }
  for (std::int64_t i = 2; i < config.max_queued; ++i) {
    ASSERT_TRUE(enqueue(*two, "fresh")) << i;
  }
  EXPECT_FALSE(enqueue(*two, "too many"));
  auto payloads = payloads_of(claim(*two).session);
  ASSERT_EQ(payloads.size(), static_cast<std::size_t>(config.max_queued));
  EXPECT_EQ(payloads[0], "sent") << "what was sent has to be completed";
  EXPECT_EQ(payloads[1], "lasts");
  EXPECT_EQ(payloads[2], "fresh");
  Counter dropped = two->metrics().counter(
      "sluice_mqtt_dropped_total", "Messages not passed on, by reason.", {{"reason", "expired"}});
  EXPECT_EQ(dropped.value(), static_cast<std::uint64_t>(config.max_queued - 2));
}

TEST_P(SessionStoreContract, EndsASessionWhoseExpiryIsOver) {
  keep(*one, claim(*one, {.expiry_seconds = 1}).epoch, {}, 1);
  EXPECT_TRUE(locate(*two)->exists);
  under_test->pass(1s);
  EXPECT_TRUE(eventually([&] { return !locate(*two)->exists; }));
  EXPECT_FALSE(claim(*two).session_present);
}

TEST_P(SessionStoreContract, KeepsASessionForeverWhenToldSo) {
  const auto made = claim(*one, {.expiry_seconds = kSessionForever});
  ASSERT_TRUE(release(*one, made.epoch, {.expiry_seconds = kSessionForever}));
  EXPECT_TRUE(locate(*two)->exists);
  EXPECT_TRUE(claim(*two, {.expiry_seconds = kSessionForever}).session_present);
}

TEST_P(SessionStoreContract, TellsEveryFrontOfWideSubscriptions) {
  const Epoch epoch = claim(*one).epoch;
  const auto put = [&](FrontUnderTest& front, const std::string& filter, const std::string& group) {
    const StoredSubscription subscription{.filter = filter, .group = group};
    return wait_for<void>(front.loop(), [&](Done<void> done) {
      front.store().put_wide(key, epoch, subscription, std::move(done));
    });
  };
  ASSERT_TRUE(put(*one, "blue/+/up", ""));
  ASSERT_TRUE(put(*two, "blue/#", "g"));
  const std::set<std::string> both{"blue/d1  blue/+/up", "blue/d1 g blue/#"};
  EXPECT_TRUE(eventually([&] { return one->listener().wide() == both; }));
  EXPECT_TRUE(eventually([&] { return two->listener().wide() == both; }));
  const auto late = under_test->start_front();
  EXPECT_TRUE(eventually([&] { return late->listener().wide() == both; }));

  ASSERT_TRUE(wait_for<void>(one->loop(), [&](Done<void> done) {
    one->store().remove_wide(key, "blue/#", "g", std::move(done));
  }));
  const std::set<std::string> left{"blue/d1  blue/+/up"};
  for (FrontUnderTest* front : {one.get(), two.get(), late.get()}) {
    EXPECT_TRUE(eventually([&] { return front->listener().wide() == left; }));
  }
}

TEST_P(SessionStoreContract, TellsEveryFrontOfRetainedMessages) {
  using Retained = std::map<std::string, std::string>;
  ASSERT_TRUE(retain(*one, "a", "1"));
  ASSERT_TRUE(retain(*two, "b", "2"));
  ASSERT_TRUE(retain(*two, "a", "3"));
  const Retained both{{"a", "3"}, {"b", "2"}};
  EXPECT_TRUE(eventually([&] { return one->listener().retained() == both; }));
  EXPECT_TRUE(eventually([&] { return two->listener().retained() == both; }));
  const auto late = under_test->start_front();
  EXPECT_TRUE(eventually([&] { return late->listener().retained() == both; }));
  ASSERT_TRUE(wait_for<void>(one->loop(), [&](Done<void> done) {
    one->store().remove_retained("b", SessionStore::WhenAway::kFail, std::move(done));
  }));
  for (FrontUnderTest* front : {one.get(), two.get(), late.get()}) {
    EXPECT_TRUE(eventually([&] { return front->listener().retained() == Retained{{"a", "3"}}; }));
  }
}

TEST_P(SessionStoreContract, PublishesAWillOnceAfterItsDelay) {
  const auto made = claim(*one, {.expiry_seconds = 100, .will = will_of("gone", 1s)});
  ASSERT_TRUE(release(*one, made.epoch, {.expiry_seconds = 100, .will = will_of("gone", 1s)}));
  under_test->step();
  const auto wills = [&] {
    auto all = one->listener().wills();
    std::ranges::copy(two->listener().wills(), std::back_inserter(all));
    return all;
  };
  under_test->pass(1s);
  const std::vector<std::string> once{"blue/d1 gone"};
  EXPECT_TRUE(eventually([&] { return wills() == once; }));
  // A second one goes the same way: had the first been handed out twice, it would show here.
  const auto again = claim(*two, {.expiry_seconds = 100});
  ASSERT_TRUE(release(*two, again.epoch, {.expiry_seconds = 100, .will = will_of("again", 0s)}));
  EXPECT_TRUE(eventually([&] { return wills().size() >= 2; }));
  EXPECT_EQ(std::ranges::count(wills(), "blue/d1 gone"), 1);
  EXPECT_EQ(std::ranges::count(wills(), "blue/d1 again"), 1);
}

TEST_P(SessionStoreContract, KeepsTheWillOfASessionThatComesBackInTime) {
  const auto made = claim(*one);
  ASSERT_TRUE(release(*one, made.epoch, {.expiry_seconds = 100, .will = will_of("no", 50s)}));
  const auto back = claim(*two);
  ASSERT_TRUE(release(*two, back.epoch, {.expiry_seconds = 100, .will = will_of("yes", 0s)}));
  EXPECT_TRUE(eventually(
      [&] { return one->listener().wills().size() + two->listener().wills().size() >= 1; }));
  auto wills = one->listener().wills();
  std::ranges::copy(two->listener().wills(), std::back_inserter(wills));
  EXPECT_EQ(wills, std::vector<std::string>{"blue/d1 yes"});
}

TEST_P(SessionStoreContract, PublishesADelayedWillWhenTheSessionIsEndedByACleanStart) {
  const auto made = claim(*one);
  ASSERT_TRUE(release(*one, made.epoch, {.expiry_seconds = 100, .will = will_of("ended", 50s)}));
  claim(*two, {.clean_start = true, .expiry_seconds = 100});
  EXPECT_TRUE(eventually(
      [&] { return one->listener().wills().size() + two->listener().wills().size() == 1; }));
}

TEST_P(SessionStoreContract, PublishesTheWillsOfAFrontThatDied) {
  claim(*one, {.expiry_seconds = 100, .will = will_of("died", 0s)});
  const auto without =
      try_claim(*one, {.expiry_seconds = 100}, SessionKey("blue/d2"));  // has nothing to say
  ASSERT_TRUE(without);
  under_test->kill(*one);
  EXPECT_TRUE(eventually(
      [&] { return two->listener().wills() == std::vector<std::string>{"blue/d1 died"}; }));
}

TEST_P(SessionStoreContract, GivesTheSessionsOfADeadFrontToWhoeverClaims) {
  const Epoch old = claim(*one).epoch;
  under_test->kill(*one);
  SessionStore::ClaimOutcome outcome;
  EXPECT_TRUE(eventually([&] {
    auto tried = try_claim(*two, {.expiry_seconds = 100}, key);
    if (!tried || tried->owned_by_other) return false;
    outcome = *std::move(tried);
    return true;
  }));
  EXPECT_GT(outcome.claim.epoch, old);
}

TEST_P(SessionStoreContract, HasOneOwnerAtATimeHoweverManyClaim) {
  // 200 clients with one id: claims of one front replace one another, the other front's are told
  // who owns it.
  std::atomic<int> granted_to_one = 0;
  std::atomic<int> granted_to_two = 0;
  std::atomic<int> answered = 0;
  const auto ask = [&](FrontUnderTest& front, std::atomic<int>& granted) {
    for (int i = 0; i < 100; ++i) {
      front.loop().post()([&] {
        front.store().claim(key, {.expiry_seconds = 100}, [&](auto outcome) {
          if (outcome && !outcome->owned_by_other) ++granted;
          ++answered;
        });
      });
    }
  };
  ask(*one, granted_to_one);
  ask(*two, granted_to_two);
  EXPECT_TRUE(eventually([&] { return answered.load() == 200; }));
  const auto place = locate(*one);
  ASSERT_TRUE(place && place->owner);
  const bool is_ones = place->owner->owner == one->id();
  EXPECT_EQ(granted_to_one.load(), is_ones ? 100 : 0);
  EXPECT_EQ(granted_to_two.load(), is_ones ? 0 : 100);
}

}  // namespace sluice::front::testing
