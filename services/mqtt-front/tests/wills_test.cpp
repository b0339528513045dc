// A will on a topic of the device's own is a record like any other of its messages, whichever front
// publishes it, and whenever.
#include "platform.h"
#include "telemetry_log.h"

#include <csignal>
#include <string>

#include <sluice/mqtt/encoder.h>
#include <sluice/testing/eventually.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::front::testing {
namespace {

using mqtt::PacketType;
using mqtt::Qos;
using mqtt::ReasonCode;
using sluice::testing::eventually;
using ::testing::ElementsAre;

class Wills : public ::testing::Test {
 protected:
  MqttClient connect(const Front& front, std::uint32_t delay_seconds) {
    const std::string topic = device.topic("events/gone");
    mqtt::Connect packet{.client_id = device.id,
                         .user_name = device.id,
                         .password = std::as_bytes(std::span(device.token)),
                         .session_expiry_seconds = 600};
    packet.will = mqtt::Will{.topic = topic,
                             .payload = std::as_bytes(std::span(std::string_view("bye"))),
                             .qos = Qos::kAtLeastOnce};
    packet.will->properties.delay_seconds = delay_seconds;
    mqtt::Output bytes;
    mqtt::encode(packet, bytes);
    MqttClient client = front.client();
    client.send_raw({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    EXPECT_EQ(client.expect(PacketType::kConnack).reason, ReasonCode::kSuccess);
    return client;
  }
  void expect_record() {
    EXPECT_TRUE(eventually([&] { return !log.of(device.id).empty(); }));
    const auto records = log.of(device.id);
    ASSERT_EQ(records.size(), 1U);
    EXPECT_EQ(records[0].message.payload(), "bye");
    EXPECT_EQ(records[0].message.stream(), "gone");
    EXPECT_EQ(records[0].message.device_type(), "meter");
    EXPECT_EQ(records[0].message.topic(), device.topic("events/gone"));
    EXPECT_EQ(records[0].message.channel(), telemetry::v1::CHANNEL_EVENT);
  }

  Platform& platform = shared_platform();
  Device device = platform.make_device();
  TelemetryLog log{platform.kafka_namespace()};
};

TEST_F(Wills, ReachKafkaAfterTheirDelay) {
  {
    const MqttClient client = connect(shared_front(), 1);
  }
  expect_record();
}

TEST_F(Wills, ReachKafkaWhenTheirFrontDies) {
  const Environment lease{{"SLUICE_SESSION_FRONT_LEASE", "500ms"}};
  const auto dying = platform.start_front(lease);
  const auto other = platform.start_front(lease);
  const MqttClient client = connect(*dying, 0);
  dying->process().signal(SIGKILL);
  expect_record();
}

}  // namespace
}  // namespace sluice::front::testing
