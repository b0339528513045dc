// What a connection costs before CONNACK, and for how long: 2,000 of each kind on one front, its
// memory as the kernel counts it.
#include "platform.h"

#include <chrono>
#include <csignal>
#include <cstdio>
#include <format>
#include <string>
#include <vector>

#include <sluice/testing/eventually.h>

#include <gtest/gtest.h>
#include <sys/resource.h>

namespace sluice::front::testing {
namespace {

using namespace std::literals;
using mqtt::PacketType;
using mqtt::ReasonCode;
using sluice::testing::eventually;

constexpr int kConnections = 2000;
constexpr double kMostKib = 16;
// Of a TLS record the library keeps what has come until it is whole: up to 16 KiB, beside its own
// state.
constexpr double kMostKibOfHalfARecord = 24;
// Besides, while the registry is asked: a gRPC call of its own.
constexpr double kQuestionKib = 8;

/// A CONNECT of 8 KiB, which is the most there may be, without its last byte.
std::string half_connect() {
  std::string bytes = "\x10\xFD\x3F"s;  // 8,189 bytes to come
  bytes += "\0\4MQTT\5\2\0\0\0\0\1a"s;
  bytes.resize(8 * 1024 - 1, 'x');
  return bytes;
}

/// The beginning of a ClientHello, in a record of 16 KiB.
std::string half_hello() {
  std::string bytes = "\x16\x03\x01\x40\x00\x01\x00\x3F\xFC\x03\x03"s;
  bytes.resize(16 * 1024, 'x');
  return bytes;
}

std::string half_upgrade() {
  std::string bytes = "GET /mqtt HTTP/1.1\r\nHost: localhost\r\nCookie: ";
  bytes.resize(8 * 1024 - 1, 'x');
  return bytes;
}

/// How far a connection has come.
enum class Depth { kTcp, kTls, kWebSocket };

/// How a connection stands before CONNACK.
struct Kind {
  const char* name;
  const char* listener;
  Depth depth = Depth::kTcp;
  std::string bytes{};  // below WebSocket
  double most_kib = kMostKib;
};

void PrintTo(const Kind& kind, std::ostream* out) { *out << kind.name; }

std::string frame_of(const std::string& bytes) {
  const auto size = bytes.size();
  return "\x82\xFE"s + static_cast<char>(size >> 8) + static_cast<char>(size & 0xFF) +
         std::string(4, '\0') + bytes;
}

std::vector<Kind> kinds() {
  return {
      {.name = "silent", .listener = "mqtt"},
      {.name = "silent_before_tls", .listener = "mqtts"},
      {.name = "silent_over_tls", .listener = "mqtts", .depth = Depth::kTls},
      {.name = "silent_over_websocket", .listener = "ws", .depth = Depth::kWebSocket},
      {.name = "half_hello",
       .listener = "mqtts",
       .bytes = half_hello(),
       .most_kib = kMostKibOfHalfARecord},
      {.name = "half_upgrade", .listener = "ws", .bytes = half_upgrade()},
      {.name = "half_upgrade_over_tls",
       .listener = "wss",
       .depth = Depth::kTls,
       .bytes = half_upgrade()},
      {.name = "half_connect", .listener = "mqtt", .bytes = half_connect()},
      {.name = "half_connect_over_tls",
       .listener = "mqtts",
       .depth = Depth::kTls,
       .bytes = half_connect()},
      {.name = "half_connect_over_websocket",
       .listener = "ws",
       .depth = Depth::kWebSocket,
       .bytes = frame_of(half_connect())},
  };
}

/// A test has as few descriptors as its shell, mostly.
void raise_descriptor_limit() {
  rlimit limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
  limit.rlim_cur = limit.rlim_max;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);
}

class HalfOpen : public ::testing::TestWithParam<Kind> {
 protected:
  /// A front that lets in so many at once, and has as much patience.
  std::unique_ptr<Front> start(const char* patience) const {
    return platform.start_front({{"SLUICE_CONNECTIONS_PER_SECOND", "0"},
                                 {"SLUICE_HANDSHAKES_AT_ONCE", "10000"},
                                 {"SLUICE_SESSION_STORE", "memory"},
                                 {"SLUICE_DEVICE_REGISTRY_TIMEOUT", "60s"},
                                 {"SLUICE_CONNECT_TIMEOUT", patience}});
  }
  MqttClient open(const Front& front) const {
    const Kind& kind = GetParam();
    MqttClient client = kind.depth == Depth::kTcp   ? front.client(kind.listener)
                        : kind.depth == Depth::kTls ? platform.open_secured(front, kind.listener)
                                                    : platform.open(front, kind.listener);
    EXPECT_TRUE(client.send_raw(kind.bytes));
    return client;
  }
  /// Connects and publishes some times, so that each loop has been through everything before.
  void use(Front& front) const {
    for (int i = 0; i < 20; ++i) {
      const Device device = platform.make_device();
      MqttClient client = platform.open(front, GetParam().listener);
      ASSERT_EQ(client.connect(device.session()).reason, ReasonCode::kSuccess);
      EXPECT_EQ(client.publish(device.telemetry(), "1").reason, ReasonCode::kSuccess);
    }
  }

