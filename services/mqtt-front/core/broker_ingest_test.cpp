#include "testing/test_front.h"

#include <sluice/base/planted_bug.h>
#include <sluice/limits/v1/limit_change.pb.h>
#include <sluice/shadow/v1/shadow_request.pb.h>
#include <sluice/telemetry/v1/raw_message.pb.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::front::testing {
namespace {

using mqtt::Qos;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

const SessionKey kD1("blue/d1");

std::string telemetry() { return TestFront::own("d1", "telemetry/motor"); }

class Ingest : public ::testing::Test {
 protected:
  explicit Ingest(bool is_durable = false) : front({.region = "eu"}, {.is_durable = is_durable}) {
    front.add_device("d1");
    client = connected();
  }
  std::unique_ptr<TestClient> connected(mqtt::Version version = mqtt::Version::kV5,
                                        bool clean_start = true) {
    auto made = std::make_unique<TestClient>(front);
    made->hello.version = version;
    made->hello.clean_start = clean_start;
    made->hello.session_expiry_seconds = 100;
    made->connect("d1");
    made->received();
    return made;
  }
  TestFront front;
  std::unique_ptr<TestClient> client;
};

class DurableIngest : public Ingest {
 protected:
  DurableIngest() : Ingest(true) {}

  void take_store_away() {
    for (const char* call : {"claim", "release", "put_inbound", "remove_inbound"}) {
      front.store.failures.emplace(call, Error(ErrorCode::kUnavailable, "no store"));
    }
  }
  void mend_store() {
    front.store.failures.clear();
    front.clock.advance(Broker::kDueInterval);
    front.settle();
  }
  /// All answers that are due, and what was to be tried again.
  void answer_some() {
    front.tasks.run();
    front.clock.advance(Broker::kDueInterval);
    front.broker->run_due();
    front.tasks.run();
  }
  /// Kafka has the message, the store does not know of it, and the connection is gone.
  void publish_without_store(std::uint16_t packet_id) {
    take_store_away();
    client->publish(telemetry(), "once", Qos::kExactlyOnce, packet_id);
    front.complete_one(front.sink.records.size() - 1);
    client->lose();
    answer_some();
  }
  void send_again(TestClient& again, std::uint16_t packet_id) {
    const std::string topic = telemetry();
    again.publish({.topic = topic, .qos = Qos::kExactlyOnce, .dup = true, .packet_id = packet_id});
    front.complete();
  }
};

TEST_F(Ingest, MakesOfAMessageWhatTheEnvelopeSays) {
  mqtt::UserPropertyList properties;
  properties.add("seq", "42");
  properties.add("buffered", "true");
  mqtt::Publish publish{.topic = telemetry(), .qos = Qos::kAtLeastOnce, .packet_id = 1};
  const std::string topic = telemetry();
  publish.topic = topic;
  publish.payload = std::as_bytes(std::span(std::string_view("21.5")));
  publish.properties.content_type = "text/plain";
  publish.properties.user = properties.view();
  client->publish(publish);
  ASSERT_EQ(front.sink.records.size(), 1U);
  EXPECT_EQ(front.sink.records[0].topic, "telemetry.raw");
  EXPECT_EQ(front.sink.records[0].key, "blue/d1");
  telemetry::v1::RawMessage raw;
  ASSERT_TRUE(raw.ParseFromString(front.sink.records[0].value));
  EXPECT_EQ(raw.message_id().size(), 16U);
  EXPECT_EQ(raw.tenant(), "blue");
  EXPECT_EQ(raw.device(), "d1");
  EXPECT_EQ(raw.fleet(), "north");
  EXPECT_EQ(raw.device_type(), "meter");
  EXPECT_EQ(raw.region(), "eu");
  EXPECT_EQ(raw.channel(), telemetry::v1::CHANNEL_TELEMETRY);
  EXPECT_EQ(raw.stream(), "motor");
  EXPECT_EQ(raw.topic(), telemetry());
  EXPECT_EQ(raw.qos(), 1U);
  EXPECT_EQ(raw.protocol(), telemetry::v1::PROTOCOL_MQTT);
  EXPECT_EQ(raw.content_type(), "text/plain");
  EXPECT_EQ(raw.payload(), "21.5");
  EXPECT_EQ(raw.received_at_ms(), front.clock.wall().time_since_epoch().count());
  EXPECT_EQ(raw.sequence(), 42U);
  EXPECT_TRUE(raw.buffered());
  EXPECT_EQ(raw.schema_id(), "meter-v1");
}

TEST_F(Ingest, KnowsTheDevicesOtherSpellings) {
  client->publish("north/devices/d1/telemetry", "1", Qos::kAtMostOnce);
  client->publish(TestFront::own("d1", "events/door"), "2", Qos::kAtMostOnce);
  ASSERT_EQ(front.sink.records.size(), 2U);
  telemetry::v1::RawMessage raw;
  ASSERT_TRUE(raw.ParseFromString(front.sink.records[0].value));
  EXPECT_EQ(raw.topic(), "north/devices/d1/telemetry");
  ASSERT_TRUE(raw.ParseFromString(front.sink.records[1].value));
  EXPECT_EQ(raw.channel(), telemetry::v1::CHANNEL_EVENT);
  EXPECT_EQ(raw.stream(), "door");
}

TEST_F(Ingest, AcknowledgesOnlyWhatKafkaHas) {
  client->publish(telemetry(), "1", Qos::kAtLeastOnce, 1);
  client->publish(telemetry(), "2", Qos::kExactlyOnce, 2);
  front.settle();
  EXPECT_THAT(client->received(), IsEmpty());
  front.complete();
  EXPECT_THAT(client->received(), ElementsAre("puback 1", "pubrec 2"));
}

TEST_F(Ingest, AcknowledgesInTheOrderOfThePublishes) {
  client->publish(telemetry(), "1", Qos::kAtLeastOnce, 1);
  client->publish(telemetry(), "2", Qos::kAtLeastOnce, 2);
  front.complete_one(1);
  EXPECT_THAT(client->received(), IsEmpty());
  front.complete_one(0);
  EXPECT_THAT(client->received(), ElementsAre("puback 1", "puback 2"));
}

TEST_F(Ingest, TellsAnMqtt5ClientWhatWasNotStored) {
  client->publish(telemetry(), "1", Qos::kAtLeastOnce, 1);
  front.complete(false);
  EXPECT_THAT(client->received(), ElementsAre("puback 1 0x80"));
  EXPECT_FALSE(client->is_closed());
}

TEST_F(Ingest, EndsAnOlderClientWhoseMessageWasNotStored) {
  client = connected(mqtt::Version::kV311);
  client->publish(telemetry(), "1", Qos::kAtLeastOnce, 1);
  front.complete(false);
  EXPECT_THAT(client->received(), IsEmpty());
  EXPECT_TRUE(client->is_closed());
}

TEST_F(Ingest, TellsWhatKafkaWillNeverTake) {
  front.sink.refuses = ErrorCode::kInvalidArgument;
  client->publish(telemetry(), "1", Qos::kExactlyOnce, 1);
  EXPECT_THAT(client->received(), ElementsAre("pubrec 1 0x97"));
}

// A topic that is gone, or a right: neither is for good, and 0x97 would be for the client.
TEST_F(Ingest, TellsWhatKafkaDoesNotTakeNow) {
  for (const ErrorCode code : {ErrorCode::kNotFound, ErrorCode::kPermissionDenied}) {
    front.sink.refuses = code;
    client->publish(telemetry(), "1", Qos::kAtLeastOnce, 1);
    EXPECT_THAT(client->received(), ElementsAre("puback 1 0x80"));
  }
  EXPECT_EQ(front.metrics.not_stored.value(), 2U);
}

TEST_F(Ingest, StallsInOrderWhileThereIsNoRoomAndDropsQos0) {
  front.sink.room = 1;
  client->publish(telemetry(), "1", Qos::kAtLeastOnce, 1);
  client->publish(telemetry(), "2", Qos::kAtLeastOnce, 2);
  client->publish(telemetry(), "lost", Qos::kAtMostOnce);
  client->publish(telemetry(), "3", Qos::kExactlyOnce, 3);
  EXPECT_TRUE(front.broker->is_full());
  EXPECT_EQ(front.dropped("kafka_full"), 1U);
  EXPECT_EQ(front.sink.records.size(), 1U);
  front.sink.room = 10;
  // What comes now must not overtake.
  client->publish(telemetry(), "4", Qos::kAtLeastOnce, 4);
  EXPECT_EQ(front.sink.records.size(), 1U);
  front.broker->retry_records();
  EXPECT_FALSE(front.broker->is_full());
  std::string order;
  for (const auto& record : front.sink.records) {
    telemetry::v1::RawMessage raw;
    ASSERT_TRUE(raw.ParseFromString(record.value));
    order += raw.payload();
  }
  EXPECT_EQ(order, "1234");
  front.complete();
  EXPECT_THAT(client->received(), ElementsAre("puback 1", "puback 2", "pubrec 3", "puback 4"));
}

TEST_F(Ingest, TellsOfAStalledRecordThatKafkaThenRefuses) {
  front.sink.room = 0;
  client->publish(telemetry(), "1", Qos::kAtLeastOnce, 1);
  front.sink.refuses = ErrorCode::kPermissionDenied;
  front.broker->append_event({.topic = "device.events"});  // no message of a device
  front.broker->retry_records();
  EXPECT_THAT(client->received(), ElementsAre("puback 1 0x80"));
  EXPECT_EQ(front.dropped("refused_by_kafka"), 2U);
  EXPECT_EQ(front.metrics.not_stored.value(), 1U);
}

/// Whatever keeps sessions.
class Exactly : public Ingest, public ::testing::WithParamInterface<bool> {
 protected:
  Exactly() : Ingest(GetParam()) {}
};
INSTANTIATE_TEST_SUITE_P(Store, Exactly, ::testing::Bool(), [](const auto& parameter) {
  return parameter.param ? "Durable" : "OfTheProcess";
});

TEST_P(Exactly, KnowsAPublishOfAConnectionThatDiedBeforeKafkaAnswered) {
  client->publish(telemetry(), "once", Qos::kExactlyOnce, 9);
  client->lose();
  front.settle();
  TestClient next(front);
  next.hello.clean_start = false;
  next.hello.session_expiry_seconds = 100;
  next.connect("d1");
  EXPECT_THAT(next.received(), IsEmpty()) << "the session is not whole yet";
  front.complete();
  EXPECT_THAT(next.received(), ElementsAre("connack 0x00 present"));
  const std::string topic = telemetry();
  next.publish({.topic = topic, .qos = Qos::kExactlyOnce, .dup = true, .packet_id = 9});
  EXPECT_THAT(next.received(), ElementsAre("pubrec 9"));
  EXPECT_EQ(front.sink.records.size(), 1U);
  next.acknowledge(mqtt::PacketType::kPubrel, 9);
  front.settle();
  EXPECT_THAT(next.received(), ElementsAre("pubcomp 9"));
  next.lose();
  front.settle();
  EXPECT_THAT(front.store.entries.at(kD1).session.inbound_qos2, IsEmpty());
}

TEST_F(DurableIngest, TellsTheStoreOfAQos2PublishBeforeTheClient) {
  client->publish(telemetry(), "x", Qos::kExactlyOnce, 9);
  front.complete_one(0);
  EXPECT_THAT(client->received(), IsEmpty());
  EXPECT_THAT(front.store.entries.at(kD1).session.inbound_qos2, ElementsAre(9));
  front.tasks.run();
  EXPECT_THAT(client->received(), ElementsAre("pubrec 9"));
}

// A front that died between the two would leave an id that swallows the client's next message.
TEST_F(DurableIngest, LetsAClientUseAPacketIdAgainOnlyWhenTheStoreHasForgottenIt) {
  const auto completes_early = [this] {
    client->publish(telemetry(), "x", Qos::kExactlyOnce, 9);
    front.complete();
    client->received();
    client->acknowledge(mqtt::PacketType::kPubrel, 9);
    const bool is_early = !client->received().empty();
    front.settle();
    return is_early;
  };
  EXPECT_FALSE(completes_early());
  EXPECT_THAT(front.store.entries.at(kD1).session.inbound_qos2, IsEmpty());
  const ScopedPlantedBug bug("front_completes_unforgotten");
  EXPECT_TRUE(completes_early());
}

TEST_F(DurableIngest, TellsTheStoreAlsoOfAQos2PublishThatIsNotForKafka) {
  client->publish(TestFront::own("d1", "up/x"), "x", Qos::kExactlyOnce, 9);
  front.settle();
  EXPECT_THAT(front.store.entries.at(kD1).session.inbound_qos2, ElementsAre(9));
  EXPECT_THAT(client->received(), ElementsAre("pubrec 9"));
}

TEST_F(DurableIngest, AcknowledgesWhatKafkaHasAlsoWithoutTheStore) {
  front.store.failures.emplace("put_inbound", Error(ErrorCode::kUnavailable, "no store"));
  client->publish(telemetry(), "x", Qos::kExactlyOnce, 9);
  front.complete();
  EXPECT_THAT(client->received(), ElementsAre("pubrec 9"));
}

TEST_F(DurableIngest, KnowsAPublishOfAConnectionThatDidNotOutlastAnOutageOfTheStore) {
  const auto records_of_one_publish = [this] {
    const std::size_t before = front.sink.records.size();
    publish_without_store(9);
    mend_store();
    client = connected(mqtt::Version::kV5, false);
    send_again(*client, 9);
    EXPECT_THAT(client->received(), ElementsAre("pubrec 9"));
    client->acknowledge(mqtt::PacketType::kPubrel, 9);
    front.settle();
    EXPECT_THAT(client->received(), ElementsAre("pubcomp 9"));
    EXPECT_EQ(front.metrics.unsaved_packet_ids.value(), 0);
    return front.sink.records.size() - before;
  };
  EXPECT_EQ(records_of_one_publish(), 1U);
  front.store.does_what_fails = true;
  EXPECT_EQ(records_of_one_publish(), 1U) << "only the store's answers were lost";
  front.store.does_what_fails = false;
  const ScopedPlantedBug bug("front_forgets_unsaved_ids");
  EXPECT_EQ(records_of_one_publish(), 2U);
}

TEST_F(DurableIngest, AsksAStoreThatRefusesAtOnceNotAtOnceAgain) {
  for (const bool is_completed : {false, true}) {
    take_store_away();
    front.store.failures.insert_or_assign("put_inbound",
                                          Error(ErrorCode::kResourceExhausted, "too many"));
    front.store.failures.insert_or_assign("remove_inbound",
                                          Error(ErrorCode::kFailedPrecondition, "disk full"));
    client->publish(telemetry(), "x", Qos::kExactlyOnce, 9);
    front.complete_one(front.sink.records.size() - 1);
    front.tasks.run();
    if (is_completed) client->acknowledge(mqtt::PacketType::kPubrel, 9);
    client->lose();
    front.store.calls.clear();
    for (int i = 0; i < 100; ++i) {
      front.broker->run_due();
      for (int step = 0; step < 10; ++step) front.tasks.run_one();
    }
    EXPECT_LE(front.store.calls.size(), 2U);
    EXPECT_TRUE(front.store.entries.at(kD1).is_owned) << "the store does not know it all";
    mend_store();
    EXPECT_FALSE(front.store.entries.at(kD1).is_owned);
    EXPECT_EQ(front.store.entries.at(kD1).session.inbound_qos2.empty(), is_completed);
    client = connected();
  }
}

TEST_F(Ingest, TellsWhoComesAgainThatKafkaIsStillAsked) {
  client->publish(telemetry(), "x", Qos::kExactlyOnce, 9);
  client->lose();
  TestClient next(front);
  next.hello.clean_start = false;
  next.connect("d1");
  EXPECT_THAT(next.received(), IsEmpty());
  front.clock.advance(std::chrono::seconds(3));
  front.settle();
  EXPECT_THAT(next.received(), ElementsAre("connack 0x89"));
  front.complete();
  TestClient last(front);
  last.hello.clean_start = false;
  last.connect("d1");
  EXPECT_THAT(last.received(), ElementsAre("connack 0x00 present"));
}

TEST_F(DurableIngest, TellsWhoComesAgainThatTheStoreIsAway) {
  publish_without_store(9);
  EXPECT_EQ(front.metrics.unsaved_packet_ids.value(), 1);
  TestClient next(front);
  next.hello.clean_start = false;
  next.hello.client_id = "d1";
  next.send_connect();
  answer_some();
  EXPECT_THAT(next.received(), ElementsAre("connack 0x88"));
  EXPECT_TRUE(next.is_closed());
  EXPECT_TRUE(front.store.entries.at(kD1).is_owned) << "by a client that is gone";
}

TEST_F(DurableIngest, LetsAnotherFrontHaveASessionOnlyOnceTheStoreKnowsItsPublishes) {
  publish_without_store(9);
  std::optional<bool> was_held;
  front.broker->release(kD1, front.store.entries.at(kD1).epoch,
                        [&](Result<bool> held) { was_held = *held; });
  answer_some();
  EXPECT_FALSE(was_held);
  mend_store();
  EXPECT_EQ(was_held, true);
  EXPECT_FALSE(front.store.entries.at(kD1).is_owned);
  EXPECT_THAT(front.store.entries.at(kD1).session.inbound_qos2, ElementsAre(9));
}

// By then the other front may have completed the id, and the client used it again.
TEST_F(DurableIngest, SavesNothingOfASessionThatAnotherFrontTook) {
  publish_without_store(9);
  front.store.foreign_claim(kD1);
  mend_store();
  EXPECT_THAT(front.store.entries.at(kD1).session.inbound_qos2, IsEmpty());
  EXPECT_EQ(front.broker->streams(), 0U);
  EXPECT_EQ(front.metrics.unsaved_packet_ids.value(), 0);
}

TEST_F(DurableIngest, SavesNothingThatTheClientCompletedWhileTheStoreWasAway) {
  take_store_away();
  client->publish(telemetry(), "x", Qos::kExactlyOnce, 9);
  front.complete_one(0);
  answer_some();
  EXPECT_THAT(client->received(), ElementsAre("pubrec 9"));
  client->acknowledge(mqtt::PacketType::kPubrel, 9);
  answer_some();
  client->lose();
  answer_some();
  EXPECT_TRUE(front.store.entries.at(kD1).is_owned) << "the store may still take it for half done";
  mend_store();
  EXPECT_THAT(front.store.entries.at(kD1).session.inbound_qos2, IsEmpty());
  EXPECT_FALSE(front.store.entries.at(kD1).is_owned);
  EXPECT_EQ(front.metrics.unsaved_packet_ids.value(), 0);
}

TEST_F(DurableIngest, SavesNothingOfASessionThatEndsWithItsConnection) {
  take_store_away();
  client->publish(telemetry(), "x", Qos::kExactlyOnce, 9);
  front.complete_one(0);
  answer_some();
  client->disconnect(mqtt::ReasonCode::kSuccess, 0);
  EXPECT_EQ(front.broker->streams(), 0U);
  EXPECT_EQ(front.metrics.unsaved_packet_ids.value(), 0);
}

TEST_F(DurableIngest, AcknowledgesNothingOnceItIsFenced) {
  client->publish(telemetry(), "x", Qos::kExactlyOnce, 9);
  client->publish(telemetry(), "y", Qos::kAtLeastOnce, 10);
  front.store.foreign_claim(kD1);
  front.complete();
  EXPECT_THAT(client->received(), ElementsAre("disconnect 0x8E"));
  EXPECT_TRUE(client->is_closed());
}

TEST_F(Ingest, PassesOnRequestsToTheShadow) {
  client->publish(TestFront::own("d1", "shadow/name/lamp/update"), "{}", Qos::kAtLeastOnce, 1);
  client->publish("$aws/things/press-d1/shadow/get", "", Qos::kAtMostOnce);
  client->publish(TestFront::own("d1", "commands/c7/result"), "done", Qos::kAtLeastOnce, 2);
  ASSERT_EQ(front.sink.records.size(), 3U);
  shadow::v1::ShadowRequest request;
  EXPECT_EQ(front.sink.records[0].topic, "shadow.requests");
  EXPECT_EQ(front.sink.records[0].key, "blue/d1");
  ASSERT_TRUE(request.ParseFromString(front.sink.records[0].value));
  EXPECT_EQ(request.operation(), shadow::v1::SHADOW_OPERATION_UPDATE);
  EXPECT_EQ(request.shadow(), "lamp");
  EXPECT_EQ(request.document(), "{}");
  EXPECT_EQ(request.message_id().size(), 16U);
  ASSERT_TRUE(request.ParseFromString(front.sink.records[1].value));
  EXPECT_EQ(request.operation(), shadow::v1::SHADOW_OPERATION_GET);
  EXPECT_EQ(request.topic(), "$aws/things/press-d1/shadow/get");
  ASSERT_TRUE(request.ParseFromString(front.sink.records[2].value));
  EXPECT_EQ(request.operation(), shadow::v1::SHADOW_OPERATION_COMMAND_ANSWER);
  EXPECT_EQ(request.shadow(), "");
  EXPECT_THAT(client->received(), IsEmpty());
  front.complete();
  EXPECT_THAT(client->received(), ElementsAre("puback 1", "puback 2"));
}

TEST_F(Ingest, RefusesTopicsThatAreNotTheDevices) {
  client->publish(TestFront::own("d2", "telemetry"), "x", Qos::kAtLeastOnce, 1);
  client->publish(TestFront::own("d2", "telemetry"), "x", Qos::kAtMostOnce);
  EXPECT_THAT(client->received(), ElementsAre("puback 1 0x87"));
  EXPECT_EQ(front.dropped("topic_not_allowed"), 2U);
  client = connected(mqtt::Version::kV311);
  client->publish(TestFront::own("d2", "telemetry"), "x", Qos::kAtLeastOnce, 1);
  EXPECT_TRUE(client->is_closed());
  EXPECT_THAT(front.sink.records, IsEmpty());
}

TEST_F(Ingest, HoldsADeviceToItsLimits) {
  front.add_device("d3", {}, {.messages_per_second = 2, .max_payload_bytes = 4});
  TestClient limited(front);
  limited.connect("d3");
  limited.received();
  const std::string topic = TestFront::own("d3", "telemetry");
  limited.publish(topic, "12345", Qos::kAtLeastOnce, 1);
  EXPECT_THAT(limited.received(), ElementsAre("puback 1 0x97"));
  for (std::uint16_t id = 2; id < 5; ++id) limited.publish(topic, "x", Qos::kAtLeastOnce, id);
  // Read already, so it is taken; but the next has to wait.
  EXPECT_EQ(front.sink.records.size(), 3U);
  ASSERT_TRUE(limited.paused_until());
  EXPECT_GT(*limited.paused_until(), front.clock.mono());
  limited.publish(topic, "x", Qos::kAtMostOnce);
  EXPECT_EQ(front.sink.records.size(), 3U);
  EXPECT_EQ(front.dropped("messages_per_second"), 1U);
}

TEST_P(Exactly, TellsAnotherFrontOnlyOnceTheSessionIsWhole) {
  client->publish(telemetry(), "once", Qos::kExactlyOnce, 9);
  std::optional<bool> was_held;
  front.broker->release(kD1, front.store.entries.at(kD1).epoch,
                        [&](Result<bool> held) { was_held = *held; });
  front.settle();
  EXPECT_FALSE(was_held);
  front.complete();
  EXPECT_EQ(was_held, true);
  EXPECT_THAT(front.store.entries.at(kD1).session.inbound_qos2, ElementsAre(9));
}

// Whoever asks waits for less than that, and would take silence for death.
TEST_P(Exactly, TellsAnotherFrontThatItStillWaitsForKafka) {
  client->publish(telemetry(), "once", Qos::kExactlyOnce, 9);
  std::string why;
  const auto ask = [&] {
    front.broker->release(kD1, front.store.entries.at(kD1).epoch, [&](const Result<bool>& held) {
      why = held ? "let go" : held.error().reason();
    });
  };
  ask();
  front.settle();
  EXPECT_EQ(why, "");
  front.clock.advance(Broker::kMaxRelease);
  front.settle();
  EXPECT_EQ(why, kSessionBusy);
  ask();
  front.complete();
  EXPECT_EQ(why, "let go");
  front.clock.advance(Broker::kMaxRelease);
  front.settle();
  EXPECT_FALSE(front.broker->has_due());
}

TEST_P(Exactly, SilenceTowardsAnotherFrontWouldBeSeen) {
  const ScopedPlantedBug bug("front_is_silent_while_busy");
  client->publish(telemetry(), "once", Qos::kExactlyOnce, 9);
  bool has_answered = false;
  front.broker->release(kD1, front.store.entries.at(kD1).epoch,
                        [&](const Result<bool>&) { has_answered = true; });
  for (int rounds = 0; rounds < 20; ++rounds) {
    front.clock.advance(Broker::kDueInterval);
    front.settle();
  }
  EXPECT_FALSE(has_answered);
  front.complete();
}

TEST_F(Ingest, TellsWhatIsTooLargeAlsoOfAPublishThatHadToWait) {
  const auto answer = [&](std::uint16_t id) {
    front.sink.room = 0;
    client->publish(telemetry(), "large", Qos::kAtLeastOnce, id);
    front.sink.refuses = ErrorCode::kInvalidArgument;
    front.broker->retry_records();
    front.sink.refuses.reset();
    front.settle();
    return client->received();
  };
  EXPECT_THAT(answer(7), ElementsAre("puback 7 0x97"));
  EXPECT_EQ(front.dropped("refused_by_kafka"), 1U);
  const ScopedPlantedBug bug("front_has_one_refusal");
  EXPECT_THAT(answer(8), ElementsAre("puback 8 0x80"));
}

TEST_F(Ingest, CountsTheWholePacketAgainstTheLimitOfBytes) {
  front.add_device("d3", {}, {.bytes_per_second = 1000});
  TestClient limited(front);
  limited.connect("d3");
  mqtt::UserPropertyList properties;
  properties.add("note", std::string(600, 'x'));
  const std::string topic = TestFront::own("d3", "telemetry");
  mqtt::Publish publish{.topic = topic, .qos = Qos::kAtLeastOnce, .packet_id = 1};
  publish.properties.user = properties.view();
  limited.publish(publish);
  EXPECT_FALSE(limited.paused_until());
  publish.packet_id = 2;
  limited.publish(publish);
  EXPECT_TRUE(limited.paused_until());
}

TEST_F(Ingest, HoldsATenantToAChangeOfItsLimits) {
  limits::v1::LimitChange change;
  change.set_tenant("blue");
  change.set_messages_per_second(1);
  change.set_expires_at_ms(
      (front.clock.wall() + std::chrono::seconds(60)).time_since_epoch().count());
  ASSERT_TRUE(front.broker->on_limit("blue", &change));
  client->publish(telemetry(), "1", Qos::kAtLeastOnce, 1);
  EXPECT_FALSE(client->paused_until());
  client->publish(telemetry(), "2", Qos::kAtLeastOnce, 2);
  EXPECT_TRUE(client->paused_until());
  EXPECT_EQ(front.sink.records.size(), 2U);
  ASSERT_TRUE(front.broker->on_limit("blue", nullptr));
}

TEST_F(Ingest, SendsEventsInTheirOrderWhenThereIsRoomAgain) {
  front.sink.room = 0;
  front.broker->append_event({.topic = "device.events", .key = "blue/d1", .value = "opened"});
  front.sink.room = 1;
  front.broker->append_event({.topic = "device.events", .key = "blue/d1", .value = "closed"});
  EXPECT_TRUE(front.sink.records.empty()) << "the later one would go ahead";
  front.broker->retry_records();
  front.sink.room = 1'000'000;
  front.broker->retry_records();
  ASSERT_EQ(front.sink.records.size(), 2U);
  EXPECT_EQ(front.sink.records[0].value, "opened");
  EXPECT_EQ(front.sink.records[1].value, "closed");
  EXPECT_EQ(front.dropped("device_event"), 0U);
}

TEST_F(Ingest, FreesAClientOnlyWhenKafkaHasAnsweredForIt) {
  client->publish(telemetry(), "x", Qos::kAtLeastOnce, 1);
  client->lose();
  front.settle();
  EXPECT_EQ(front.broker->streams(), 1U);
  EXPECT_EQ(front.broker->clients(), 0U) << "QoS 1 does not hold the session back";
  front.complete();
  EXPECT_EQ(front.broker->streams(), 0U);
}

}  // namespace
}  // namespace sluice::front::testing
