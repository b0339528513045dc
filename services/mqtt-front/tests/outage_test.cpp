// Not one acknowledged message is missing, whatever stops, and a device's order is kept.
#include "kafka_relay.h"
#include "ledger.h"
#include "platform.h"
#include "telemetry_log.h"

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <sluice/testing/environment.h>
#include <sluice/testing/eventually.h>

#include <gtest/gtest.h>

namespace sluice::front::testing {
namespace {

using namespace std::chrono_literals;
using mqtt::PacketType;
using mqtt::Qos;
using mqtt::ReasonCode;
using sluice::testing::eventually;
using Payloads = std::vector<std::string>;

/// How long what is stopped stays so, beyond what the test needs to see it:
/// SLUICE_TEST_OUTAGE_SECONDS, nothing unless it is given.
std::chrono::seconds outage_length() {
  const char* given = std::getenv("SLUICE_TEST_OUTAGE_SECONDS");
  return std::chrono::seconds(given == nullptr ? 0 : std::stoi(given));
}

class Outage : public ::testing::Test {
 protected:
  std::string broker() const { return sluice::testing::require_env("SLUICE_TEST_KAFKA_BROKERS"); }
  /// The present front's, which a test may replace.
  std::string address() {
    const std::lock_guard lock(mutex_);
    return address_;
  }
  void set_address(const std::string& address) {
    const std::lock_guard lock(mutex_);
    address_ = address;
  }

  /// What Kafka holds of a device that published "once" by QoS 2 while Redis was away, lost its
  /// connection unanswered, and sent the same again when Redis was back, to the same front or
  /// another; then "after", with the same packet id.
  static std::vector<std::string> records_of_a_publish_cut_off(bool goes_elsewhere,
                                                               Environment settings = {}) {
    settings.emplace("SLUICE_SESSION_FRONT_LEASE", "500ms");
    Platform own;
    const auto one = own.start_front(settings);
    const auto other = own.start_front(settings);
    const Front& next = goes_elsewhere ? *other : *one;
    const Device device = own.make_device();
    const MqttClient::Options session = device.session(600, false);
    const auto publish = [&](MqttClient& client, std::string_view payload, bool again = false) {
      client.send_publish(device.telemetry(), payload, Qos::kExactlyOnce, 9, again);
    };
    {
      MqttClient client = one->client();
      EXPECT_EQ(client.connect(session).reason, ReasonCode::kSuccess);
      own.redis().kill();
      publish(client, "once");
      EXPECT_TRUE(eventually([&] { return one->metric("sluice_mqtt_ingested_total") == 1; }));
    }
    // Each takes as long as a command may, a second: the leases of both fronts run out.
    for (int tries = 0; tries < 2; ++tries) {
      EXPECT_EQ(next.client().connect(session).reason, ReasonCode::kServerUnavailable);
    }
    own.redis().start();
    std::optional<MqttClient> client;
    EXPECT_TRUE(eventually([&] {
      client.emplace(next.client());
      return client->connect(session).session_present;
    }));
    publish(*client, "once", true);
    EXPECT_EQ(client->expect(PacketType::kPubrec).packet_id, 9);
    client->send_ack(PacketType::kPubrel, 9);
    EXPECT_EQ(client->expect(PacketType::kPubcomp).packet_id, 9);
    publish(*client, "after");
    EXPECT_EQ(client->expect(PacketType::kPubrec).packet_id, 9);
    return TelemetryLog(own.kafka_namespace()).payloads_of(device.id);
  }

  Platform& platform = shared_platform();

