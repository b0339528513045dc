// Bytes that no honest device sends, over every transport, while others are connected: each ends
// its own connection, with the reason where the protocol has a word for it, and harms nobody.
#include "platform.h"

#include <format>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::front::testing {
namespace {

using namespace std::literals;
using mqtt::PacketType;
using mqtt::ReasonCode;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr const char* kTransports[] = {"mqtt", "mqtts", "ws", "wss"};

/// Two bytes, the higher first.
std::string u16(std::size_t value) {
  return {static_cast<char>(value >> 8), static_cast<char>(value & 0xFF)};
}
std::string text(std::string_view value) { return u16(value.size()).append(value); }

/// A packet of less than 2 MiB.
std::string packet(unsigned char first, std::string_view body) {
  std::string out(1, static_cast<char>(first));
  for (std::size_t left = body.size();;) {
    const auto part = static_cast<char>(left & 0x7F);
    left >>= 7;
    out += static_cast<char>(left > 0 ? part | 0x80 : part);
    if (left == 0) return out.append(body);
  }
}

/// A PUBLISH of MQTT 5 at QoS 1.
std::string publish(std::string_view topic, std::string_view properties = {},
                    std::string_view payload = "1") {
  return packet(0x32, text(topic) + "\x00\x07"s + static_cast<char>(properties.size()) +
                          std::string(properties).append(payload));
}

/// A frame of a WebSocket with a mask of zeroes.
std::string frame(unsigned char first, std::string_view payload) {
  return std::string(1, static_cast<char>(first)) + static_cast<char>(0x80 | payload.size()) +
         std::string(4, '\0').append(payload);
}

struct Hostile {
  const char* what;
  std::string bytes;
  ReasonCode reason{};  // of the DISCONNECT, over MQTT 5
};

class HostileInput : public ::testing::Test {
 protected:
  /// Runs `attack` against one transport after the other, each with two devices connected to it
  /// that notice nothing.
  void on_each_transport(const std::function<void(const char* listener)>& attack) {
    for (const char* const listener : kTransports) {
      SCOPED_TRACE(listener);
      attack_beside_others(listener, [&] { attack(listener); });
    }
  }

  /// What was heard last when the connection has ended, as it must.
  static Received last_of(MqttClient& client) {
    Received last;
    while (auto packet = client.receive()) last = *std::move(packet);
    EXPECT_TRUE(client.is_closed());
    return last;
  }

  void attack_beside_others(const char* listener, const std::function<void()>& attack) {
    const Device one = platform.make_device();
    const Device two = platform.make_device();
    MqttClient idle = platform.open(front, listener);
    ASSERT_EQ(idle.connect(one.session()).reason, ReasonCode::kSuccess);
    MqttClient busy = platform.open(front, listener);
    ASSERT_EQ(busy.connect(two.session()).reason, ReasonCode::kSuccess);
    // Half of it is sent: whoever shares a buffer with it would spoil the rest.
    const std::string half_sent = publish(two.telemetry());
    busy.send_mqtt(std::string_view(half_sent).substr(0, 20));
    attack();
    busy.send_mqtt(std::string_view(half_sent).substr(20));
    EXPECT_EQ(busy.expect(PacketType::kPuback).reason, ReasonCode::kSuccess);
    idle.send_ping();
    EXPECT_EQ(idle.expect(PacketType::kPingresp).type, PacketType::kPingresp);
  }

