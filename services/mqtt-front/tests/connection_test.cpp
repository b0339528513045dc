// How bytes come in: WebSocket, PROXY headers, and clients that do no one good.
#include "platform.h"

#include <chrono>
#include <string>

#include <gtest/gtest.h>

namespace sluice::front::testing {
namespace {

using namespace std::chrono_literals;
using mqtt::PacketType;
using mqtt::ReasonCode;

class Connections : public ::testing::Test {
 protected:
  Platform& platform = shared_platform();
  const Device device = platform.make_device();
};

TEST_F(Connections, ADevicePublishesOverWebSocket) {
  MqttClient client = shared_front().client("ws");
  EXPECT_TRUE(client.upgrade("/mqtt").starts_with("HTTP/1.1 101"));
  ASSERT_EQ(client.connect(device.session()).reason, ReasonCode::kSuccess);
  EXPECT_EQ(client.publish(device.telemetry(), std::string(1000, 'x')).reason,
            ReasonCode::kSuccess);
}

TEST_F(Connections, WithProxyProtocolAHeaderIsTakenAndItsAbsenceEndsTheConnection) {
  const auto front = platform.start_front({{"SLUICE_MQTT_PROXY_PROTOCOL", "true"}});
  const std::string header(
      "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0C\x0A\0\0\x07\x7F\0\0\x01\x12\x34\x07\x5B", 28);
  MqttClient client = front->client();
  client.send_raw(header);
  ASSERT_EQ(client.connect(device.session()).reason, ReasonCode::kSuccess);
  EXPECT_EQ(client.publish(device.telemetry(), "1").reason, ReasonCode::kSuccess);
  MqttClient without = front->client();
  without.send_connect(device.session());
  EXPECT_TRUE(without.wait_closed());
}

TEST_F(Connections, MalformedOversizedAndSilentClientsEndAloneAndHarmNobody) {
  const auto front = platform.start_front({{"SLUICE_CONNECT_TIMEOUT", "2s"}});
  MqttClient bystander = front->client();
  bystander.connect(device.session());
  MqttClient silent = front->client();
  MqttClient malformed = front->client();
  malformed.send_raw(std::string(64, '\xFF'));
  MqttClient half = front->client();
  half.send_raw(std::string("\x10\xFF\xFF\xFF\x7F", 5));  // a CONNECT of 256 MiB to come
  const Device large = platform.make_device();
  MqttClient oversized = front->client();
  oversized.connect(large.session());
  oversized.send_raw(std::string("\x32\xFF\xFF\x7F", 4));  // a PUBLISH of 2 MiB to come
  EXPECT_EQ(oversized.expect(PacketType::kDisconnect).reason, ReasonCode::kPacketTooLarge);
  for (MqttClient* const client : {&silent, &malformed, &half, &oversized}) {
    EXPECT_TRUE(client->wait_closed());
  }
  EXPECT_EQ(bystander.publish(device.telemetry(), "1").reason, ReasonCode::kSuccess);
}

}  // namespace
}  // namespace sluice::front::testing
