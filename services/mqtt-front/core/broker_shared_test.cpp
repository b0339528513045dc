#include "testing/test_front.h"

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::front::testing {
namespace {

using mqtt::PacketType;
using mqtt::Qos;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Outcome = Neighbours::Outcome;

constexpr std::string_view kShare = "$share/g/tenant/blue/device/+/up/#";
const SessionKey kD1("blue/d1");

/// Devices that may join the group of kShare.
void add_devices(TestFront& front, std::initializer_list<const char*> devices) {
  for (const char* device : devices) {
    front.add_device(device, {{.action = AccessRule::Action::kSubscribe,
                               .filter = "tenant/blue/device/+/up/#"}});
  }
}

/// To whoever is subscribed to what d9 says.
FanOutCounts fan_out(TestFront& front, const std::string& payload, Qos qos) {
  FanOutCounts counts{.failed = 99};
  const auto message = std::make_shared<const mqtt::Message>(
      mqtt::Message{.topic = TestFront::own("d9", "up/x"), .payload = payload, .qos = qos});
  front.broker->publish("blue", message, [&](Result<FanOutCounts> made) { counts = *made; });
  front.settle();
  return counts;
}

/// d1 and d2 are the members of a group; what a test publishes goes to d1 first.
class SharedDelivering : public ::testing::TestWithParam<bool> {
 protected:
  explicit SharedDelivering(Options options = {})
      : front(std::move(options), {.is_durable = GetParam()}) {
    add_devices(front, {"d1", "d2", "d3"});
    come(one, "d1", 100);
  }
  TestClient& come(TestClient& client, std::string_view device, std::uint32_t expiry,
                   bool is_clean = false) {
    client.hello.session_expiry_seconds = expiry;
    client.hello.clean_start = is_clean;
    client.connect(device).subscribe(kShare, Qos::kExactlyOnce);
    client.received();
    return client;
  }
  FanOutCounts publish(const std::string& payload, Qos qos = Qos::kAtLeastOnce) {
    return fan_out(front, payload, qos);
  }
  std::uint64_t given_on() { return front.metrics.given_on.value(); }
  static std::string sent(const std::string& payload, int qos, int id = 1) {
    return "publish " + topic + " q" + std::to_string(qos) + " #" + std::to_string(id) + " '" +
           payload + "'";
  }

  static inline const std::string topic = TestFront::own("d9", "up/x");
  TestFront front;
  TestClient one{front};
  TestClient two{front};
};
INSTANTIATE_TEST_SUITE_P(Store, SharedDelivering, ::testing::Bool(), [](const auto& parameter) {
  return parameter.param ? "Durable" : "OfTheProcess";
});

/// A member can have one message under way, so that a second one waits.
class NarrowSharedDelivering : public SharedDelivering {
 protected:
  NarrowSharedDelivering() : SharedDelivering({.connection = {.send_maximum = 1}}) {}
};
INSTANTIATE_TEST_SUITE_P(Store, NarrowSharedDelivering, ::testing::Bool());

TEST_P(SharedDelivering, GivesOnWhatWasNotAcknowledgedWhenAMemberDisconnects) {
  publish("x");
  EXPECT_THAT(one.received(), ElementsAre(sent("x", 1)));
  come(two, "d2", 0);
  one.disconnect(mqtt::ReasonCode::kSuccess, 0);
  EXPECT_THAT(two.received(), ElementsAre(sent("x", 1))) << "as new: no DUP, an id of its own";
  EXPECT_EQ(given_on(), 1U);
}

TEST_P(SharedDelivering, GivesOnWhatIsOnlyInMemory) {
  TestClient brief(front);
  come(brief, "d3", 0);
  one.unsubscribe(kShare);
  publish("x");
  come(two, "d2", 0);
  brief.lose();
  front.settle();
  EXPECT_THAT(two.received(), ElementsAre(sent("x", 1)));
}

TEST_P(SharedDelivering, GivesOnNothingThatWasAcknowledged) {
  publish("x");
  one.received();
  one.acknowledge(PacketType::kPuback, 1);
  come(two, "d2", 0);
  one.disconnect(mqtt::ReasonCode::kSuccess, 0);
  EXPECT_THAT(two.received(), IsEmpty());
}

TEST_P(SharedDelivering, KeepsWhatBelongsToASessionThatOutlivesItsConnection) {
  publish("x");
  one.received();
  come(two, "d2", 0);
  one.lose();
  front.settle();
  EXPECT_THAT(two.received(), IsEmpty());
  TestClient again(front);
  again.hello = one.hello;
  again.connect("d1");
  EXPECT_THAT(again.received(), Contains("publish " + topic + " q1 #1 dup 'x'"));
}

TEST_P(SharedDelivering, GivesOnWhatWaitedForASessionThatExpires) {
  one.lose();
  front.settle();
  EXPECT_EQ(publish("x").queued, 1U);
  EXPECT_EQ(publish("y", Qos::kExactlyOnce).queued, 1U);
  come(two, "d2", 0);
  front.store.expire(kD1);
  front.settle();
  EXPECT_EQ(front.broker->unattended(), 0U);
  EXPECT_THAT(two.received(), ElementsAre(sent("x", 1), sent("y", 2, 2)));
  if (GetParam()) {
    EXPECT_THAT(front.store.calls, Contains("remove_ended blue/d1 1"));
  }
}

TEST_P(SharedDelivering, GivesOnWhatWaitedForASessionThatStartsClean) {
  one.lose();
  front.settle();
  publish("x");
  come(two, "d2", 0);
  TestClient fresh(front);
  come(fresh, "d1", 0, true);
  EXPECT_THAT(two.received(), ElementsAre(sent("x", 1)));
  EXPECT_THAT(fresh.received(), IsEmpty());
}

TEST_P(SharedDelivering, GivesOnWhatWasUnderWayAtATakeOverWithCleanStart) {
  publish("x");
  come(two, "d2", 0);
  TestClient fresh(front);
  come(fresh, "d1", 100, true);
  EXPECT_TRUE(one.is_closed());
  EXPECT_THAT(two.received(), ElementsAre(sent("x", 1)));
  EXPECT_THAT(fresh.received(), IsEmpty());
}

TEST_P(SharedDelivering, GivesTwiceWhatWasSentAtQos2ToNobody) {
  publish("x", Qos::kExactlyOnce);
  EXPECT_THAT(one.received(), ElementsAre(sent("x", 2)));
  come(two, "d2", 0);
  one.disconnect(mqtt::ReasonCode::kSuccess, 0);
  EXPECT_THAT(two.received(), IsEmpty());
  EXPECT_EQ(given_on(), 0U);
}

TEST_P(SharedDelivering, GivesTwiceWhatWasReceivedAtQos2ToNobody) {
  publish("x", Qos::kExactlyOnce);
  one.received();
  one.acknowledge(PacketType::kPubrec, 1);
  come(two, "d2", 0);
  one.disconnect(mqtt::ReasonCode::kSuccess, 0);
  EXPECT_THAT(two.received(), IsEmpty());
}

TEST_P(NarrowSharedDelivering, GivesOnAtQos2WhatWasNeverSent) {
  for (const char* payload : {"x", "y"}) publish(payload, Qos::kExactlyOnce);
  EXPECT_THAT(one.received(), ElementsAre(sent("x", 2)));
  come(two, "d2", 0);
  one.disconnect(mqtt::ReasonCode::kSuccess, 0);
  EXPECT_THAT(two.received(), ElementsAre(sent("y", 2)));
}

TEST_P(NarrowSharedDelivering, GivesOnWhatWasNeverSentWhenAMemberUnsubscribes) {
  for (const char* payload : {"x", "y", "z"}) publish(payload);
  EXPECT_THAT(one.received(), ElementsAre(sent("x", 1)));
  come(two, "d2", 0);
  one.unsubscribe(kShare);
  EXPECT_THAT(two.received(), ElementsAre(sent("y", 1)));
  one.received();
  one.acknowledge(PacketType::kPuback, 1);
  front.settle();
  EXPECT_THAT(one.received(), IsEmpty()) << "it got a message that went to another";
  two.acknowledge(PacketType::kPuback, 1);
  EXPECT_THAT(two.received(), ElementsAre(sent("z", 1, 2)));
  if (GetParam()) {
    EXPECT_THAT(front.store.entries.at(kD1).session.deliveries, IsEmpty());
  }
}

TEST_P(NarrowSharedDelivering, KeepsWhatNobodyElseCanHaveWhenAMemberUnsubscribes) {
  for (const char* payload : {"x", "y"}) publish(payload);
  one.received();
  one.unsubscribe(kShare);
  EXPECT_THAT(one.received(), ElementsAre("unsuback 0x00"));
  one.acknowledge(PacketType::kPuback, 1);
  EXPECT_THAT(one.received(), ElementsAre(sent("y", 1, 2)));
  one.acknowledge(PacketType::kPuback, 2);
  if (GetParam()) {
    EXPECT_THAT(front.store.entries.at(kD1).session.deliveries, IsEmpty());
  }
}

TEST_P(SharedDelivering, GivesOnWhatWasNotAcknowledgedByADeviceThatIsSentAway) {
  publish("x");
  publish("y", Qos::kExactlyOnce);
  EXPECT_THAT(one.received(), ElementsAre(sent("x", 1), sent("y", 2, 2)));
  come(two, "d2", 0);
  front.revoke("d1");
  front.settle();
  EXPECT_THAT(two.received(), ElementsAre(sent("x", 1)));
  const auto& kept = front.store.entries.at(kD1).session.deliveries;
  ASSERT_EQ(kept.size(), 1U) << "what was begun at QoS 2 stays its own";
  EXPECT_EQ(kept[0].message->payload, "y");
}

TEST_P(SharedDelivering, GoesToWhoIsConnectedToAnotherFrontRatherThanToWhoIsAway) {
  come(two, "d2", 100);
  one.lose();
  two.lose();
  front.settle();
  front.store.foreign_claim(SessionKey("blue/d2"));
  for (int i = 0; i < 4; ++i) EXPECT_EQ(publish("x").delivered, 1U);
  EXPECT_EQ(front.neighbours.forwarded.size(), 4U);
  publish("x", Qos::kAtMostOnce);
  publish("x", Qos::kAtMostOnce);
  EXPECT_EQ(front.neighbours.forwarded.size(), 6U);
  front.store.foreign_release(SessionKey("blue/d2"));
  EXPECT_EQ(publish("x").queued, 1U) << "all are away";
  front.store.entries.erase(SessionKey("blue/d2"));
}

TEST_P(SharedDelivering, StaysInTheStoreUntilSomebodyElseHasIt) {
  if (!GetParam()) return;
  publish("x");
  publish("y");
  const auto& kept = front.store.entries.at(kD1).session.deliveries;
  const auto kept_always = [&] {
    do {
      EXPECT_GE(kept.size(), 2U);
    } while (front.tasks.run_one());
  };
  front.broker->on_change({.scope = DeviceChange::Scope::kDevice,
                           .tenant = "blue",
                           .name = "d1",
                           .revision = 9,
                           .end_reason = "device_quarantined"});
  kept_always();
  front.settle();
  EXPECT_EQ(kept.size(), 2U) << "there is no other member";
}

TEST_P(SharedDelivering, DropsWhatNobodyIsLeftFor) {
  publish("x");
  one.disconnect(mqtt::ReasonCode::kSuccess, 0);
  front.settle();
  EXPECT_EQ(front.dropped("shared_nobody_left"), 1U);
  EXPECT_EQ(given_on(), 0U);
}

TEST_P(SharedDelivering, DropsWhatEndsWhoeverGetsIt) {
  publish("x");
  int members = 1;
  for (; members < 100; ++members) {
    const bool is_odd = members % 2 == 1;
    auto next = std::make_unique<TestClient>(front);
    come(*next, is_odd ? "d2" : "d3", 100);
    if (members == 1) one.disconnect(mqtt::ReasonCode::kSuccess, 0);
    // The last one goes when the next is there, which is the only other member then.
    auto after = std::make_unique<TestClient>(front);
    come(*after, is_odd ? "d3" : "d2", 100);
    next->disconnect(mqtt::ReasonCode::kSuccess, 0);
    if (front.dropped("shared_too_often") > 0) break;
    after->lose();
    front.settle();
  }
  EXPECT_EQ(front.dropped("shared_too_often"), 1U);
  EXPECT_LT(members, 100) << "it goes round for ever";
}

TEST_P(SharedDelivering, DropsWhatHasExpired) {
  const auto message = std::make_shared<const mqtt::Message>(
      mqtt::Message{.topic = topic,
                    .qos = Qos::kAtLeastOnce,
                    .expires_at = front.clock.mono() + std::chrono::seconds(1)});
  front.broker->publish("blue", message, [](Result<FanOutCounts>) {});
  front.settle();
  come(two, "d2", 0);
  front.clock.advance(std::chrono::seconds(2));
  one.disconnect(mqtt::ReasonCode::kSuccess, 0);
  EXPECT_THAT(two.received(), IsEmpty());
  EXPECT_EQ(front.dropped("expired"), 1U);
}

/// A session holds two messages.
class SmallSharedDelivering : public SharedDelivering {
 protected:
  SmallSharedDelivering() : SharedDelivering({.session = {.max_queued = 2}}) {
    front.store.max_queued = 2;
  }
};
INSTANTIATE_TEST_SUITE_P(Store, SmallSharedDelivering, ::testing::Bool());

TEST_P(SmallSharedDelivering, GoesToTheNextMemberWhereOneHasNoRoom) {
  come(two, "d2", 100);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(publish("x").delivered, 1U);
  const FanOutCounts counts = publish("x");
  EXPECT_EQ(counts.dropped, 1U) << "all are full";
  EXPECT_EQ(one.received().size(), 2U);
  EXPECT_EQ(two.received().size(), 2U);
  one.acknowledge(PacketType::kPuback, 1);
  for (int i = 0; i < 1; ++i) EXPECT_EQ(publish("y").delivered, 1U) << "whoever's turn it is";
  EXPECT_THAT(one.received(), Contains(sent("y", 1, 3)));
}

TEST_P(SmallSharedDelivering, GoesToOneThatIsAwayWhenThoseConnectedAreFull) {
  come(two, "d2", 100);
  two.lose();
  front.settle();
  for (int i = 0; i < 2; ++i) EXPECT_EQ(publish("x").delivered, 1U);
  EXPECT_EQ(publish("y").queued, 1U);
}

TEST_P(SmallSharedDelivering, LeavesInTheStoreWhatHasNoRoomAnywhere) {
  come(two, "d2", 100);
  for (int i = 0; i < 4; ++i) publish("x");
  one.disconnect(mqtt::ReasonCode::kSuccess, 0);
  front.settle();
  EXPECT_EQ(front.dropped("shared_no_room"), GetParam() ? 0U : 2U);
  EXPECT_THAT(front.store.calls, ::testing::Not(Contains("remove_ended blue/d1 1")));
}

/// A group of three.
class SharedDeliveringToMany : public ::testing::Test {
 protected:
  SharedDeliveringToMany() {
    add_devices(front, {"d1", "d2", "d3"});
    for (const char* device : {"d1", "d2", "d3"}) {
      members.push_back(std::make_unique<TestClient>(front));
      members.back()->hello.session_expiry_seconds = 100;
      members.back()->connect(device).subscribe(kShare, Qos::kExactlyOnce).received();
    }
  }

  TestFront front{{}, {.is_durable = true}};
  std::vector<std::unique_ptr<TestClient>> members;
};

TEST_F(SharedDeliveringToMany, SendsToOneMemberAlthoughTheStoreHasNoRoom) {
  front.store.failures.emplace("put_delivery", Error(ErrorCode::kResourceExhausted, "no room"));
  EXPECT_EQ(fan_out(front, "x", Qos::kExactlyOnce).delivered, 1U);
  std::size_t received = 0;
  for (const auto& member : members) received += member->received().size();
  EXPECT_EQ(received, 1U);
}

TEST_F(SharedDeliveringToMany, TriesOneMemberMoreWhereTheStoreDoesNotAnswer) {
  for (const auto& member : members) member->lose();
  front.settle();
  front.store.failures.emplace("enqueue", Error(ErrorCode::kUnavailable, "no store"));
  for (const Qos qos : {Qos::kAtLeastOnce, Qos::kExactlyOnce}) {
    front.store.calls.clear();
    EXPECT_EQ(fan_out(front, "x", qos).failed, 1U);
    EXPECT_EQ(
        std::ranges::count_if(front.store.calls,
                              [](const std::string& call) { return call.starts_with("enqueue"); }),
        qos == Qos::kAtLeastOnce ? 2 : 1);
  }
}

TEST(SharedDeliveringAcrossLoops, GoesToTheLoopOfTheOtherMember) {
  TestFront front({}, {.loop = loop_of(kD1, 2), .loops = 2});
  add_devices(front, {"d1"});
  TestClient one(front);
  one.connect("d1").subscribe(kShare);
  std::string other = "e0";
  for (int i = 0; loop_of(SessionKey("blue/" + other), 2) == loop_of(kD1, 2); ++i) {
    other = "e" + std::to_string(i);
  }
  const auto message = std::make_shared<const mqtt::Message>(
      mqtt::Message{.topic = TestFront::own("d9", "up/x"), .qos = Qos::kAtLeastOnce});
  front.broker->publish("blue", message, [](Result<FanOutCounts>) {});
  front.routes.of("blue").learn(
      SessionKey("blue/" + other),
      {.filter = "tenant/blue/device/+/up/#", .group = "g", .qos = Qos::kExactlyOnce});
  front.neighbours.delivered.clear();
  one.disconnect();
  ASSERT_EQ(front.neighbours.delivered.size(), 1U);
  const auto& [key, parcel] = front.neighbours.delivered[0];
  EXPECT_EQ(key.value(), "blue/" + other);
  ASSERT_TRUE(parcel.delivery.share);
  EXPECT_EQ(*parcel.delivery.share, kShare);
  EXPECT_EQ(parcel.delivery.given_on, 1);
  EXPECT_EQ(parcel.delivery.state, mqtt::Delivery::State::kWaiting);
}

}  // namespace
}  // namespace sluice::front::testing