  static Front& shared() {
    static const auto started =
        shared_platform().start_front({{"SLUICE_CONNECTIONS_PER_SECOND", "0"}});
    return *started;
  }
  Platform& platform = shared_platform();
  Front& front = shared();
  const Device device = platform.make_device();
};

TEST_F(HostileInput, BeforeConnectEndsTheConnectionAtOnce) {
  const Hostile kInputs[] = {
      {"noise", std::string(64, '\xFF')},
      {"zeroes", std::string(64, '\0')},
      {"HTTP", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"TLS within", "\x16\x03\x01\x02\x00\x01\x00\x01\xFC\x03\x03"s},
      {"a CONNECT of 256 MiB to come", "\x10\xFF\xFF\xFF\x7F"s},
      {"a CONNECT of 8 KiB and a byte to come", "\x10\xFE\x3F"s},
      {"a length of five bytes", "\x10\xFF\xFF\xFF\xFF\x7F"s},
      {"another protocol", packet(0x10, text("MQTB") + "\x05\x02\x00\x00\x00"s + text("a"))},
      {"a name that is longer than the packet", packet(0x10, "\xFF\xFFMQTT"s)},
      {"flags of CONNECT", packet(0x11, text("MQTT") + "\x05\x02\x00\x00\x00"s + text("a"))},
      {"a reserved flag", packet(0x10, text("MQTT") + "\x05\x03\x00\x00\x00"s + text("a"))},
      {"a will of QoS 3", packet(0x10, text("MQTT") + "\x05\x1E\x00\x00\x00"s + text("a") + "\0"s +
                                           text("t") + text("p"))},
      {"properties beyond the end", packet(0x10, text("MQTT") + "\x05\x02\x00\x00\x7F"s)},
      {"receive maximum 0",
       packet(0x10, text("MQTT") + "\x05\x02\x00\x00\x03\x21\x00\x00"s + text("a"))},
      {"the same property twice",
       packet(0x10, text("MQTT") + "\x05\x02\x00\x00\x06\x21\x00\x01\x21\x00\x01"s + text("a"))},
      {"a client id that is no UTF-8",
       packet(0x10, text("MQTT") + "\x05\x02\x00\x00\x00"s + text("\xC3\x28"))},
      {"bytes behind the end",
       packet(0x10, text("MQTT") + "\x05\x02\x00\x00\x00"s + text("a") + "more")},
      {"authentication data alone",
       packet(0x10, text("MQTT") + "\x05\x02\x00\x00\x04\x16\x00\x01\x61"s + text("a"))},
  };
  on_each_transport([&](const char* listener) {
    for (const Hostile& input : kInputs) {
      SCOPED_TRACE(input.what);
      MqttClient client = platform.open(front, listener);
      client.send_mqtt(input.bytes);
      // At most a CONNACK that says why.
      for (auto packet = client.receive(); packet; packet = client.receive()) {
        EXPECT_EQ(packet->type, PacketType::kConnack);
        EXPECT_TRUE(mqtt::is_failure(packet->reason));
      }
      EXPECT_TRUE(client.is_closed());
    }
  });
}

TEST_F(HostileInput, OfAConnectedClientEndsItsConnectionWithTheReason) {
  const std::string telemetry = device.telemetry();
  std::string too_many;
  for (std::size_t id = 1; id <= 101; ++id) {
    too_many += packet(0x34, text(telemetry) + u16(id) + "\0"s);
  }
  const Hostile kInputs[] = {
      {"a length of five bytes", "\x32\xFF\xFF\xFF\xFF\x7F"s, ReasonCode::kMalformedPacket},
      {"256 MiB to come", "\x32\xFF\xFF\xFF\x7F"s, ReasonCode::kPacketTooLarge},
      {"QoS 3", packet(0x36, text(telemetry) + "\0\7\0"s), ReasonCode::kMalformedPacket},
      {"DUP at QoS 0", packet(0x38, text(telemetry) + "\0"s), ReasonCode::kMalformedPacket},
      {"packet id 0", packet(0x32, text(telemetry) + "\0\0\0"s), ReasonCode::kMalformedPacket},
      {"a topic with a wildcard", publish("a/#"), ReasonCode::kTopicNameInvalid},
      {"a topic with a NUL", publish("a\0b"s), ReasonCode::kMalformedPacket},
      {"a topic that is no UTF-8", publish("\xED\xA0\x80"), ReasonCode::kMalformedPacket},
      {"a topic of 1,025 bytes", publish(std::string(1025, 'a')), ReasonCode::kTopicNameInvalid},
      {"a topic of 33 levels", publish(std::string(32, '/')), ReasonCode::kTopicNameInvalid},
      {"no topic", publish(""), ReasonCode::kProtocolError},
      {"topic alias 0", publish(telemetry, "\x23\0\0"s), ReasonCode::kTopicAliasInvalid},
      {"topic alias 17", publish(telemetry, "\x23\0\x11"s), ReasonCode::kTopicAliasInvalid},
      {"an alias that was never set", publish("", "\x23\0\1"s), ReasonCode::kProtocolError},
      {"a subscription id of a client", publish(telemetry, "\x0B\1"), ReasonCode::kProtocolError},
      {"an unknown property", publish(telemetry, "\x7F"), ReasonCode::kMalformedPacket},
      {"SUBSCRIBE to nothing", packet(0x82, "\0\7\0"s), ReasonCode::kProtocolError},
      {"SUBSCRIBE with reserved options", packet(0x82, "\0\7\0"s + text("a") + "\xC0"),
       ReasonCode::kMalformedPacket},
      {"a reserved flag of PUBREL", packet(0x60, "\0\7"s), ReasonCode::kMalformedPacket},
      {"DISCONNECT with a server's reason", packet(0xE0, "\x8E"), ReasonCode::kProtocolError},
      {"more than the receive maximum", too_many, ReasonCode::kReceiveMaximumExceeded},
  };
  on_each_transport([&](const char* listener) {
    for (const Hostile& input : kInputs) {
      SCOPED_TRACE(input.what);
      MqttClient client = platform.open(front, listener);
      ASSERT_EQ(client.connect(device.session()).reason, ReasonCode::kSuccess);
      client.send_mqtt(input.bytes);
      const Received last = last_of(client);
      EXPECT_EQ(last.type, PacketType::kDisconnect);
      EXPECT_EQ(last.reason, input.reason) << last.reason_string;
      MqttClient old = platform.open(front, listener);
      auto session = device.session();
      session.version = mqtt::Version::kV311;
      ASSERT_EQ(old.connect(session).connack_code, 0);
      old.send_mqtt("\x32\xFF\xFF\xFF\xFF\x7F"s);
      EXPECT_FALSE(old.receive());  // MQTT 3 has no word for it
      EXPECT_TRUE(old.is_closed());
    }
  });
}

TEST_F(HostileInput, InAnUpgradeIsAnsweredByItsStatus) {
  const auto request = [](std::string_view line, std::string_view more) {
    return std::format(
        "{}\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{}\r\n",
        line, more);
  };
  constexpr const char* kMqtt = "Sec-WebSocket-Protocol: mqtt\r\n";
  struct Case {
    const char* what;
    std::string bytes;
    const char* status;
  };
  const Case kCases[] = {
      {"another path", request("GET /other HTTP/1.1", kMqtt), "404"},
      {"a method", request("POST /mqtt HTTP/1.1", kMqtt), "405"},
      {"no subprotocol", request("GET /mqtt HTTP/1.1", ""), "400"},
      {"no upgrade", "GET /mqtt HTTP/1.1\r\nHost: a\r\n\r\n", "426"},
      {"a head without an end", "GET /mqtt HTTP/1.1\r\nX: " + std::string(8192, 'a'), "431"},
      {"MQTT without WebSocket",
       packet(0x10, text("MQTT") + "\x05\x02\x00\x00\x00"s + text("a")) + "\r\n\r\n", "400"},
      {"a body to come",
       request("GET /mqtt HTTP/1.1", std::string(kMqtt) + "Content-Length: 9\r\n"), "400"},
  };
  for (const char* const listener : {"ws", "wss"}) {
    attack_beside_others(listener, [&] {
      for (const Case& attempt : kCases) {
        SCOPED_TRACE(attempt.what);
        MqttClient client = platform.open_secured(front, listener);
        client.send_raw(attempt.bytes);
        EXPECT_THAT(client.receive_raw(), StartsWith(std::format("HTTP/1.1 {} ", attempt.status)));
        EXPECT_TRUE(client.is_closed());
      }
    });
  }
}

TEST_F(HostileInput, InFramesIsAnsweredByACloseFrame) {
  struct Case {
    const char* what;
    std::string bytes;
    unsigned status;
  };
  const Case kCases[] = {
      {"a frame without a mask", "\x82\x02\xC0\x00"s, 1002},
      {"a text", frame(0x81, "a"), 1003},
      {"a reserved bit", frame(0xC2, "a"), 1002},
      {"a reserved opcode", frame(0x83, "a"), 1002},
      {"a continuation of nothing", frame(0x80, "a"), 1002},
      {"a ping in pieces", frame(0x09, "a"), 1002},
      {"a ping of 126 bytes", "\x89\xFE\x00\x7E"s + std::string(130, '\0'), 1002},
      {"a length with its highest bit", "\x82\xFF"s + std::string(12, '\xFF'), 1002},
      {"256 MiB to come", "\x82\xFF\x00\x00\x00\x00\x10\x00\x00\x00"s + std::string(4, '\0'), 1009},
  };
  for (const char* const listener : {"ws", "wss"}) {
    attack_beside_others(listener, [&] {
      for (const Case& attempt : kCases) {
        SCOPED_TRACE(attempt.what);
        MqttClient client = platform.open(front, listener);
        client.send_raw(attempt.bytes);
        EXPECT_EQ(client.receive_raw(), "\x88\x02"s + u16(attempt.status));
        EXPECT_TRUE(client.is_closed());
      }
    });
  }
}

TEST_F(HostileInput, InAHandshakeEndsItAlone) {
  const double failed = front.metric("sluice_net_handshake_failures_total");
  const std::string kInputs[] = {
      std::string(64, '\xFF'),
      packet(0x10, text("MQTT") + "\x05\x02\x00\x00\x00"s + text("a")),
      "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
      "\x16\x03\x01\xFF\xFF"s + std::string(100, 'x'),  // a record of 64 KiB
      "\x16\x03\x01\x00\x04\x01\xFF\xFF\xFF"s,          // a hello of 16 MiB
      "\x16\x03\x01\x00\x06\x01\x00\x00\x02\x03\x03"s,  // a hello that is cut off
      "\x15\x03\x01\x00\x02\x02\x28"s,                  // an alert
      "\x17\x03\x03\x00\x01\x00"s,                      // data before any key
  };
  for (const char* const listener : {"mqtts", "wss"}) {
    attack_beside_others(listener, [&] {
      for (const std::string& input : kInputs) {
        SCOPED_TRACE(::testing::PrintToString(input));
        MqttClient client = front.client(listener);
        client.send_raw(input);
        // An alert at most.
        EXPECT_THAT(client.receive_raw(), AnyOf("", StartsWith("\x15\x03")));
        EXPECT_TRUE(client.is_closed());
      }
    });
  }
  EXPECT_EQ(front.metric("sluice_net_handshake_failures_total") - failed, 2 * std::size(kInputs));
}

}  // namespace
}  // namespace sluice::front::testing
