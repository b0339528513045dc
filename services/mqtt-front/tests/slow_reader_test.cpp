// A client that stops reading costs others nothing: neither their messages nor the front's memory.
#include "platform.h"

#include <format>
#include <string>

#include <sluice/testing/eventually.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::front::testing {
namespace {

using mqtt::PacketType;
using mqtt::Qos;
using mqtt::ReasonCode;
using ::testing::HasSubstr;

constexpr int kMessages = 400;
constexpr std::size_t kPayloadSize = 16 * 1024;
constexpr const char* kQueueFull = R"(sluice_mqtt_dropped_total{reason="session_queue_full"})";
constexpr const char* kSlowClient = R"(sluice_mqtt_dropped_total{reason="slow_client"})";

std::string payload_of(int number) {
  std::string payload = std::format("{} ", number);
  payload.resize(kPayloadSize, 'x');
  return payload;
}

int number_of(const std::string& payload) { return std::stoi(payload); }

/// Devices of one tenant that may talk to each other.
class SlowReader : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    Platform& platform = shared_platform();
    const Json rules = {{{"action", "publish"}, {"topic", "{tenant}/news/#"}},
                        {{"action", "subscribe"}, {"topic", "{tenant}/news/#"}},
                        {{"action", "publish"}, {"topic", "tenant/{tenant}/device/{device}/#"}}};
    platform.post("/v1/topic-policies", {{"topic_policy_id", "talk"}, {"rules", rules}}, 201);
    platform.post("/v1/device-classes",
                  {{"device_class_id", "talker"}, {"topic_policy_id", "talk"}}, 201);
  }

  /// A topic of this pass alone: sessions of an earlier one may still be subscribed to theirs.
  std::string news(const Device& device) const {
    return std::format("{}/news/{}", device.tenant, pass_);
  }
  void begin_pass() {
    static int passes = 0;
    pass_ = ++passes;
  }

  /// One that is subscribed, in a session that outlives its connection or ends with it.
  MqttClient subscriber(const Device& device, Qos qos, std::uint32_t expiry_seconds,
                        const char* listener = "mqtt") {
    MqttClient client = front->client(listener);
    if (std::string_view(listener) == "ws") {
      EXPECT_THAT(client.upgrade("/mqtt"), HasSubstr("101"));
    }
    EXPECT_EQ(client.connect(device.session(expiry_seconds)).reason, ReasonCode::kSuccess);
    client.send_subscribe(news(device), qos);
    EXPECT_LE(client.expect(PacketType::kSuback).reasons.at(0), ReasonCode::kGrantedQos2);
    return client;
  }

  /// Takes one message and acknowledges it.
  static int take(MqttClient& client) {
    const Received message = client.expect(PacketType::kPublish);
    if (message.qos == Qos::kAtLeastOnce) client.send_ack(PacketType::kPuback, message.packet_id);
    return number_of(message.payload);
  }

  /// Publishes all of them past whoever does not read, and of QoS 0 as many more as it takes until
  /// the kernel holds no more of them, while one reads and another one publishes telemetry, which
  /// all go on as ever. Gives by how much the front has grown.
  std::int64_t publish_past(Qos qos) {
    const Device publishing = platform.make_device("talker");
    const Device reading = platform.make_device("talker");
    const Device bystanding = platform.make_device();
    MqttClient reader = subscriber(reading, qos, 600);
    MqttClient bystander = front->client();
    EXPECT_EQ(bystander.connect(bystanding.session()).reason, ReasonCode::kSuccess);
    MqttClient publisher = front->client();
    EXPECT_EQ(publisher.connect(publishing.session()).reason, ReasonCode::kSuccess);
    const std::int64_t before = front->resident_kib();
    const int dropped_before = dropped(kSlowClient);
    const auto is_enough = [&] {
      return published_ >= kMessages &&
             (qos != Qos::kAtMostOnce || dropped(kSlowClient) > dropped_before);
    };
    for (published_ = 0; !is_enough() && !HasFailure();) {
      const int number = ++published_;
      const auto id = static_cast<std::uint16_t>(number);
      const bool is_answered = qos == Qos::kAtLeastOnce;
      publisher.send_publish(news(publishing), payload_of(number), qos,
                             is_answered ? id : std::uint16_t{0});
      if (is_answered) {
        EXPECT_EQ(publisher.expect(PacketType::kPuback).reason, ReasonCode::kSuccess);
      }
      EXPECT_EQ(take(reader), number);
      if (number % 20 == 0) {
        EXPECT_EQ(bystander.publish(bystanding.telemetry(), "1", id).reason, ReasonCode::kSuccess);
      }
    }
    return front->resident_kib() - before;
  }

  int dropped(const char* reason) const { return static_cast<int>(front->metric(reason)); }

  int pass_ = 0;
  int published_ = 0;  // in this pass
  Platform& platform = shared_platform();
  // What a device may send in a second would only make the test slower.
  const std::unique_ptr<Front> front =
      platform.start_front({{"SLUICE_DEVICE_BYTES_PER_SECOND", "0"},
                            {"SLUICE_SESSION_MAX_QUEUED_BYTES", "1MiB"},
                            {"SLUICE_MQTT_MAX_OUTPUT", "256KiB"}});
};

