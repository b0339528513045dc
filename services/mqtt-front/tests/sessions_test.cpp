// Sessions outlive connections and fronts, and belong to one front at a time.
#include "platform.h"

#include <chrono>
#include <csignal>
#include <cstdint>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <sluice/grpc/raw.h>
#include <sluice/log/logger.h>
#include <sluice/metrics/metrics.h>
#include <sluice/mqtt/v1/mqtt_front.grpc.pb.h>
#include <sluice/testing/eventually.h>

#include <gtest/gtest.h>
#include <unistd.h>

namespace sluice::front::testing {
namespace {

using namespace std::chrono_literals;
using mqtt::PacketType;
using mqtt::Qos;
using mqtt::ReasonCode;
using sluice::testing::eventually;

constexpr std::uint32_t kExpirySeconds = 600;

/// A service of the platform that sends commands.
class CommandSender {
 public:
  CommandSender(const Platform& platform, const Front& front)
      : log_("shadow-service", LogLevel::kError, clock_, make_fd_log_sink(STDERR_FILENO)),
        channel_(rpc::Channel::open({.service = "mqtt-front",
                                     .address = front.address("grpc"),
                                     .timeout = 10s,
                                     .max_attempts = 1},
                                    platform.identity_of("shadow-service"), clock_, random_, log_,
                                    metrics_)
                     .value()),
        client_(*channel_) {}

  mqtt::v1::PublishResponse send(const Device& device, const std::string& payload) {
    mqtt::v1::PublishRequest request;
    request.set_tenant(device.tenant);
    request.mutable_message()->set_topic(device.topic("commands"));
    request.mutable_message()->set_payload(payload);
    request.mutable_message()->set_qos(1);
    return client_.call(&Client::Stub::Publish, request).value();
  }

 private:
  using Client = rpc::Client<mqtt::v1::MqttFrontService>;
  SystemClock clock_;
  SystemRandom random_;
  Registry metrics_;
  Logger log_;
  std::unique_ptr<rpc::Channel> channel_;
  Client client_;
};

/// Connections of one device, and what they hear.
class Crowd {
 public:
  void add(MqttClient client) {
    clients_.push_back(std::move(client));
    last_.emplace_back();
  }
  std::vector<MqttClient>& clients() { return clients_; }
  /// Its last CONNACK or DISCONNECT that came while we listened.
  const Received& last_of(std::size_t i) const { return last_[i]; }
  /// Messages that were not marked as coming again.
  int deliveries() const { return deliveries_; }

  /// Takes and acknowledges what comes to any of them within that time; gives how many are open.
  std::size_t listen(std::chrono::milliseconds patience) {
    std::size_t open = 0;
    for (std::size_t i = 0; i < clients_.size(); ++i) {
      MqttClient& client = clients_[i];
      while (const auto packet = client.receive(patience)) {
        if (packet->type == PacketType::kConnack || packet->type == PacketType::kDisconnect) {
          last_[i] = *packet;
        }
        if (packet->type != PacketType::kPublish) continue;
        // Whoever is taken over before its acknowledgement arrived has it delivered again: marked.
        if (!packet->dup) ++deliveries_;
        client.send_ack(PacketType::kPuback, packet->packet_id);
      }
      if (!client.is_closed()) ++open;
    }
    return open;
  }

 private:
  std::vector<MqttClient> clients_;
  std::vector<Received> last_;
  int deliveries_ = 0;
};

class Sessions : public ::testing::Test {
 protected:
  /// Makes a session that is subscribed to its commands, and leaves it.
  void subscribe(const Front& front, const Device& device) {
    MqttClient client = front.client();
    ASSERT_EQ(client.connect(device.session(kExpirySeconds)).reason, ReasonCode::kSuccess);
    client.send_subscribe(device.topic("commands"), Qos::kAtLeastOnce);
    ASSERT_EQ(client.expect(PacketType::kSuback).reasons, std::vector{ReasonCode::kGrantedQos1});
    client.send_disconnect();
    ASSERT_TRUE(client.wait_closed());
  }
  /// Takes one message and acknowledges it.
  static std::string take(MqttClient& client) {
    const Received message = client.expect(PacketType::kPublish);
    client.send_ack(PacketType::kPuback, message.packet_id);
    return message.payload;
  }