  Platform& platform = shared_platform();
};

TEST_P(HalfOpen, CostsLittleAndHarmsNobody) {
  raise_descriptor_limit();
  const auto front = start("60s");
  use(*front);
  std::vector<MqttClient> clients;
  clients.reserve(kConnections);
  const std::int64_t before = front->resident_kib();
  const double accepts = front->metric("sluice_net_accepts_total");
  for (int i = 0; i < kConnections; ++i) clients.push_back(open(*front));
  ASSERT_TRUE(eventually(
      [&] { return front->metric("sluice_net_accepts_total") >= accepts + kConnections; }));
  use(*front);
  const double each =
      static_cast<double>(front->resident_kib() - before) / static_cast<double>(kConnections);
  RecordProperty("kib_each", std::format("{:.2f}", each));
  std::printf("%s: %.2f KiB each\n", GetParam().name, each);
  EXPECT_LE(each, GetParam().most_kib);
  EXPECT_GE(front->open_files(), static_cast<std::size_t>(kConnections)) << "they have gone";
}

TEST_P(HalfOpen, EndsWhenItsTimeIsOver) {
  const auto front = start("300ms");
  MqttClient client = open(*front);
  client.receive_raw();
  EXPECT_TRUE(client.is_closed());
  EXPECT_EQ(front->metric("sluice_mqtt_accepted_total"), 0);
}

// A client that pings and does not read makes answers wait; before CONNACK there is no room for
// that.
TEST(PingsBeforeConnect, ThatAreNotReadEndTheConnection) {
  Platform& platform = shared_platform();
  const auto front = platform.start_front({{"SLUICE_CONNECT_TIMEOUT", "60s"}});
  std::string pings;
  for (int i = 0; i < 500; ++i) pings += "\x89\xFD"s + std::string(4 + 125, '\0');
  MqttClient client = front->client("ws");
  client.set_receive_buffer(4096);
  client.set_send_limit(5s);
  ASSERT_TRUE(client.upgrade("/mqtt").starts_with("HTTP/1.1 101"));
  const std::int64_t before = front->resident_kib();
  while (client.send_raw(pings)) {
  }
  EXPECT_LT(front->resident_kib() - before, 200);
  client.receive_raw(5s);
  EXPECT_TRUE(client.is_closed());
}

// What comes behind a CONNECT waits in the kernel until its CONNACK.
TEST(BehindAConnect, NothingIsTakenFromTheKernelBeforeItsAnswer) {
  raise_descriptor_limit();
  Platform platform;  // of its own, as its registry stops
  const auto front = platform.start_front({{"SLUICE_CONNECTIONS_PER_SECOND", "0"},
                                           {"SLUICE_HANDSHAKES_AT_ONCE", "10000"},
                                           {"SLUICE_SESSION_STORE", "memory"},
                                           {"SLUICE_DEVICE_REGISTRY_TIMEOUT", "60s"},
                                           {"SLUICE_CONNECT_TIMEOUT", "60s"}});
  MqttClient first = front->client();
  const Device device = platform.make_device();
  ASSERT_EQ(first.connect(device.session()).reason, ReasonCode::kSuccess);
  platform.registry().process().process().signal(SIGSTOP);
  std::vector<MqttClient> clients;
  const std::int64_t before = front->resident_kib();
  for (int i = 0; i < kConnections; ++i) {
    MqttClient& client = clients.emplace_back(front->client());
    auto session = device.session();
    session.password = std::format("sld_{}", i);  // which the front has to ask about
    client.send_mqtt(client.connect_bytes(session) + std::string(60'000, '\0'));
  }
  for (int i = 0; i < 20; ++i)
    EXPECT_EQ(first.publish(device.telemetry(), "1").reason, ReasonCode::kSuccess);
  const double each =
      static_cast<double>(front->resident_kib() - before) / static_cast<double>(kConnections);
  RecordProperty("kib_each", std::format("{:.2f}", each));
  std::printf("behind a CONNECT: %.2f KiB each\n", each);
  EXPECT_LE(each, kMostKib + kQuestionKib);
  platform.registry().process().process().signal(SIGCONT);
}

INSTANTIATE_TEST_SUITE_P(Kinds, HalfOpen, ::testing::ValuesIn(kinds()),
                         [](const auto& of) { return std::string(of.param.name); });

}  // namespace
}  // namespace sluice::front::testing
