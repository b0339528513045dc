#include "testing/test_front.h"

#include <sluice/base/planted_bug.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::front::testing {
namespace {

using mqtt::Qos;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::string up(std::string_view name) { return TestFront::own("d1", "up/" + std::string(name)); }
std::string stored(std::string_view name) { return "blue/" + up(name); }
std::string telemetry() { return TestFront::own("d1", "telemetry"); }

/// A front whose store is shared with others, and a device that may have everything retained.
class RetainedPublish : public ::testing::Test {
 protected:
  explicit RetainedPublish(bool is_durable = true) : front(Options{}, {.is_durable = is_durable}) {
    front.add_device("d1", {{.action = AccessRule::Action::kPublish,
                             .filter = TestFront::own("d1", "#"),
                             .may_retain = true}});
    client = connected(mqtt::Version::kV5);
  }
  std::unique_ptr<TestClient> connected(mqtt::Version version) {
    auto made = std::make_unique<TestClient>(front);
    made->hello.version = version;
    made->connect("d1");
    made->received();
    return made;
  }
  void fail_store(ErrorCode code, const std::string& reason = "") {
    front.store.failures.clear();
    for (const char* call : {"put_retained", "remove_retained"}) {
      front.store.failures.emplace(call, Error(code, "no").with_reason(reason));
    }
  }
  void send(const std::string& topic, Qos qos, std::uint16_t id, std::string_view payload = "x") {
    mqtt::Publish publish{.topic = topic,
                          .payload = std::as_bytes(std::span(payload)),
                          .qos = qos,
                          .retain = true,
                          .packet_id = id};
    mqtt::Output bytes;
    mqtt::encode(publish, mqtt::Version::kV5, bytes);
    client->send(bytes);
  }
  std::vector<std::string> answers() {
    front.settle();
    return client->received();
  }
  Result<FanOutCounts> publish_for_a_service(const std::string& topic) {
    std::optional<Result<FanOutCounts>> answer;
    front.broker->publish("blue",
                          std::make_shared<const mqtt::Message>(
                              mqtt::Message{.topic = topic, .payload = "x", .retain = true}),
                          [&](Result<FanOutCounts> counts) { answer = std::move(counts); });
    EXPECT_FALSE(answer) << "the store was not waited for";
    front.settle();
    return answer ? *std::move(answer) : fail(ErrorCode::kUnknown, "no answer");
  }