TEST_F(SlowReader, OfQos1HarmsNobodyAndGetsWhatItsQueueHolds) {
  struct Case {
    std::uint32_t expiry_seconds;
    const char* listener;
  };
  for (const auto& [expiry_seconds, listener] : {Case{0, "mqtt"}, {600, "mqtt"}, {0, "ws"}}) {
    SCOPED_TRACE(std::format("{} {}", expiry_seconds, listener));
    begin_pass();
    const Device device = platform.make_device("talker");
    MqttClient slow = subscriber(device, Qos::kAtLeastOnce, expiry_seconds, listener);
    const int dropped_before = dropped(kQueueFull);
    // Its queue and its output, and what the allocator makes of them.
    EXPECT_LT(publish_past(Qos::kAtLeastOnce), 8 * 1024);

    const int lost = dropped(kQueueFull) - dropped_before;
    const int kept = kMessages - lost;
    // Each counts with its topic and a little more, hence not quite 64.
    EXPECT_GE(kept, 60);
    EXPECT_LE(kept, 64);
    for (int number = 1; number <= kept; ++number) ASSERT_EQ(take(slow), number);
    // And is a client like any other again.
    MqttClient publisher = front->client();
    const Device publishing = platform.make_device("talker");
    publisher.connect(publishing.session());
    EXPECT_EQ(publisher.publish(news(publishing), payload_of(kMessages + 1)).reason,
              ReasonCode::kSuccess);
    EXPECT_EQ(take(slow), kMessages + 1);
    EXPECT_EQ(dropped(kQueueFull) - dropped_before, lost);
  }
}

TEST_F(SlowReader, OfQos0HarmsNobodyAndLosesWhatItDoesNotRead) {
  for (const char* const listener : {"mqtt", "ws"}) {
    SCOPED_TRACE(listener);
    begin_pass();
    const Device device = platform.make_device("talker");
    MqttClient slow = subscriber(device, Qos::kAtMostOnce, 0, listener);
    const int lost_before = dropped(kSlowClient);
    EXPECT_LT(publish_past(Qos::kAtMostOnce), 8 * 1024);
    const int lost = dropped(kSlowClient) - lost_before;
    EXPECT_GT(lost, 0);
    int last = 0;
    for (int taken = 0; taken < published_ - lost; ++taken) {
      const int number = take(slow);
      EXPECT_GT(number, last);
      last = number;
    }
  }
}

// Nothing but what the WebSocket itself says waits for it, so that nothing else brings that on its
// way again.
TEST_F(SlowReader, OfPongsIsNotReadMeanwhileAndGetsThemAllAfterwards) {
  constexpr int kMostPings = 200'000;
  const std::string ping = std::string("\x89\xFD\0\0\0\0", 6) + std::string(125, 'x');
  std::string some;
  for (int i = 0; i < 100; ++i) some += ping;
  const Device device = platform.make_device();
  MqttClient slow = front->client("ws");
  slow.set_send_limit(std::chrono::seconds(2));
  ASSERT_THAT(slow.upgrade("/mqtt"), HasSubstr("101"));
  ASSERT_EQ(slow.connect(device.session()).reason, ReasonCode::kSuccess);
  const std::int64_t before = front->resident_kib();
  int pings = 0;
  while (pings < kMostPings && slow.send_raw(some)) pings += 100;
  EXPECT_LT(pings, kMostPings) << "it is read for ever";
  EXPECT_LT(front->resident_kib() - before, 8 * 1024);
  const std::size_t expected = static_cast<std::size_t>(pings) * (2 + 125);
  std::size_t pongs = 0;
  EXPECT_TRUE(sluice::testing::eventually([&] {
    pongs += slow.receive_raw(std::chrono::milliseconds(100)).size();
    return pongs >= expected;
  })) << pongs
      << " of " << expected;
  EXPECT_FALSE(slow.is_closed());
}

TEST_F(SlowReader, ThatIsToBeClosedIsClosedWithoutItsHelp) {
  begin_pass();
  const Device device = platform.make_device("talker");
  MqttClient slow = subscriber(device, Qos::kAtMostOnce, 0);
  publish_past(Qos::kAtMostOnce);
  const auto is_alone = [&] { return front->metric("sluice_mqtt_connections") == 1; };
  ASSERT_TRUE(sluice::testing::eventually(is_alone));
  const std::size_t files = front->open_files();
  // Another connection of the device takes its place; it still does not read.
  MqttClient next = front->client();
  ASSERT_EQ(next.connect(device.session()).reason, ReasonCode::kSuccess);
  EXPECT_TRUE(sluice::testing::eventually([&] { return front->open_files() <= files; }));
}

}  // namespace
}  // namespace sluice::front::testing
