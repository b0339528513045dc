// What a device publishes reaches Kafka as it was sent, and is acknowledged for that alone.
#include "platform.h"
#include "telemetry_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::front::testing {
namespace {

using mqtt::PacketType;
using mqtt::Qos;
using mqtt::ReasonCode;
using ::testing::ElementsAre;

class Ingest : public ::testing::Test {
 protected:
  Platform& platform = shared_platform();
  Front& front = shared_front();
  TelemetryLog log{platform.kafka_namespace()};
};

TEST_F(Ingest, AQos1PublishIsARecordWithTheProvenIdentity) {
  const Device device = platform.make_device();
  MqttClient client = front.client();
  ASSERT_EQ(client.connect(device.session()).reason, ReasonCode::kSuccess);
  const Received puback = client.publish(device.topic("telemetry/power"), R"({"power":230})", 7);
  EXPECT_EQ(puback.packet_id, 7);
  EXPECT_EQ(puback.reason, ReasonCode::kSuccess);

  const auto records = log.of(device.id);
  ASSERT_EQ(records.size(), 1U);
  const telemetry::v1::RawMessage& message = records[0].message;
  EXPECT_EQ(records[0].key, device.tenant + "/" + device.id);
  EXPECT_EQ(message.tenant(), device.tenant);
  EXPECT_EQ(message.device_type(), "meter");
  EXPECT_EQ(message.channel(), telemetry::v1::CHANNEL_TELEMETRY);
  EXPECT_EQ(message.stream(), "power");
  EXPECT_EQ(message.topic(), device.topic("telemetry/power"));
  EXPECT_EQ(message.qos(), 1U);
  EXPECT_EQ(message.protocol(), telemetry::v1::PROTOCOL_MQTT);
  EXPECT_EQ(message.payload(), R"({"power":230})");
  EXPECT_EQ(message.message_id().size(), 16U);
  EXPECT_GT(message.received_at_ms(), 0);
}

TEST_F(Ingest, AQos2PublishIsARecordOnceHoweverOftenItIsSent) {
  const Device device = platform.make_device();
  {
    MqttClient client = front.client();
    client.connect(device.session(600));
    client.send_publish(device.telemetry(), "once", Qos::kExactlyOnce, 9);
    EXPECT_EQ(client.expect(PacketType::kPubrec).reason, ReasonCode::kSuccess);
  }
  MqttClient client = front.client();
  EXPECT_TRUE(client.connect(device.session(600, false)).session_present);
  client.send_publish(device.telemetry(), "once", Qos::kExactlyOnce, 9, true);
  EXPECT_EQ(client.expect(PacketType::kPubrec).packet_id, 9);
  client.send_ack(PacketType::kPubrel, 9);
  EXPECT_EQ(client.expect(PacketType::kPubcomp).packet_id, 9);
  EXPECT_THAT(log.payloads_of(device.id), ElementsAre("once"));
}

TEST_F(Ingest, AForeignTopicIsRefused) {
  const Device device = platform.make_device();
  const Device other = platform.make_device();
  MqttClient client = front.client();
  client.connect(device.session());
  const Received refused = client.publish(other.telemetry(), "not mine");
  EXPECT_EQ(refused.reason, ReasonCode::kNotAuthorized);
  EXPECT_EQ(client.publish(device.telemetry(), "mine", 2).reason, ReasonCode::kSuccess);

  MqttClient old = front.client();
  auto session = device.session();
  session.version = mqtt::Version::kV311;
  EXPECT_EQ(old.connect(session).connack_code, 0);
  old.send_publish(other.telemetry(), "not mine", Qos::kAtLeastOnce, 1);
  EXPECT_FALSE(old.receive());
  EXPECT_TRUE(old.is_closed());
  EXPECT_TRUE(log.of(other.id).empty());
}

}  // namespace
}  // namespace sluice::front::testing
