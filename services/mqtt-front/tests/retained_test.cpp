// A retained message is acknowledged once every front will have it, whatever Redis does.
#include "platform.h"
#include "telemetry_log.h"

#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <sluice/testing/eventually.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::front::testing {
namespace {

using namespace std::chrono_literals;
using mqtt::PacketType;
using mqtt::Qos;
using mqtt::ReasonCode;
using sluice::testing::eventually;
using ::testing::ElementsAre;

/// A platform whose Redis stops, two fronts, and a device that may have its messages retained.
class RetainedInAnOutage : public ::testing::Test {
 protected:
  RetainedInAnOutage() {
    const Json rules = {
        {{"action", "publish"}, {"topic", "{tenant}/state/#"}, {"may_retain", true}},
        {{"action", "publish"},
         {"topic", "tenant/{tenant}/device/{device}/telemetry"},
         {"may_retain", true}},
        {{"action", "subscribe"}, {"topic", "{tenant}/state/#"}},
        {{"action", "subscribe"}, {"topic", "tenant/{tenant}/device/+/telemetry"}}};
    platform.post("/v1/topic-policies", {{"topic_policy_id", "state"}, {"rules", rules}}, 201);
    platform.post("/v1/device-classes",
                  {{"device_class_id", "stateful"}, {"topic_policy_id", "state"}}, 201);
    device = platform.make_device("stateful");
    reader = platform.make_device("stateful");
  }
  void start(Environment settings = {}) {
    one = platform.start_front(settings);
    other = platform.start_front(settings);
    client.emplace(one->client());
    ASSERT_EQ(client->connect(device.session()).reason, ReasonCode::kSuccess);
  }
  /// Returns when the first front has noticed.
  void stop_redis() {
    platform.redis().kill();
    EXPECT_TRUE(eventually([&] { return one->metric("sluice_redis_connections_lost_total") > 0; }));
  }
  std::string state() const { return device.tenant + "/state/door"; }
  void send(const std::string& topic, std::string_view payload, std::uint16_t id) {
    client->send_publish({.topic = topic,
                          .payload = std::as_bytes(std::span(payload)),
                          .qos = Qos::kAtLeastOnce,
                          .retain = true,
                          .packet_id = id});
  }
  /// What somebody who subscribes on the second front is told; empty: nothing.
  std::string retained_elsewhere(const std::string& topic) {
    MqttClient late = other->client();
    if (late.connect(reader.session()).reason != ReasonCode::kSuccess) return "";
    late.send_subscribe(topic, Qos::kAtLeastOnce);
    if (late.expect(PacketType::kSuback).reasons != std::vector{ReasonCode::kGrantedQos1}) {
      return "";
    }
    const auto message = late.receive(200ms);
    return message ? message->payload : "";
  }
  bool is_elsewhere(const std::string& topic, const std::string& payload) {
    return eventually([&] { return retained_elsewhere(topic) == payload; });
  }

  Platform platform;
  Device device;
  Device reader;
  std::unique_ptr<Front> one;
  std::unique_ptr<Front> other;
  std::optional<MqttClient> client;
};

// Commands wait for Redis as long as that; it is back before.
const Environment kPatient{{"SLUICE_REDIS_COMMAND_TIMEOUT", "1m"}};

TEST_F(RetainedInAnOutage, IsNotAcknowledgedBeforeRedisIsBackAndThenKnownToTheOtherFront) {
  start(kPatient);
  send(state(), "closed", 1);
  EXPECT_EQ(client->expect(PacketType::kPuback).reason, ReasonCode::kSuccess);
  EXPECT_TRUE(is_elsewhere(state(), "closed"));

  stop_redis();
  send(state(), "open", 2);
  client->send_ping();
  EXPECT_EQ(client->expect(PacketType::kPingresp).type, PacketType::kPingresp);
  const auto early = client->receive(300ms);
  EXPECT_TRUE(!early || early->reason == ReasonCode::kUnspecifiedError);
  platform.redis().start();
  // What was on its way in the moment that a connection broke is refused, and clients send it
  // again.
  ReasonCode reason = early ? early->reason : client->expect(PacketType::kPuback).reason;
  while (reason == ReasonCode::kUnspecifiedError) {
    send(state(), "open", 2);
    reason = client->expect(PacketType::kPuback).reason;
  }
  EXPECT_EQ(reason, ReasonCode::kSuccess);
  EXPECT_TRUE(is_elsewhere(state(), "open"));
}

TEST_F(RetainedInAnOutage, AnAcknowledgementWithoutRedisWouldBeSeen) {
  Environment settings = kPatient;
  settings.emplace("SLUICE_PLANTED_BUG", "front_acks_unretained");
  start(settings);
  stop_redis();
  send(state(), "open", 2);
  EXPECT_EQ(client->expect(PacketType::kPuback).reason, ReasonCode::kSuccess);
}

TEST_F(RetainedInAnOutage, IsRefusedWhenRedisStaysAway) {
  start();
  stop_redis();
  send(state(), "open", 1);
  const Received answer = client->expect(PacketType::kPuback);
  EXPECT_EQ(answer.reason, ReasonCode::kUnspecifiedError);
  EXPECT_EQ(answer.reason_string, "retained_not_stored");
  platform.redis().start();
  ASSERT_TRUE(eventually([&] {
    send(state(), "open", 1);
    return client->expect(PacketType::kPuback).reason == ReasonCode::kSuccess;
  }));
  EXPECT_TRUE(is_elsewhere(state(), "open"));
}

TEST_F(RetainedInAnOutage, OfTelemetryIsInKafkaOnceAndKnownToTheOtherFrontWhenRedisIsBack) {
  start();
  stop_redis();
  send(device.telemetry(), "21.5", 1);
  EXPECT_EQ(client->expect(PacketType::kPuback).reason, ReasonCode::kSuccess)
      << "a refusal would have it sent again";
  platform.redis().start();
  EXPECT_TRUE(is_elsewhere(device.telemetry(), "21.5"));
  EXPECT_THAT(TelemetryLog(platform.kafka_namespace()).payloads_of(device.id), ElementsAre("21.5"));
}

}  // namespace
}  // namespace sluice::front::testing
