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
// Of one that stops where AWS-LC needs most: within its certificates in TLS 1.2, or with a CONNECT
// in the longest record, which cannot be read in parts.
constexpr double kMostWithinTlsKib = 22;
constexpr std::size_t kMostHello = 4 * 1024;
constexpr std::size_t kMostHandshake = 10 * 1024;
// Besides, while the registry is asked: a gRPC call of its own.
constexpr double kQuestionKib = 8;

/// A CONNECT of 8 KiB, which is the most there may be, without its last byte.
std::string half_connect() {
  std::string bytes = "\x10\xFD\x3F"s;  // 8,189 bytes to come
  bytes += "\0\4MQTT\5\2\0\0\0\0\1a"s;
  bytes.resize(8 * 1024 - 1, 'x');
  return bytes;
}

std::string two_bytes(std::size_t number) {
  return {static_cast<char>(number >> 8), static_cast<char>(number & 0xFF)};
}

std::string record(unsigned char type, std::string_view body, std::size_t size) {
  return std::string{static_cast<char>(type), 3, 3} + two_bytes(size) + std::string(body);
}

/// A ClientHello that would end in the byte behind the most there may be, 4 KiB.
std::string long_hello() {
  std::string body = "\x01\x00\x0F\xF8\x03\x03"s;
  body.resize(4092, 'x');
  return body;
}
/// One that has all but the last byte of what there may be, in one record.
std::string half_hello() {
  const std::string body = long_hello();
  return record(22, body.substr(0, 4090), 4091);
}
/// All there may be, in records of 512 bytes, and the message still not at its end.
std::string half_hello_in_pieces() {
  const std::string body = long_hello();
  std::string bytes;
  for (std::size_t i = 0; i < 8; ++i) bytes += record(22, body.substr(i * 507, 507), 507);
  return bytes;
}

/// A whole ClientHello of TLS 1.2, as long as there may be, and behind it all but the last byte of
/// a certificate in all the room there is: the library has them both until it is whole.
std::string half_certificate() {
  std::string body = "\x03\x03"s + std::string(32, 'r') + "\0"s;  // no session
  body += "\0\4\xC0\x2B\xC0\x2F\1\0"s;                            // suites, no compression
  std::string extensions = "\0\x0A\0\4\0\2\0\x1D"s;               // X25519
  extensions += "\0\x0B\0\2\1\0"s;                                // uncompressed points
  extensions += "\0\x0D\0\6\0\4\4\3\x08\4"s;                      // signatures: ECDSA, RSA
  const std::size_t padding = kMostHello - 5 - 4 - body.size() - 2 - extensions.size() - 4;
  extensions += "\0\x15"s + two_bytes(padding) + std::string(padding, '\0');
  body += two_bytes(extensions.size()) + extensions;
  const std::string hello = "\1\0"s + two_bytes(body.size()) + body;
  const std::size_t rest = kMostHandshake - kMostHello - 5;
  const std::string certificate = "\x0B\0"s + two_bytes(rest - 4 + 1) + std::string(rest - 4, 'c');
  return record(22, hello, hello.size()) + record(22, certificate, certificate.size());
}

/// Of the longest record there may be, after the handshake.
std::string half_record() { return record(23, std::string(12 * 1024, 'x'), 16 * 1024); }

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
  std::string bytes{};      // below WebSocket
  std::string below_tls{};  // after them
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
      {.name = "half_hello", .listener = "mqtts", .bytes = half_hello()},
      {.name = "half_hello_in_pieces", .listener = "mqtts", .bytes = half_hello_in_pieces()},
      {.name = "half_certificate",
       .listener = "mqtts",
       .bytes = half_certificate(),
       .most_kib = kMostWithinTlsKib},
      {.name = "half_record",
       .listener = "mqtts",
       .depth = Depth::kTls,
       .below_tls = half_record()},
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
      {.name = "half_connect_and_half_record",
       .listener = "mqtts",
       .depth = Depth::kTls,
       .bytes = half_connect(),
       .below_tls = half_record()},
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
    EXPECT_TRUE(client.send_below_tls(kind.below_tls));
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
class BehindAConnect : public ::testing::TestWithParam<std::string> {};

TEST_P(BehindAConnect, NothingIsTakenFromTheKernelBeforeItsAnswer) {
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
  platform.registry().process().process().freeze();
  std::vector<MqttClient> clients;
  const std::int64_t before = front->resident_kib();
  for (int i = 0; i < kConnections; ++i) {
    MqttClient& client = clients.emplace_back(platform.open_secured(*front, GetParam()));
    auto session = device.session();
    session.password = std::format("sld_{}", i);  // which the front has to ask about
    client.send_mqtt(client.connect_bytes(session) + std::string(60'000, '\0'));
  }
  for (int i = 0; i < 20; ++i)
    EXPECT_EQ(first.publish(device.telemetry(), "1").reason, ReasonCode::kSuccess);
  const double each =
      static_cast<double>(front->resident_kib() - before) / static_cast<double>(kConnections);
  RecordProperty("kib_each", std::format("{:.2f}", each));
  std::printf("behind a CONNECT, %s: %.2f KiB each\n", GetParam().c_str(), each);
  EXPECT_LE(each, (GetParam() == "mqtts" ? kMostWithinTlsKib : kMostKib) + kQuestionKib);
  platform.registry().process().process().signal(SIGCONT);
}

INSTANTIATE_TEST_SUITE_P(Listeners, BehindAConnect, ::testing::Values("mqtt", "mqtts"),
                         [](const auto& of) { return of.param; });
INSTANTIATE_TEST_SUITE_P(Kinds, HalfOpen, ::testing::ValuesIn(kinds()),
                         [](const auto& of) { return std::string(of.param.name); });

}  // namespace
}  // namespace sluice::front::testing
