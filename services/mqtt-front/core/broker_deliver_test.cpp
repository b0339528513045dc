#include "testing/test_front.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::front::testing {
namespace {

using mqtt::Qos;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Outcome = Neighbours::Outcome;

const SessionKey kD1("blue/d1");

std::string own(std::string_view suffix) { return TestFront::own("d1", suffix); }

mqtt::MessagePtr message(std::string topic, std::string payload, Qos qos = Qos::kAtLeastOnce) {
  return std::make_shared<const mqtt::Message>(
      mqtt::Message{.topic = std::move(topic), .payload = std::move(payload), .qos = qos});
}

class Delivering : public ::testing::Test {
 protected:
  explicit Delivering(bool is_durable = false, Options options = {})
      : front(std::move(options), {.is_durable = is_durable}) {
    front.add_device("d1");
    front.add_device(
        "d2", {{.action = AccessRule::Action::kPublish, .filter = "tenant/blue/device/+/down/#"}});
  }
  TestClient& come(TestClient& client, bool clean_start = false) {
    client.hello.session_expiry_seconds = 100;
    client.hello.clean_start = clean_start;
    client.connect("d1");
    return client;
  }
  /// The same device connects again, up to where it is proven: `first` is told, its session is let
  /// go of, `second` does not have it yet.
  void begin_takeover(const TestClient& first, TestClient& second) {
    second.hello = first.hello;
    second.send_connect();
    front.tasks.run_one();
  }
  /// A client whose session holds the filter, and which has gone.
  void subscribe_and_leave(std::string_view filter) {
    TestClient client(front);
    come(client).subscribe(filter);
    client.lose();
    front.settle();
  }
  /// From outside, as gRPC does.
  FanOutCounts publish(const mqtt::MessagePtr& what) {
    FanOutCounts counts{.failed = 99};
    front.broker->publish("blue", what, [&](Result<FanOutCounts> made) { counts = *made; });
    front.settle();
    return counts;
  }
  TestFront front;
};

class DurableDelivering : public Delivering {
 protected:
  DurableDelivering() : Delivering(true) {}
};

class Bounded : public Delivering {
 protected:
  Bounded() : Delivering(false, {.session = {.max_queued = 2}, .max_output = 64}) {}
};

TEST_F(Delivering, FollowsTheDevicesOwnFilters) {
  TestClient client(front);
  come(client).subscribe(own("commands/#"));
  client.received();
  EXPECT_EQ(publish(message(own("commands/c1"), "open")).delivered, 1U);
  EXPECT_EQ(publish(message(own("down/c1"), "open")).delivered, 0U);
  EXPECT_THAT(client.received(), ElementsAre("publish " + own("commands/c1") + " q1 #1 'open'"));
}

TEST_F(Delivering, UsesTheSpellingThatTheDeviceSubscribedTo) {
  TestClient client(front);
  come(client).subscribe("$aws/things/press-d1/shadow/#");
  client.received();
  EXPECT_EQ(publish(message(own("shadow/get/accepted"), "{}")).delivered, 1U);
  EXPECT_THAT(client.received(),
              ElementsAre("publish $aws/things/press-d1/shadow/get/accepted q1 #1 '{}'"));
  client.lose();
  front.settle();
  EXPECT_EQ(publish(message(own("shadow/update/delta"), "{2}")).queued, 1U);
  TestClient next(front);
  EXPECT_EQ(come(next).received().back(),
            "publish $aws/things/press-d1/shadow/update/delta q1 #2 '{2}'");
}

TEST_F(Delivering, QueuesForWhoIsAwayButNotQos0) {
  subscribe_and_leave(own("commands/#"));
  EXPECT_EQ(publish(message(own("commands/c1"), "lost", Qos::kAtMostOnce)).queued, 0U);
  EXPECT_EQ(publish(message(own("commands/c2"), "kept")).queued, 1U);
  TestClient next(front);
  EXPECT_THAT(
      come(next).received(),
      ElementsAre("connack 0x00 present", "publish " + own("commands/c2") + " q1 #1 'kept'"));
}

TEST_F(Delivering, SendsAgainWhatWasNotAcknowledged) {
  TestClient client(front);
  come(client).subscribe(own("commands/#"));
  publish(message(own("commands/c1"), "one"));
  publish(message(own("commands/c2"), "two"));
  client.acknowledge(mqtt::PacketType::kPuback, 1).lose();
  front.settle();
  TestClient next(front);
  EXPECT_THAT(
      come(next).received(),
      ElementsAre("connack 0x00 present", "publish " + own("commands/c2") + " q1 #2 dup 'two'"));
}

TEST_F(Delivering, IsNobodysWhereNoSessionIs) {
  const FanOutCounts counts = publish(message(own("commands/c1"), "x"));
  EXPECT_EQ(counts.delivered + counts.queued + counts.dropped + counts.failed, 0U);
}

TEST_F(Delivering, AsksForRightsAtEveryDelivery) {
  subscribe_and_leave(own("commands/#"));
  publish(message(own("commands/c1"), "x"));
  // While it was away its rights were taken.
  Identity poorer = *front.authenticator.identities["d1"];
  poorer.policy = AccessPolicy();
  front.authenticator.identities["d1"] = std::make_shared<const Identity>(std::move(poorer));
  TestClient next(front);
  EXPECT_THAT(come(next).received(), ElementsAre("connack 0x00 present"));
  EXPECT_EQ(publish(message(own("commands/c2"), "x")).delivered, 0U);
  EXPECT_THAT(next.received(), IsEmpty());
  EXPECT_EQ(front.dropped("receive_not_allowed"), 1U);
}

TEST_F(Delivering, GoesWhereTheSessionWentMeanwhile) {
  subscribe_and_leave(own("commands/#"));
  // Located as nobody's; claimed before it is queued.
  FanOutCounts counts;
  front.broker->publish("blue", message(own("commands/c1"), "x"),
                        [&](Result<FanOutCounts> made) { counts = *made; });
  front.store.foreign_claim(kD1);
  front.settle();
  EXPECT_EQ(counts.delivered, 1U);
  ASSERT_EQ(front.neighbours.forwarded.size(), 1U);
  EXPECT_EQ(front.neighbours.forwarded[0].first, kD1);
  front.store.entries.erase(kD1);
}

TEST_F(Delivering, KeepsTheOrderWhereTheSessionWentMeanwhile) {
  subscribe_and_leave(own("commands/#"));
  std::size_t delivered = 0;
  const auto send = [&](const char* payload) {
    front.broker->publish("blue", message(own("commands/c"), payload),
                          [&](Result<FanOutCounts> made) { delivered += made->delivered; });
  };
  send("1");  // located as nobody's
  front.store.foreign_claim(kD1);
  send("2");  // located where it is
  send("3");
  front.settle();
  // The front that it was located at holds it no more.
  front.neighbours.not_here = 1;
  send("4");
  front.tasks.run_one();
  front.store.foreign_claim(kD1);
  send("5");
  front.settle();
  EXPECT_EQ(delivered, 5U);
  std::vector<std::string> order;
  for (const auto& [key, parcel] : front.neighbours.forwarded) {
    order.push_back(parcel.delivery.message->payload);
  }
  EXPECT_THAT(order, ElementsAre("1", "2", "3", "4", "4", "5"));
  front.store.entries.erase(kD1);
}

TEST_F(Delivering, FollowsASessionThatMovesBetweenFrontsButNotForEver) {
  subscribe_and_leave(own("commands/#"));
  front.store.foreign_claim(kD1);
  front.neighbours.not_here = 2;
  EXPECT_EQ(publish(message(own("commands/c1"), "x")).delivered, 1U);
  EXPECT_EQ(front.neighbours.forwarded.size(), 3U);
  front.neighbours.forwarded.clear();
  front.neighbours.not_here = 1000;
  EXPECT_EQ(publish(message(own("commands/c2"), "x")).dropped, 1U);
  EXPECT_EQ(front.neighbours.forwarded.size(), 4U);
  front.neighbours.not_here = 0;
  front.store.entries.erase(kD1);
}

TEST_F(Delivering, IsNobodysWhenTheSessionEndsMeanwhile) {
  subscribe_and_leave(own("commands/#"));
  FanOutCounts counts;
  front.broker->publish("blue", message(own("commands/c1"), "x"),
                        [&](Result<FanOutCounts> made) { counts = *made; });
  front.store.entries.erase(kD1);
  front.settle();
  EXPECT_EQ(counts.delivered + counts.queued + counts.dropped, 0U);
}

TEST_F(Delivering, KeepsWhatComesBetweenTwoConnections) {
  TestClient first(front);
  come(first).subscribe(own("commands/#"));
  TestClient second(front);
  begin_takeover(first, second);
  FanOutCounts counts;
  front.broker->publish("blue", message(own("commands/c1"), "x"),
                        [&](Result<FanOutCounts> made) { counts = *made; });
  front.settle();
  EXPECT_EQ(counts.delivered, 1U);
  EXPECT_THAT(second.received(),
              ElementsAre("connack 0x00 present", "publish " + own("commands/c1") + " q1 #1 'x'"));
}

TEST_F(Bounded, KeepsNoMoreBetweenTwoConnectionsThanASessionHolds) {
  TestClient first(front);
  come(first).subscribe(own("down/#"));
  TestClient second(front);
  begin_takeover(first, second);
  FanOutCounts counts;
  const std::size_t most = front.options.session.max_queued;
  for (std::size_t i = 0; i < most + 3; ++i) {
    front.broker->publish("blue", message(own("down/x"), "x"), [&](Result<FanOutCounts> made) {
      counts.delivered += made->delivered;
      counts.dropped += made->dropped;
    });
  }
  EXPECT_EQ(counts.dropped, 3U);
  front.settle();
}

TEST_F(Bounded, TellsAnMqtt5PublisherThatNobodyHadRoom) {
  TestClient client(front);
  client.is_slow = true;
  come(client).subscribe(own("down/#"));
  TestClient publisher(front);
  publisher.connect("d2").received();
  for (std::uint16_t id = 1; id <= 3; ++id)
    publisher.publish(own("down/x"), "x", Qos::kAtLeastOnce, id);
  EXPECT_THAT(publisher.received(), ElementsAre("puback 1", "puback 2", "puback 3 0x97"));
  EXPECT_EQ(front.dropped("session_queue_full"), 1U);
}

TEST_F(Bounded, HasRoomAgainWhereAMessageHasExpired) {
  TestClient client(front);
  client.is_slow = true;
  come(client).subscribe(own("down/#"));
  EXPECT_EQ(publish(message(own("down/x"), std::string(64, 'x'))).delivered, 1U);  // it is sent
  mqtt::Message brief = *message(own("down/x"), "brief");
  brief.expires_at = front.clock.mono() + std::chrono::seconds(1);
  EXPECT_EQ(publish(std::make_shared<const mqtt::Message>(std::move(brief))).delivered, 1U);
  EXPECT_EQ(publish(message(own("down/x"), "no room")).dropped, 1U);
  front.clock.advance(std::chrono::seconds(1));
  EXPECT_EQ(publish(message(own("down/x"), "fresh")).delivered, 1U);
  EXPECT_EQ(front.dropped("expired"), 1U);
}

TEST_F(Bounded, DoesNotEndAnOlderPublisherForIt) {
  TestClient client(front);
  client.is_slow = true;
  come(client).subscribe(own("down/#"));
  TestClient publisher(front);
  publisher.hello.version = mqtt::Version::kV311;
  publisher.connect("d2").received();
  for (std::uint16_t id = 1; id <= 3; ++id)
    publisher.publish(own("down/x"), "x", Qos::kAtLeastOnce, id);
  EXPECT_THAT(publisher.received(), ElementsAre("puback 1", "puback 2", "puback 3"));
}

TEST_F(Bounded, DropsQos0OfAClientThatDoesNotRead) {
  TestClient client(front);
  come(client).subscribe(own("down/#"));
  client.received();
  client.is_slow = true;
  for (int i = 0; i < 9; ++i) publish(message(own("down/x"), "0123456789", Qos::kAtMostOnce));
  client.is_slow = false;
  EXPECT_EQ(client.received().size(), 2U);
  EXPECT_EQ(front.dropped("slow_client"), 7U);
}

TEST_F(Delivering, GoesOnAsTheClientAcknowledges) {
  TestFront narrow({.connection = {.send_maximum = 1}});
  narrow.add_device("d1");
  TestClient client(narrow);
  client.connect("d1").subscribe(own("commands/#"));
  client.received();
  for (const char* text : {"1", "2"}) {
    narrow.broker->publish("blue", message(own("commands/c"), text), [](Result<FanOutCounts>) {});
  }
  EXPECT_THAT(client.received(), ElementsAre("publish " + own("commands/c") + " q1 #1 '1'"));
  client.acknowledge(mqtt::PacketType::kPuback, 1);
  EXPECT_THAT(client.received(), ElementsAre("publish " + own("commands/c") + " q1 #2 '2'"));
}

TEST_F(Delivering, AnswersPings) {
  TestClient client(front);
  come(client).received();
  mqtt::Output bytes;
  mqtt::encode_pingreq(bytes);
  client.send(bytes);
  EXPECT_THAT(client.received(), ElementsAre("pingresp"));
}

TEST_F(DurableDelivering, AcknowledgesAPublisherOnceTheStoreHasTheMessage) {
  TestClient client(front);
  come(client).subscribe(own("down/#"));
  TestClient publisher(front);
  publisher.connect("d2").received();
  publisher.publish(own("down/x"), "x", Qos::kAtLeastOnce, 1);
  EXPECT_EQ(front.store.entries.at(kD1).session.deliveries.size(), 1U);
  EXPECT_THAT(publisher.received(), IsEmpty());
  front.settle();
  EXPECT_THAT(publisher.received(), ElementsAre("puback 1"));
  client.acknowledge(mqtt::PacketType::kPuback, 1);
  EXPECT_THAT(front.store.entries.at(kD1).session.deliveries, IsEmpty());
}

TEST_F(DurableDelivering, AcknowledgesWhatWasSentThoughTheStoreDidNotTakeIt) {
  for (const ErrorCode why : {ErrorCode::kUnavailable, ErrorCode::kResourceExhausted}) {
    TestClient client(front);
    come(client, true).subscribe(own("down/#")).received();
    TestClient publisher(front);
    publisher.connect("d2").received();
    front.store.failures.insert_or_assign("put_delivery", Error(why, "no store"));
    publisher.publish(own("down/x"), "x", Qos::kExactlyOnce, 1);
    front.settle();
    EXPECT_THAT(publisher.received(), ElementsAre("pubrec 1"));
    EXPECT_THAT(client.received(), ElementsAre("publish " + own("down/x") + " q1 #1 'x'"));
  }
  EXPECT_EQ(front.metrics.unstored_deliveries.value(), 2U);
}

TEST_F(DurableDelivering, SendsAgainWhatTheStoreDidNotTakeAtFirst) {
  TestClient client(front);
  come(client).subscribe(own("down/#")).received();
  front.store.failures.emplace("put_delivery", Error(ErrorCode::kUnavailable, "no store"));
  publish(message(own("down/x"), "1"));
  publish(message(own("down/x"), "2"));
  client.acknowledge(mqtt::PacketType::kPuback, 1);
  front.store.failures.clear();
  client.lose();
  front.settle();
  TestClient next(front);
  EXPECT_THAT(come(next).received(),
              ElementsAre("connack 0x00 present", "publish " + own("down/x") + " q1 #2 dup '2'"));
}

TEST_F(DurableDelivering, RefusesWhatTheStoreDidNotTakeAndWasNotSent) {
  TestFront narrow({.connection = {.send_maximum = 1}}, {.is_durable = true});
  narrow.add_device("d1");
  TestClient client(narrow);
  client.hello.session_expiry_seconds = 100;
  client.connect("d1").subscribe(own("down/#")).received();
  const auto send = [&](std::string payload) {
    FanOutCounts counts;
    narrow.broker->publish("blue", message(own("down/x"), std::move(payload)),
                           [&](Result<FanOutCounts> made) { counts = *made; });
    narrow.settle();
    return counts;
  };
  send("sent");
  // Its answer alone is lost: what is refused here must not come from there later.
  narrow.store.does_what_fails = true;
  narrow.store.failures.emplace("put_delivery", Error(ErrorCode::kUnavailable, "no store"));
  EXPECT_EQ(send("waits").failed, 1U);
  narrow.store.failures.insert_or_assign("put_delivery",
                                         Error(ErrorCode::kResourceExhausted, "no room"));
  const FanOutCounts full = send("waits");
  EXPECT_EQ(full.failed, 0U);
  EXPECT_EQ(full.dropped, 1U);
  EXPECT_THAT(client.received(), ElementsAre("publish " + own("down/x") + " q1 #1 'sent'"));
  client.acknowledge(mqtt::PacketType::kPuback, 1);
  EXPECT_THAT(client.received(), IsEmpty());
  EXPECT_THAT(narrow.store.entries.at(kD1).session.deliveries, IsEmpty());
}

TEST_F(DurableDelivering, PassesOnWhatCameForASessionThatHasALaterOwner) {
  TestClient client(front);
  come(client).subscribe(own("down/#"));
  client.received();
  TestClient publisher(front);
  publisher.connect("d2").received();
  front.store.foreign_claim(kD1);
  publisher.publish(own("down/x"), "x", Qos::kAtLeastOnce, 1);
  front.settle();
  EXPECT_TRUE(client.is_closed());
  EXPECT_EQ(front.neighbours.forwarded.size(), 1U);
  EXPECT_THAT(publisher.received(), ElementsAre("puback 1"));
}

TEST_F(Delivering, TellsAnotherFrontThatASessionIsNotHere) {
  std::string reason;
  front.broker->deliver_here(kD1, {.delivery = {.message = message(own("commands/c"), "x")}},
                             [&](Result<Outcome> outcome) { reason = outcome.error().reason(); });
  EXPECT_EQ(reason, "not_here");
  EXPECT_THAT(front.store.calls, IsEmpty());
}

}  // namespace
}  // namespace sluice::front::testing