  TestFront front;
  std::unique_ptr<TestClient> client;
};

class RetainedWithoutStore : public RetainedPublish {
 protected:
  RetainedWithoutStore() : RetainedPublish(false) {}
};

TEST_F(RetainedPublish, IsAcknowledgedOnlyOnceTheStoreHasIt) {
  for (const Qos qos : {Qos::kAtLeastOnce, Qos::kExactlyOnce}) {
    const std::uint16_t id = qos == Qos::kAtLeastOnce ? 1 : 2;
    send(up("x"), qos, id);
    EXPECT_THAT(client->received(), IsEmpty());
    front.settle();
    EXPECT_THAT(client->received(), ElementsAre(id == 1 ? "puback 1" : "pubrec 2"));
    EXPECT_EQ(front.store.retained.at(stored("x")), "x");
  }
}

TEST_F(RetainedPublish, AnEarlyAcknowledgementWouldBeSeen) {
  const ScopedPlantedBug bug("front_acks_unretained");
  send(up("x"), Qos::kAtLeastOnce, 1);
  EXPECT_THAT(client->received(), ElementsAre("puback 1"));
}

TEST_F(RetainedPublish, OfTelemetryWaitsForKafkaAndForTheStore) {
  send(telemetry(), Qos::kAtLeastOnce, 1);
  front.settle();
  EXPECT_THAT(client->received(), IsEmpty()) << "Kafka does not have it";
  front.complete();
  EXPECT_THAT(client->received(), ElementsAre("puback 1"));

  send(telemetry(), Qos::kAtLeastOnce, 2);
  front.complete_one(1);
  EXPECT_THAT(client->received(), IsEmpty()) << "the store does not have it";
  front.settle();
  EXPECT_THAT(client->received(), ElementsAre("puback 2"));
}

TEST_F(RetainedPublish, IsRefusedWhenTheStoreIsAwayAndNothingWouldBeThereTwice) {
  fail_store(ErrorCode::kUnavailable);
  client->publish(up("x"), "x", Qos::kAtLeastOnce, 1, true);
  client->publish(up("x"), "", Qos::kExactlyOnce, 2, true);
  EXPECT_THAT(answers(), ElementsAre("puback 1 0x80", "pubrec 2 0x80"));
  EXPECT_EQ(front.dropped("retained_not_stored"), 2U);
  EXPECT_EQ(front.retained.size(), 0U) << "held by this front alone";
  EXPECT_THAT(front.store.retained_later, IsEmpty());

  client = connected(mqtt::Version::kV311);
  client->publish(up("x"), "x", Qos::kAtLeastOnce, 1, true);
  EXPECT_THAT(answers(), IsEmpty());
  EXPECT_TRUE(client->is_closed());
}

TEST_F(RetainedPublish, OfTelemetryIsAcknowledgedAlsoWithoutTheStoreWhichGetsItLater) {
  fail_store(ErrorCode::kUnavailable);
  client->publish(telemetry(), "x", Qos::kAtLeastOnce, 1, true);
  client->publish(telemetry(), "y", Qos::kExactlyOnce, 2, true);
  front.complete();
  EXPECT_THAT(client->received(), ElementsAre("puback 1", "pubrec 2"));
  EXPECT_EQ(front.store.retained_later.size(), 2U);
  EXPECT_EQ(front.sink.records.size(), 2U);
}

TEST_F(RetainedPublish, IsToldWhatKafkaSaysWhateverTheStoreDoes) {
  client->publish(telemetry(), "x", Qos::kAtLeastOnce, 1, true);
  front.complete(false);
  EXPECT_THAT(client->received(), ElementsAre("puback 1 0x80"));
  fail_store(ErrorCode::kResourceExhausted, "retained_max_bytes");
  client->publish(telemetry(), "x", Qos::kAtLeastOnce, 2, true);
  front.complete(false);
  EXPECT_THAT(client->received(), ElementsAre("puback 2 0x80"));
}

TEST_F(RetainedPublish, IsRefusedByABoundBeforeAnybodyHasIt) {
  for (std::uint16_t i = 1; i <= 4; ++i) {
    client->publish(up(std::to_string(i)), "x", Qos::kAtLeastOnce, i, true);
  }
  answers();
  client->publish(telemetry(), "x", Qos::kAtLeastOnce, 5, true);
  EXPECT_THAT(answers(), ElementsAre("puback 5 0x97"));
  EXPECT_THAT(front.sink.records, IsEmpty());
  EXPECT_EQ(front.store.retained.size(), 4U);
  EXPECT_EQ(front.dropped("retained_max_messages"), 1U);
}

TEST_F(RetainedPublish, IsRefusedByABoundThatTheStoreAloneKnowsOf) {
  fail_store(ErrorCode::kResourceExhausted, "retained_max_messages_per_tenant");
  client->publish(up("x"), "x", Qos::kAtLeastOnce, 1, true);
  EXPECT_THAT(answers(), ElementsAre("puback 1 0x97"));
  EXPECT_EQ(front.dropped("retained_max_messages_per_tenant"), 1U);
  // Kafka has it: a refusal would have it there twice.
  client->publish(telemetry(), "x", Qos::kAtLeastOnce, 2, true);
  front.complete();
  EXPECT_THAT(client->received(), ElementsAre("puback 2"));
  EXPECT_EQ(front.dropped("retained_max_messages_per_tenant"), 2U);
}

TEST_F(RetainedPublish, OfQos0IsKeptForLaterWhileTheStoreIsAway) {
  fail_store(ErrorCode::kUnavailable);
  client->publish(up("x"), "x", Qos::kAtMostOnce, 0, true);
  front.settle();
  EXPECT_THAT(front.store.retained_later, ElementsAre(stored("x")));
  fail_store(ErrorCode::kResourceExhausted);
  client->publish(up("x"), "x", Qos::kAtMostOnce, 0, true);
  front.settle();
  EXPECT_EQ(front.dropped("retained_not_stored"), 1U) << "there is no room to keep it";
}

TEST_F(RetainedPublish, OutlivesTheConnectionThatSentIt) {
  send(up("x"), Qos::kExactlyOnce, 1);
  client->lose();
  front.settle();
  EXPECT_EQ(front.store.retained.at(stored("x")), "x");
  EXPECT_EQ(front.broker->streams(), 0U);
}

TEST_F(RetainedPublish, KeepsTheOrderOfAcknowledgements) {
  send(up("x"), Qos::kAtLeastOnce, 1);
  client->publish(up("y"), "not retained", Qos::kAtLeastOnce, 2);
  EXPECT_THAT(client->received(), IsEmpty());
  EXPECT_THAT(answers(), ElementsAre("puback 1", "puback 2"));
}

TEST_F(RetainedPublish, OfAServiceIsAnsweredOnceTheStoreHasIt) {
  EXPECT_TRUE(publish_for_a_service(up("x")));
  EXPECT_EQ(front.store.retained.at(stored("x")), "x");
  fail_store(ErrorCode::kUnavailable);
  const auto away = publish_for_a_service(up("x"));
  ASSERT_FALSE(away);
  EXPECT_EQ(away.error().code(), ErrorCode::kUnavailable);
  fail_store(ErrorCode::kResourceExhausted, "retained_max_bytes");
  const auto full = publish_for_a_service(up("x"));
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().reason(), "retained_max_bytes");
}

TEST_F(RetainedPublish, OfAWillIsKeptForLaterWhileTheStoreIsAway) {
  fail_store(ErrorCode::kUnavailable);
  front.broker->publish_will(SessionKey("blue/d1"),
                             {.message = {.topic = up("gone"), .payload = "bye", .retain = true}});
  front.settle();
  EXPECT_THAT(front.store.retained_later, ElementsAre(stored("gone")));
}

TEST_F(RetainedWithoutStore, OfAWillIsCountedWhenThereIsNoRoom) {
  for (int i = 0; i < 5; ++i) {
    front.broker->publish_will(
        SessionKey("blue/d1"),
        {.message = {.topic = up(std::to_string(i)), .payload = "bye", .retain = true}});
  }
  EXPECT_EQ(front.retained.size(), 4U);
  EXPECT_EQ(front.dropped("retained_max_messages"), 1U);
}

}  // namespace
}  // namespace sluice::front::testing
