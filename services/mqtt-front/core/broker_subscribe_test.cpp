#include "testing/test_front.h"

#include <sluice/mqtt/encoder.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::front::testing {
namespace {

using mqtt::Qos;
using mqtt::RetainHandling;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Not;

const SessionKey kD1("blue/d1");

std::string own(std::string_view suffix) { return TestFront::own("d1", suffix); }

/// What lets a device see its neighbours.
std::vector<AccessRule> wide_rules() {
  return {{.action = AccessRule::Action::kSubscribe, .filter = "tenant/blue/device/+/up/#"},
          {.action = AccessRule::Action::kPublish, .filter = "tenant/blue/device/+/down/#"}};
}

class Subscribing : public ::testing::Test {
 protected:
  explicit Subscribing(bool is_durable = false)
      : front({.max_subscriptions = 3, .max_filters = 3}, {.is_durable = is_durable}) {
    front.add_device("d1", wide_rules());
    front.add_device("d2", wide_rules());
    one.connect("d1");
    one.received();
  }
  /// A session with a wide subscription whose client has gone.
  void leave_wide_session(std::string_view device) {
    TestClient client(front);
    client.hello.session_expiry_seconds = 100;
    client.connect(device).subscribe("tenant/blue/device/+/up/#").lose();
    front.settle();
  }
  TestFront front;
  TestClient one{front};
};

class DurableSubscribing : public Subscribing {
 protected:
  DurableSubscribing() : Subscribing(true) {
    one.disconnect();
    late.hello.session_expiry_seconds = 100;
    late.connect("d1");
    late.received();
  }
  TestClient late{front};
};

TEST_F(Subscribing, GrantsWhatTheDeviceMayHaveAndRefusesTheRest) {
  one.subscribe({{.filter = own("commands/#"), .qos = Qos::kExactlyOnce},
                 {.filter = TestFront::own("d2", "commands/#"), .qos = Qos::kAtLeastOnce},
                 {.filter = "tenant/#/x", .qos = Qos::kAtLeastOnce}});
  EXPECT_THAT(one.received(), ElementsAre("suback 0x02 0x87 0x8F"));
}

TEST_F(Subscribing, IsBounded) {
  one.subscribe({{.filter = own("down/1")},
                 {.filter = own("down/2")},
                 {.filter = own("down/3")},
                 {.filter = own("down/4")}});
  EXPECT_THAT(one.received(), ElementsAre("suback 0x00 0x00 0x00 0x97"));
  one.subscribe(own("down/5"));
  EXPECT_THAT(one.received(), ElementsAre("suback 0x97"));
  one.subscribe(own("down/1"));
  EXPECT_THAT(one.received(), ElementsAre("suback 0x01")) << "one that is there is no new one";
}

TEST_F(Subscribing, ReplacesTheOptionsOfTheSameFilter) {
  one.subscribe(own("down/#"), Qos::kAtMostOnce).subscribe(own("down/#"), Qos::kAtLeastOnce);
  TestClient two(front);
  two.connect("d2").publish(own("down/x"), "hi", Qos::kAtLeastOnce, 1);
  EXPECT_THAT(one.received(), ElementsAre("suback 0x00", "suback 0x01",
                                          "publish " + own("down/x") + " q1 #1 'hi'"));
}

TEST_F(Subscribing, RefusesNoLocalOfASharedSubscription) {
  one.subscribe({{.filter = "$share/g/" + own("down/#"), .no_local = true}});
  EXPECT_THAT(one.received(), ElementsAre("disconnect 0x82"));
}

TEST_F(Subscribing, SeesOtherDevicesByAWideFilter) {
  one.subscribe({{.filter = "tenant/blue/device/+/up/#", .qos = Qos::kAtLeastOnce}}, 7);
  TestClient two(front);
  two.connect("d2").publish(TestFront::own("d2", "up/x"), "hi", Qos::kAtLeastOnce, 1);
  EXPECT_THAT(one.received(), ElementsAre("suback 0x01", "publish " + TestFront::own("d2", "up/x") +
                                                             " q1 #1 ids=7 'hi'"));
  EXPECT_THAT(two.received(), Contains("puback 1"));
  one.unsubscribe("tenant/blue/device/+/up/#");
  EXPECT_THAT(one.received(), ElementsAre("unsuback 0x00"));
  two.publish(TestFront::own("d2", "up/x"), "hi", Qos::kAtMostOnce);
  EXPECT_THAT(one.received(), IsEmpty());
}

TEST_F(Subscribing, DeliversOnceByTheHighestQosOfOverlappingFilters) {
  one.subscribe({{.filter = own("down/#"), .qos = Qos::kAtMostOnce}}, 1);
  one.subscribe({{.filter = own("down/x"), .qos = Qos::kAtLeastOnce}}, 2);
  one.received();
  TestClient two(front);
  two.connect("d2").publish(own("down/x"), "hi", Qos::kExactlyOnce, 1);
  EXPECT_THAT(one.received(), ElementsAre("publish " + own("down/x") + " q1 #1 ids=1,2 'hi'"));
}

TEST_F(Subscribing, GetsItsOwnMessagesUnlessItWantsNone) {
  one.subscribe({{.filter = own("up/a"), .no_local = true}, {.filter = own("up/b")}});
  one.received();
  one.publish(own("up/a"), "a", Qos::kAtMostOnce).publish(own("up/b"), "b", Qos::kAtMostOnce);
  EXPECT_THAT(one.received(), ElementsAre("publish " + own("up/b") + " q0 'b'"));
}

TEST_F(Subscribing, HonoursNoLocalAndRetainAsPublishedOfWideFilters) {
  one.subscribe({{.filter = "tenant/blue/device/+/up/x", .no_local = true},
                 {.filter = "tenant/blue/device/+/up/y", .retain_as_published = true}});
  one.received();
  one.publish(own("up/x"), "x", Qos::kAtMostOnce);
  one.publish(own("up/y"), "y", Qos::kAtMostOnce, 0, true);
  EXPECT_THAT(one.received(), ElementsAre("publish " + own("up/y") + " q0 retain 'y'"));
}

TEST_F(Subscribing, SendsRetainedMessagesAsAskedFor) {
  one.publish(own("up/x"), "kept", Qos::kAtLeastOnce, 1, true);
  one.received();
  one.subscribe({{.filter = own("up/#"), .retain_handling = RetainHandling::kDoNotSend}});
  EXPECT_THAT(one.received(), ElementsAre("suback 0x00"));
  one.subscribe({{.filter = own("up/#"), .retain_handling = RetainHandling::kSendIfNew}});
  EXPECT_THAT(one.received(), ElementsAre("suback 0x00"));
  one.subscribe({{.filter = own("up/#"), .retain_handling = RetainHandling::kSend}}, 5);
  EXPECT_THAT(one.received(),
              ElementsAre("suback 0x00", "publish " + own("up/x") + " q0 retain ids=5 'kept'"));
  one.unsubscribe(own("up/#"));
  one.subscribe({{.filter = own("up/#"), .retain_handling = RetainHandling::kSendIfNew}});
  EXPECT_THAT(one.received(), ElementsAre("unsuback 0x00", "suback 0x00",
                                          "publish " + own("up/x") + " q0 retain 'kept'"));
  one.publish(own("up/x"), "", Qos::kAtMostOnce, 0, true);
  EXPECT_EQ(front.retained.size(), 0U);
}

TEST_F(Subscribing, RefusesToRetainBeyondTheBound) {
  for (std::uint16_t i = 1; i <= 5; ++i) {
    one.publish(own("up/" + std::to_string(i)), "x", Qos::kAtLeastOnce, i, true);
  }
  EXPECT_THAT(one.received(),
              ElementsAre("puback 1", "puback 2", "puback 3", "puback 4", "puback 5 0x97"));
  EXPECT_EQ(front.dropped("retained_max_messages"), 1U);
}

TEST_F(Subscribing, SharesMessagesAmongAGroupAndPrefersWhoIsThere) {
  const std::string shared = "$share/g/tenant/blue/device/+/up/#";
  front.add_device("d3", wide_rules());
  TestClient two(front);
  TestClient three(front);
  two.hello.session_expiry_seconds = 100;
  two.connect("d2").subscribe(shared);
  three.connect("d3").subscribe(shared);
  two.received(), three.received();
  for (int i = 0; i < 4; ++i) one.publish(own("up/x"), "x", Qos::kAtMostOnce);
  EXPECT_EQ(two.received().size(), 2U);
  EXPECT_EQ(three.received().size(), 2U);
  two.lose();
  front.settle();
  for (int i = 0; i < 4; ++i) one.publish(own("up/x"), "x", Qos::kAtMostOnce);
  EXPECT_EQ(three.received().size(), 4U);
}

TEST_F(Subscribing, AnswersUnsubscribe) {
  one.subscribe("$share/g/tenant/blue/device/+/up/#");
  one.unsubscribe("$share/g/tenant/blue/device/+/up/#").unsubscribe(own("down/9"));
  EXPECT_THAT(one.received(), ElementsAre("suback 0x01", "unsuback 0x00", "unsuback 0x11"));
  EXPECT_TRUE(front.routes.of("blue").is_empty());
}

TEST_F(Subscribing, EndsTheRoutesOfASessionThatEndsWithItsConnection) {
  one.subscribe("tenant/blue/device/+/up/#");
  EXPECT_FALSE(front.routes.of("blue").is_empty());
  one.lose();
  front.settle();
  EXPECT_TRUE(front.routes.of("blue").is_empty());
}

TEST_F(Subscribing, EndsTheRoutesOfASessionThatBeginsAnew) {
  leave_wide_session("d2");
  TestClient anew(front);
  anew.connect("d2");
  anew.received();
  one.publish(own("up/x"), "x", Qos::kAtMostOnce);
  EXPECT_THAT(anew.received(), IsEmpty());
  EXPECT_TRUE(front.routes.of("blue").is_empty());
}

TEST_F(Subscribing, EndsTheRoutesOfASessionThatHasExpired) {
  leave_wide_session("d2");
  front.store.entries.erase(SessionKey("blue/d2"));
  one.publish(own("up/x"), "x", Qos::kAtLeastOnce, 1);
  front.settle();
  EXPECT_THAT(one.received(), ElementsAre("puback 1"));
  EXPECT_TRUE(front.routes.of("blue").is_empty());
}

TEST_F(DurableSubscribing, TellsTheStoreBeforeTheClient) {
  mqtt::FilterListBuilder filters(true, mqtt::Version::kV5);
  filters.add({.filter = "tenant/blue/device/+/up/#", .qos = Qos::kAtLeastOnce});
  mqtt::Output bytes;
  mqtt::encode(mqtt::Subscribe{.packet_id = 5, .filters = filters.view()}, mqtt::Version::kV5,
               bytes);
  late.send(bytes);
  EXPECT_THAT(late.received(), IsEmpty());
  EXPECT_EQ(front.store.entries.at(kD1).session.subscriptions.size(), 1U);
  EXPECT_EQ(front.store.wide.size(), 1U);
  front.tasks.run();
  EXPECT_THAT(late.received(), ElementsAre("suback 0x01"));
  late.unsubscribe("tenant/blue/device/+/up/#");
  EXPECT_THAT(late.received(), ElementsAre("unsuback 0x00"));
  EXPECT_TRUE(front.store.wide.empty());
  EXPECT_THAT(front.store.entries.at(kD1).session.subscriptions, IsEmpty());
}

TEST_F(DurableSubscribing, HasNoSubscriptionThatTheStoreDidNotTake) {
  front.store.failures.emplace("put_subscription", Error(ErrorCode::kUnavailable, "no store"));
  late.subscribe("tenant/blue/device/+/up/#").unsubscribe("tenant/blue/device/+/up/#");
  EXPECT_THAT(late.received(), ElementsAre("suback 0x80", "unsuback 0x11"));
  EXPECT_TRUE(front.routes.of("blue").is_empty());
}

TEST_F(DurableSubscribing, LeavesNothingOfWhatItWasRefused) {
  const std::string wide = "tenant/blue/device/+/up/#";
  for (const char* call : {"put_subscription", "put_wide"}) {
    front.store.failures.emplace(
        call, Error(ErrorCode::kResourceExhausted, "full").with_reason("session_max_wide"));
    late.subscribe(wide);
    front.store.failures.clear();
    EXPECT_THAT(late.received(), ElementsAre("suback 0x97"));
    EXPECT_TRUE(front.store.wide.empty());
    EXPECT_THAT(front.store.entries.at(kD1).session.subscriptions, IsEmpty());
    EXPECT_TRUE(front.routes.of("blue").is_empty());
  }
}

TEST_F(DurableSubscribing, KeepsWhatItHadWhereTheStoreDoesNotTakeAnother) {
  const std::string wide = "tenant/blue/device/+/up/#";
  late.subscribe(wide, Qos::kAtMostOnce);
  front.store.failures.emplace("put_wide", Error(ErrorCode::kUnavailable, "no store"));
  late.subscribe(wide, Qos::kExactlyOnce);
  EXPECT_THAT(late.received(), ElementsAre("suback 0x00", "suback 0x80"));
  const auto& kept = front.store.entries.at(kD1).session.subscriptions;
  ASSERT_EQ(kept.size(), 1U);
  EXPECT_EQ(kept[0].qos, Qos::kAtMostOnce);
  EXPECT_EQ(front.routes.of("blue").match(own("up/x"), {}).at(0).qos, Qos::kAtMostOnce);
}

mqtt::Output subscribes(int count) {
  mqtt::Output bytes;
  for (int i = 1; i <= count; ++i) {
    mqtt::FilterListBuilder filters(true, mqtt::Version::kV5);
    for (const char* name : {"a", "b", "c"}) filters.add({.filter = own("down/") + name});
    mqtt::encode(
        mqtt::Subscribe{.packet_id = static_cast<std::uint16_t>(i), .filters = filters.view()},
        mqtt::Version::kV5, bytes);
  }
  return bytes;
}

TEST_F(DurableSubscribing, AsksTheStoreForFewThingsAtOnce) {
  front.store.calls.clear();
  late.send(subscribes(1000));
  EXPECT_LE(front.store.calls.size(), 4 * 3U);
  front.settle();
  EXPECT_FALSE(late.received().empty()) << "it goes on with the answers";
  EXPECT_GT(front.store.calls.size(), 4 * 3U);
  EXPECT_LE(front.store.answers_due, 4 * 3U);
}

TEST_F(Subscribing, IsNotReadForAWhileAfterTooManyFilters) {
  one.send(subscribes(2));
  EXPECT_FALSE(one.paused_until()) << "as many as it may have, twice";
  one.send(subscribes(3));
  ASSERT_TRUE(one.paused_until());
  EXPECT_GT(*one.paused_until(), front.clock.mono());
}

/// Room for one message and the beginning of a second.
class SubscribingSlowly : public ::testing::Test {
 protected:
  SubscribingSlowly() : front({.session = {.max_queued = 2}, .max_output = 60}) {
    front.add_device("d1");
    client.connect("d1");
    for (std::uint16_t i = 1; i <= 4; ++i) {
      client.publish(own("up/" + std::to_string(i)), "x", Qos::kAtLeastOnce, i, true);
    }
    client.received();
    client.is_slow = true;
  }
  static std::string retained(int i, std::string_view qos) {
    return "publish " + own("up/" + std::to_string(i)) + " " + std::string(qos) + " retain 'x'";
  }
  TestFront front;
  TestClient client{front};
};

TEST_F(SubscribingSlowly, GetsAllRetainedMessagesAsItReads) {
  client.subscribe(own("up/#"), Qos::kAtMostOnce);
  EXPECT_LT(client.client().output().size(), 120U);
  client.is_slow = false;
  std::vector<std::string> received;
  for (int i = 0; i < 6; ++i) {
    for (std::string& packet : client.received()) received.push_back(std::move(packet));
  }
  EXPECT_THAT(received,
              ::testing::UnorderedElementsAre("suback 0x00", retained(1, "q0"), retained(2, "q0"),
                                              retained(3, "q0"), retained(4, "q0")));
  EXPECT_EQ(front.dropped("slow_client"), 0U);
}

TEST_F(SubscribingSlowly, GetsAllRetainedMessagesAsItAcknowledges) {
  client.is_slow = false;
  client.subscribe(own("up/#"), Qos::kAtLeastOnce);
  std::vector<std::string> received;
  for (std::uint16_t i = 1; i <= 6; ++i) {
    for (std::string& packet : client.received()) received.push_back(std::move(packet));
    client.acknowledge(mqtt::PacketType::kPuback, i);
  }
  EXPECT_EQ(received.size(), 1 + 4U);
  EXPECT_EQ(front.dropped("session_queue_full"), 0U);
}

TEST_F(SubscribingSlowly, GetsNoRetainedMessageAfterTheOneThatTookItsPlace) {
  client.subscribe(own("up/#"), Qos::kAtMostOnce);
  for (int i = 1; i <= 4; ++i) {
    front.retained.put(
        "blue", std::make_shared<const mqtt::Message>(mqtt::Message{
                    .topic = own("up/" + std::to_string(i)), .payload = "later", .retain = true}));
  }
  client.is_slow = false;
  std::size_t received = 0;
  for (int i = 0; i < 6; ++i) received += client.received().size();
  EXPECT_LT(received, 1 + 4U);
}

TEST_F(DurableSubscribing, EndsWhenTheSessionHasALaterOwner) {
  front.store.foreign_claim(kD1);
  late.subscribe(own("down/#"));
  EXPECT_THAT(late.received(), ElementsAre("disconnect 0x8E"));
  EXPECT_EQ(front.broker->clients(), 0U);
}

TEST_F(DurableSubscribing, TakesTheWideFiltersOfAnEarlierSessionFromTheStore) {
  late.subscribe("tenant/blue/device/+/up/#").lose();
  front.settle();
  EXPECT_EQ(front.store.wide.size(), 1U);
  TestClient anew(front);
  anew.connect("d1");
  EXPECT_TRUE(front.store.wide.empty());
}

}  // namespace
}  // namespace sluice::front::testing