  /// What a device hears, up to an acknowledgement, of its front that was frozen when the device
  /// published, and goes on after another front took the session over.
  std::vector<PacketType> heard_of_a_thawed_front(const Environment& of_the_frozen_one) {
    const Environment lease{{"SLUICE_SESSION_FRONT_LEASE", "500ms"}};
    Environment settings = of_the_frozen_one;
    settings.insert(lease.begin(), lease.end());
    const auto frozen = platform.start_front(settings);
    const auto other = platform.start_front(lease);
    const Device device = platform.make_device();
    subscribe(*frozen, device);
    MqttClient old = frozen->client();
    EXPECT_TRUE(old.connect(device.session(kExpirySeconds, false)).session_present);

    frozen->process().freeze();
    // Waits in the kernel for the front to go on.
    old.send_publish(device.telemetry(), "to the frozen one", Qos::kAtLeastOnce, 1);
    MqttClient client = other->client();
    EXPECT_TRUE(client.connect(device.session(kExpirySeconds, false)).session_present);
    CommandSender sender(platform, *other);
    EXPECT_EQ(sender.send(device, "for the owner").delivered(), 1U);
    EXPECT_EQ(take(client), "for the owner");

    frozen->process().signal(SIGCONT);
    std::vector<PacketType> heard;
    while (const auto packet = old.receive()) {
      heard.push_back(packet->type);
      if (packet->type == PacketType::kPuback) return heard;
    }
    EXPECT_TRUE(old.is_closed());
    EXPECT_EQ(client.publish(device.telemetry(), "by the owner").reason, ReasonCode::kSuccess);
    return heard;
  }