 private:
  std::mutex mutex_;
  std::string address_;
};

TEST_F(Outage, NothingIsAcknowledgedWhileKafkaStallsAndEverythingIsThereAfterwards) {
  KafkaRelay relay(broker());
  const auto front = platform.start_front({{"SLUICE_KAFKA_BROKERS", relay.address()},
                                           {"SLUICE_KAFKA_PRODUCER_DELIVERY_TIMEOUT", "60s"}});
  Ledgers ledgers(platform, 8, [&] { return front->address("mqtt"); });
  ASSERT_TRUE(ledgers.wait_for_acks(2000)) << front->process().output();

  relay.proxy().freeze();
  const Device device = platform.make_device();
  MqttClient client = front->client();
  client.connect(device.session());
  client.send_publish(device.telemetry(), "stalled", Qos::kAtLeastOnce, 1);
  // Every window is full of unanswered publishes: nothing more can come.
  ASSERT_TRUE(ledgers.wait_until_stalled());
  const std::uint64_t acked = ledgers.acked();
  client.send_ping();
  EXPECT_EQ(client.expect(PacketType::kPingresp).type, PacketType::kPingresp);
  ledgers.cut();  // what is under way belongs to connections that are gone when Kafka has it
  EXPECT_FALSE(client.receive(300ms + outage_length()));
  EXPECT_EQ(ledgers.acked(), acked);

  relay.proxy().thaw();
  EXPECT_EQ(client.expect(PacketType::kPuback).packet_id, 1);
  for (int round = 0; round < 5; ++round) {
    EXPECT_TRUE(ledgers.wait_for_acks(1000));
    ledgers.cut();
  }
  EXPECT_TRUE(ledgers.wait_for_acks(1000));
  EXPECT_EQ(ledgers.reconcile(platform.kafka_namespace(), Qos2Records::kOnce), "");
}

TEST_F(Outage, MemoryStaysBoundedWhileKafkaStalls) {
  KafkaRelay relay(broker());
  const auto front = platform.start_front({{"SLUICE_KAFKA_BROKERS", relay.address()},
                                           {"SLUICE_KAFKA_PRODUCER_MAX_IN_FLIGHT", "1MiB"},
                                           {"SLUICE_KAFKA_PRODUCER_DELIVERY_TIMEOUT", "60s"},
                                           {"SLUICE_DEVICE_BYTES_PER_SECOND", "0"},
                                           {"SLUICE_LOOPS", "1"},
                                           {"SLUICE_MQTT_RECEIVE_MAXIMUM", "65535"}});
  const Device device = platform.make_device();
  MqttClient client = front->client();
  client.connect(device.session());
  client.publish(device.telemetry(), "first");
  relay.proxy().freeze();
  const std::int64_t before = front->resident_kib();
  // Until the kernel's buffers are full as well: the front has stopped reading.
  const std::string payload(16 * 1024, 'x');
  std::atomic<int> sent{0};
  std::jthread sender([&] {
    for (std::uint16_t id = 2; id < 4000; ++id) {
      if (!client.send_publish(device.telemetry(), payload, Qos::kAtLeastOnce, id)) return;
      ++sent;
    }
  });
  EXPECT_TRUE(eventually([&] { return front->metric("sluice_mqtt_stalled_total") > 0; }));
  EXPECT_LT(front->resident_kib() - before, 16 * 1024);
  EXPECT_LT(sent, 3000);
  relay.proxy().thaw();
  for (std::uint16_t id = 2; id < 4000; ++id) {
    ASSERT_EQ(client.expect(PacketType::kPuback).packet_id, id);
  }
  TelemetryLog log(platform.kafka_namespace());
  EXPECT_EQ(log.of(device.id).size(), 3999U);
}

TEST_F(Outage, AKilledFrontLosesNothingItAcknowledged) {
  auto front = platform.start_front();
  set_address(front->address("mqtt"));
  Ledgers ledgers(platform, 8, [&] { return address(); });
  for (int round = 0; round < 2; ++round) {
    ASSERT_TRUE(ledgers.wait_for_acks(2000));
    front->kill();
    front = platform.start_front();
    set_address(front->address("mqtt"));
  }
  EXPECT_TRUE(ledgers.wait_for_acks(1000));
  EXPECT_EQ(ledgers.reconcile(platform.kafka_namespace(), Qos2Records::kMaybeTwice), "");
}

TEST_F(Outage, ARestartOfRedisUnderLoadLosesNothingAcknowledged) {
  Platform own;
  const auto front = own.start_front();
  constexpr std::uint64_t kFewPacketIds = 100;
  Ledgers ledgers(own, 8, [&] { return front->address("mqtt"); }, kFewPacketIds);
  ASSERT_TRUE(ledgers.wait_for_acks(2000)) << front->process().output();
  const Device idle = own.make_device();
  MqttClient bystander = front->client();
  bystander.connect(idle.session());
  own.redis().kill();
  EXPECT_TRUE(ledgers.wait_for_acks(1000)) << "connected devices go on without it";
  EXPECT_FALSE(bystander.receive(outage_length()));
  ledgers.cut();  // with QoS 2 publishes of which Redis does not know
  own.redis().start();
  EXPECT_TRUE(ledgers.wait_for_acks(2000));
  // From now on a packet id of QoS 2 that Redis still takes for half done would swallow a message.
  ledgers.cut();
  EXPECT_TRUE(ledgers.wait_for_acks(4000));
  EXPECT_EQ(ledgers.reconcile(own.kafka_namespace(), Qos2Records::kOnce), "");
  const Device device = own.make_device();
  EXPECT_TRUE(eventually(
      [&] { return front->client().connect(device.session()).reason == ReasonCode::kSuccess; }));
}

TEST_F(Outage, APublishOfQos2CutOffWhileRedisWasAwayIsThereOnce) {
  EXPECT_EQ(records_of_a_publish_cut_off(false), (Payloads{"once", "after"}));
}

TEST_F(Outage, APublishOfQos2CutOffWhileRedisWasAwayIsThereOnceAlsoByWayOfAnotherFront) {
  EXPECT_EQ(records_of_a_publish_cut_off(true), (Payloads{"once", "after"}));
}

TEST_F(Outage, ASecondRecordOfAPublishThatWasCutOffWouldBeSeen) {
  const Environment bug{{"SLUICE_PLANTED_BUG", "front_forgets_unsaved_ids"}};
  EXPECT_EQ(records_of_a_publish_cut_off(false, bug), (Payloads{"once", "once", "after"}));
}

// A device that was cut off with a QoS 2 publish under way and comes back to another front.
TEST_F(Outage, ADeviceIsToldThatItsSessionWaitsForKafkaOnAnotherFront) {
  KafkaRelay relay(broker());
  const auto stalled = platform.start_front({{"SLUICE_KAFKA_BROKERS", relay.address()},
                                             {"SLUICE_KAFKA_PRODUCER_DELIVERY_TIMEOUT", "60s"}});
  const auto other = platform.start_front();
  const Device device = platform.make_device();
  const MqttClient::Options session = device.session(600, false);
  {
    MqttClient client = stalled->client();
    ASSERT_EQ(client.connect(session).reason, ReasonCode::kSuccess);
    relay.proxy().freeze();
    client.send_publish(device.telemetry(), "once", Qos::kExactlyOnce, 9);
    client.send_ping();
    client.expect(PacketType::kPingresp);
  }
  const Received refused = other->client().connect(session);
  EXPECT_EQ(refused.reason, ReasonCode::kServerBusy);
  EXPECT_EQ(refused.reason_string, "session_busy");
  EXPECT_GE(other->metric(R"(sluice_mqtt_peer_releases_failed_total{cause="session_busy"})"), 1);
  relay.proxy().thaw();
  std::optional<MqttClient> client;
  EXPECT_TRUE(eventually([&] {
    client.emplace(other->client());
    return client->connect(session).session_present;
  }));
  client->send_publish(device.telemetry(), "once", Qos::kExactlyOnce, 9, true);
  EXPECT_EQ(client->expect(PacketType::kPubrec).packet_id, 9);
  EXPECT_EQ(TelemetryLog(platform.kafka_namespace()).payloads_of(device.id), Payloads{"once"});
}

/// The status and the last words of a front of four loops whose Kafka is down when it is told to
/// end.
std::pair<std::optional<int>, std::string> end_without_kafka(Platform& platform,
                                                             const std::string& broker,
                                                             Environment settings = {}) {
  KafkaRelay relay(broker);
  settings.merge(Environment{{"SLUICE_KAFKA_BROKERS", relay.address()},
                             {"SLUICE_KAFKA_PRODUCER_DELIVERY_TIMEOUT", "5m"},
                             {"SLUICE_SHUTDOWN_GRACE", "12s"},
                             {"SLUICE_LOOPS", "4"}});
  const auto front = platform.start_front(settings);
  std::vector<MqttClient> clients;
  std::vector<Device> devices;
  for (int i = 0; i < 24; ++i) {  // on each loop some
    devices.push_back(platform.make_device());
    clients.push_back(front->client());
    EXPECT_EQ(clients.back().connect(devices.back().session()).reason, ReasonCode::kSuccess);
  }
  relay.proxy().freeze();
  for (std::size_t i = 0; i < clients.size(); ++i) {
    clients[i].send_publish(devices[i].telemetry(), "unanswered", Qos::kExactlyOnce, 1);
  }
  front->process().signal(SIGTERM);
  const auto status = front->process().wait(30s);
  return {status ? status->code : std::nullopt, front->process().output()};
}

// The loops share what time there is. With as much for each the process would end itself as one
// that hangs.
TEST_F(Outage, SigtermEndsAFrontWhoseKafkaIsDown) {
  const auto [status, output] = end_without_kafka(platform, broker());
  EXPECT_EQ(status, 0) << output;
  EXPECT_TRUE(output.contains("records_not_flushed")) << "or nothing was tested";
  EXPECT_TRUE(output.contains("sessions_not_settled"));
}

TEST_F(Outage, AFrontThatOutlivesItsGraceWouldBeSeen) {
  constexpr int kHung = 3;
  const Environment bug{{"SLUICE_PLANTED_BUG", "front_flushes_loop_by_loop"}};
  EXPECT_EQ(end_without_kafka(platform, broker(), bug).first, kHung);
}

/// What Kafka holds of a device whose front was told to end while Kafka had not answered for a QoS
/// 2 publish, and which sent it again to another front. `thaw_when`: whether Kafka may answer now.
Payloads records_of_a_publish_at_a_front_that_ends(Platform& platform, const std::string& broker,
                                                   const Environment& settings,
                                                   const std::function<bool(Front&)>& thaw_when) {
  KafkaRelay relay(broker);
  Environment stalled{{"SLUICE_KAFKA_BROKERS", relay.address()}};
  stalled.insert(settings.begin(), settings.end());
  const auto front = platform.start_front(stalled);
  const auto next = platform.start_front();
  const Device device = platform.make_device();
  const MqttClient::Options session = device.session(600, false);
  {
    MqttClient client = front->client();
    EXPECT_EQ(client.connect(session).reason, ReasonCode::kSuccess);
    relay.proxy().freeze();
    client.send_publish(device.telemetry(), "once", Qos::kExactlyOnce, 9);
    client.send_ping();
    client.expect(PacketType::kPingresp);
    front->process().signal(SIGTERM);
    EXPECT_EQ(client.expect(PacketType::kDisconnect).reason, ReasonCode::kUseAnotherServer);
  }
  EXPECT_TRUE(eventually([&] { return thaw_when(*front); }));
  relay.proxy().thaw();
  const auto status = front->process().wait(15s);
  EXPECT_TRUE(status && status->code == 0) << front->process().output();
  std::optional<MqttClient> client;
  EXPECT_TRUE(eventually([&] {
    client.emplace(next->client());
    return client->connect(session).session_present;
  }));
  client->send_publish(device.telemetry(), "once", Qos::kExactlyOnce, 9, true);
  EXPECT_EQ(client->expect(PacketType::kPubrec).packet_id, 9);
  return TelemetryLog(platform.kafka_namespace()).payloads_of(device.id);
}

TEST_F(Outage, SigtermLetsGoOfASessionWhenKafkaHasAnsweredForIt) {
  EXPECT_EQ(records_of_a_publish_at_a_front_that_ends(platform, broker(), {},
                                                      [](Front&) { return true; }),
            Payloads{"once"});
}

TEST_F(Outage, AFrontThatEndsBeforeKafkaHasAnsweredWouldBeSeen) {
  const Environment bug{{"SLUICE_PLANTED_BUG", "front_leaves_qos2_half_done"}};
  const auto stops = [](Front& front) { return front.process().output().contains("stopping"); };
  EXPECT_EQ(records_of_a_publish_at_a_front_that_ends(platform, broker(), bug, stops),
            (Payloads{"once", "once"}));
}

TEST_F(Outage, SigtermSendsClientsElsewhereAndLosesNothingAcknowledged) {
  auto front = platform.start_front({{"SLUICE_SERVER_REFERENCE", "other.example.com:8883"}});
  const auto next = platform.start_front();
  set_address(front->address("mqtt"));
  Ledgers ledgers(platform, 8, [&] { return address(); });
  ASSERT_TRUE(ledgers.wait_for_acks(2000));
  const Device device = platform.make_device();
  MqttClient idle = front->client();
  idle.connect(device.session());

  set_address(next->address("mqtt"));
  front->process().signal(SIGTERM);
  const Received end = idle.expect(PacketType::kDisconnect);
  EXPECT_EQ(end.reason, ReasonCode::kUseAnotherServer);
  EXPECT_EQ(end.server_reference, "other.example.com:8883");
  const auto status = front->process().wait(15s);
  ASSERT_TRUE(status.has_value());
  EXPECT_EQ(status->code, 0) << front->process().output();
  EXPECT_TRUE(ledgers.wait_for_acks(1000));
  EXPECT_EQ(ledgers.reconcile(platform.kafka_namespace(), Qos2Records::kOnce), "");
}

}  // namespace
}  // namespace sluice::front::testing