  Platform& platform = shared_platform();
};

TEST_F(Sessions, ACommandSentWhileTheDeviceIsAwayIsThereWhenItIsBackOnAnotherFront) {
  const auto one = platform.start_front();
  const auto other = platform.start_front();
  const Device device = platform.make_device();
  subscribe(*one, device);
  CommandSender sender(platform, *one);
  EXPECT_EQ(sender.send(device, "first").queued(), 1U);
  {
    MqttClient client = one->client();
    EXPECT_TRUE(client.connect(device.session(kExpirySeconds, false)).session_present);
    EXPECT_EQ(take(client), "first");
    EXPECT_EQ(sender.send(device, "live").delivered(), 1U);
    EXPECT_EQ(take(client), "live");
    client.send_disconnect();
    ASSERT_TRUE(client.wait_closed());
  }
  EXPECT_EQ(sender.send(device, "second").queued(), 1U);
  MqttClient client = other->client();
  EXPECT_TRUE(client.connect(device.session(kExpirySeconds, false)).session_present);
  EXPECT_EQ(take(client), "second");
  // Through a front that does not hold the session.
  EXPECT_EQ(sender.send(device, "across").delivered(), 1U);
  EXPECT_EQ(take(client), "across");
}

TEST_F(Sessions, Of200ConnectionsOfOneDeviceOnTwoFrontsOneSurvivesAndGetsTheQueueOnce) {
  const auto one = platform.start_front();
  const auto other = platform.start_front();
  const Device device = platform.make_device();
  subscribe(*one, device);
  EXPECT_EQ(CommandSender(platform, *one).send(device, "once").queued(), 1U);

  Crowd crowd;
  for (int i = 0; i < 200; ++i) crowd.add((i % 2 == 0 ? one : other)->client());
  for (MqttClient& client : crowd.clients()) {
    client.send_connect(device.session(kExpirySeconds, false));
  }
  // Each is told something; all but one are closed in the end, whatever order they were served in.
  EXPECT_TRUE(eventually([&] { return crowd.listen(2ms) == 1; }));
  EXPECT_EQ(crowd.listen(20ms), 1U);
  EXPECT_EQ(crowd.deliveries(), 1);
  for (std::size_t i = 0; i < crowd.clients().size(); ++i) {
    const Received& last = crowd.last_of(i);
    if (!crowd.clients()[i].is_closed()) {
      EXPECT_EQ(last.type, PacketType::kConnack);
      EXPECT_EQ(last.reason, ReasonCode::kSuccess);
    } else if (last.type == PacketType::kDisconnect) {
      EXPECT_EQ(last.reason, ReasonCode::kSessionTakenOver) << "connection " << i;
    } else {
      // Overtaken before its CONNACK, which has no 0x8E to give [MQTT5-3.2.2.2].
      EXPECT_EQ(last.reason, ReasonCode::kServerBusy) << "connection " << i;
    }
  }
}

TEST_F(Sessions, ASecondSurvivorWouldBeSeen) {
  const Environment bug{{"SLUICE_PLANTED_BUG", "front_takes_over_unasked"}};
  const auto one = platform.start_front(bug);
  const auto other = platform.start_front(bug);
  const Device device = platform.make_device();
  subscribe(*one, device);
  // One after the other, so that how many survive is no matter of luck: one on each front.
  Crowd crowd;
  for (int i = 0; i < 4; ++i) {
    crowd.add((i % 2 == 0 ? one : other)->client());
    crowd.clients().back().connect(device.session(kExpirySeconds, false));
  }
  EXPECT_TRUE(eventually([&] { return crowd.listen(2ms) == 2; }));
  EXPECT_EQ(crowd.listen(20ms), 2U);
}

TEST_F(Sessions, EachConnectionThatIsTakenOverIsToldSoAcrossFronts) {
  const auto one = platform.start_front();
  const auto other = platform.start_front();
  const Device device = platform.make_device();
  std::optional<MqttClient> before;
  for (int i = 0; i < 20; ++i) {
    MqttClient next = (i % 2 == 0 ? one : other)->client();
    ASSERT_EQ(next.connect(device.session(kExpirySeconds, false)).reason, ReasonCode::kSuccess);
    if (before) {
      // [MQTT-3.1.4-3]
      EXPECT_EQ(before->expect(PacketType::kDisconnect).reason, ReasonCode::kSessionTakenOver);
      EXPECT_TRUE(before->wait_closed());
    }
    before.emplace(std::move(next));
  }
}

TEST_F(Sessions, ASessionOfAKilledFrontGoesOnAtAnother) {
  const Environment lease{{"SLUICE_SESSION_FRONT_LEASE", "500ms"}};
  const auto one = platform.start_front(lease);
  const auto other = platform.start_front(lease);
  const Device device = platform.make_device();
  subscribe(*one, device);
  MqttClient connected = one->client();
  connected.connect(device.session(kExpirySeconds, false));
  one->kill();
  CommandSender sender(platform, *other);
  MqttClient client = other->client();
  EXPECT_TRUE(client.connect(device.session(kExpirySeconds, false)).session_present);
  EXPECT_EQ(sender.send(device, "after").delivered(), 1U);
  EXPECT_EQ(take(client), "after");
}

TEST_F(Sessions, AFrozenFrontWhoseSessionsWereTakenOverSaysNothingMore) {
  for (const PacketType type : heard_of_a_thawed_front({})) {
    EXPECT_EQ(type, PacketType::kDisconnect);
  }
}

TEST_F(Sessions, AnAcknowledgementAfterFencingWouldBeSeen) {
  const auto heard = heard_of_a_thawed_front({{"SLUICE_PLANTED_BUG", "front_acts_after_fencing"}});
  ASSERT_FALSE(heard.empty());
  EXPECT_EQ(heard.back(), PacketType::kPuback);
}

}  // namespace
}  // namespace sluice::front::testing
