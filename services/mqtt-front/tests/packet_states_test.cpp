// Every packet type in every state, version and transport, as a device sees it, on one front while
// others are connected to it. What libs/mqtt answers is tested there; this is what arrives.
#include "platform.h"

#include <format>
#include <string>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::front::testing {
namespace {

using mqtt::PacketType;
using mqtt::Qos;
using mqtt::ReasonCode;
using mqtt::Version;
using ::testing::ElementsAre;
using ::testing::ElementsAreArray;

constexpr std::uint16_t kId = 7;  // of packets that have one

std::string text_of(const mqtt::Output& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string code(ReasonCode reason) {
  return std::format("0x{:02X}", static_cast<unsigned>(reason));
}

/// "PUBREL 7 0x92": MQTT 3 has no reasons but in CONNACK and SUBACK.
std::string describe(const Received& packet, Version version) {
  const std::string name(mqtt::to_string(packet.type));
  const std::string reason = version == Version::kV5 ? " " + code(packet.reason) : "";
  switch (packet.type) {
    case PacketType::kConnack:
      return version == Version::kV5 ? name + reason
                                     : std::format("{} {}", name, int{packet.connack_code});
    case PacketType::kPuback:
    case PacketType::kPubrec:
    case PacketType::kPubrel:
    case PacketType::kPubcomp:
      return std::format("{} {}{}", name, packet.packet_id, reason);
    case PacketType::kSuback:
      return std::format("{} {} {}", name, packet.packet_id, code(packet.reasons.at(0)));
    case PacketType::kUnsuback:
      return std::format("{} {}{}", name, packet.packet_id,
                         version == Version::kV5 ? " " + code(packet.reasons.at(0)) : "");
    case PacketType::kDisconnect:
      return name + reason;
    default:
      return name;
  }
}

/// What a front does with a packet.
struct Expected {
  std::vector<std::string> answers{};
  bool closes = false;
};

/// Of the packet of each type that `PacketStates::packet_of()` makes, in an open connection with
/// nothing under way. Columns: MQTT 3.1 and 3.1.1, MQTT 5; "-": the connection goes on, without an
/// answer; "end": without a word.
struct Row {
  unsigned type;
  const char* mqtt3;
  const char* mqtt5;
};
constexpr Row kWhenOpen[] = {
    {0, "end", "disconnect 0x81"},  // reserved
    {1, "end", "disconnect 0x82"},  // a second CONNECT [MQTT-3.1.0-2]
    {2, "end", "disconnect 0x82"},  // CONNACK is a server's
    {3, "puback 7", "puback 7 0x00"},
    {4, "-", "-"},  // PUBACK of nothing
    {5, "pubrel 7", "pubrel 7 0x92"},
    {6, "pubcomp 7", "pubcomp 7 0x92"},
    {7, "-", "-"},  // PUBCOMP of nothing
    {8, "suback 7 0x01", "suback 7 0x01"},
    {9, "end", "disconnect 0x82"},  // SUBACK is a server's
    {10, "unsuback 7", "unsuback 7 0x11"},
    {11, "end", "disconnect 0x82"},  // UNSUBACK is a server's
    {12, "pingresp", "pingresp"},
    {13, "end", "disconnect 0x82"},  // PINGRESP is a server's
    {14, "end", "end"},              // DISCONNECT has no answer
    {15, "end", "disconnect 0x82"},  // AUTH without a method [MQTT5-4.12.0-6]; reserved before
};

Expected when_open(unsigned type, Version version) {
  const Row& row = kWhenOpen[type];
  EXPECT_EQ(row.type, type);
  const std::string_view said = version == Version::kV5 ? row.mqtt5 : row.mqtt3;
  if (said == "-") return {};
  if (said == "end") return {.closes = true};
  return {.answers = {std::string(said)}, .closes = said.starts_with("disconnect")};
}

class PacketStates : public ::testing::TestWithParam<std::tuple<const char*, Version>> {
 protected:
  static const char* listener() { return std::get<0>(GetParam()); }
  static Version version() { return std::get<1>(GetParam()); }

  /// One well-formed packet of each of the 16 types.
  std::string packet_of(unsigned type) {
    mqtt::Output out;
    const auto of_type = static_cast<PacketType>(type);
    const std::vector<ReasonCode> one = {ReasonCode::kSuccess};
    const std::string commands = device.topic("commands/#");
    mqtt::FilterListBuilder filters(type == 8, version());
    filters.add({.filter = commands, .qos = Qos::kAtLeastOnce});
    const std::string telemetry = device.telemetry();
    switch (of_type) {
      case PacketType::kConnect:
        encode(mqtt::Connect{.version = version(), .client_id = device.id}, out);
        break;
      case PacketType::kConnack:
        encode(mqtt::Connack{}, version(), out);
        break;
      case PacketType::kPublish:
        encode(mqtt::Publish{.topic = telemetry, .qos = Qos::kAtLeastOnce, .packet_id = kId},
               version(), out);
        break;
      case PacketType::kPuback:
      case PacketType::kPubrec:
      case PacketType::kPubrel:
      case PacketType::kPubcomp:
        encode(mqtt::Ack{.type = of_type, .packet_id = kId}, version(), out);
        break;
      case PacketType::kSubscribe:
        encode(mqtt::Subscribe{.packet_id = kId, .filters = filters.view()}, version(), out);
        break;
      case PacketType::kUnsubscribe:
        encode(mqtt::Unsubscribe{.packet_id = kId, .filters = filters.view()}, version(), out);
        break;
      case PacketType::kSuback:
      case PacketType::kUnsuback:
        encode(mqtt::FilterAck{.type = of_type, .packet_id = kId, .reasons = one}, version(), out);
        break;
      case PacketType::kPingreq:
        mqtt::encode_pingreq(out);
        break;
      case PacketType::kPingresp:
        mqtt::encode_pingresp(out);
        break;
      case PacketType::kDisconnect:
        encode(mqtt::Disconnect{}, version(), out);
        break;
      default:
        return {static_cast<char>(type << 4), '\0'};
    }
    return text_of(out);
  }

  MqttClient open() { return platform.open(*front, listener()); }
  MqttClient::Options session() const {
    auto options = device.session();
    options.version = version();
    return options;
  }

  /// Takes what comes, which must be that and no more: where the connection goes on, a PINGRESP is
  /// the next thing that is heard.
  void expect(MqttClient& client, const Expected& expected) {
    std::vector<std::string> heard;
    while (heard.size() < expected.answers.size() || expected.closes) {
      const auto packet = client.receive();
      if (!packet) break;
      heard.push_back(describe(*packet, version()));
    }
    EXPECT_THAT(heard, ElementsAreArray(expected.answers));
    EXPECT_EQ(client.is_closed(), expected.closes);
    if (client.is_closed() || expected.closes) return;
    client.send_ping();
    const auto next = client.receive();
    EXPECT_TRUE(next && next->type == PacketType::kPingresp);
  }

  /// The same test for each type of packet; a connection that has nothing to do with it is as
  /// before.
  void for_each_type(const std::function<void(unsigned type)>& test) {
    const Device bystanding = platform.make_device();
    MqttClient bystander = open();
    bystander.connect(bystanding.session());
    for (unsigned type = 0; type < 16; ++type) {
      SCOPED_TRACE(std::format("type {}", type));
      test(type);
    }
    EXPECT_EQ(bystander.publish(bystanding.telemetry(), "1").reason, ReasonCode::kSuccess);
  }

  std::string accepted() const { return version() == Version::kV5 ? "connack 0x00" : "connack 0"; }
  std::string refused() const { return version() == Version::kV5 ? "connack 0x87" : "connack 5"; }

  Platform& platform = shared_platform();
  static Front& shared() {
    static const auto started =
        shared_platform().start_front({{"SLUICE_CONNECTIONS_PER_SECOND", "0"}});
    return *started;
  }
  Front* const front = &shared();
  const Device device = platform.make_device();
};

TEST_P(PacketStates, BeforeConnectAreAnsweredByTheEndAlone) {
  for_each_type([&](unsigned type) {
    if (type == static_cast<unsigned>(PacketType::kConnect)) return;
    MqttClient client = open();
    client.send_mqtt(packet_of(type));
    expect(client, {.closes = true});
  });
}

TEST_P(PacketStates, WhileConnectIsUnansweredWaitForConnack) {
  for_each_type([&](unsigned type) {
    MqttClient client = open();
    client.send_mqtt(client.connect_bytes(session()) + packet_of(type));
    Expected expected = when_open(type, version());
    expected.answers.insert(expected.answers.begin(), accepted());
    expect(client, expected);
  });
}

TEST_P(PacketStates, WhenOpenHaveTheAnswerOfTheBook) {
  for_each_type([&](unsigned type) {
    MqttClient client = open();
    client.connect(session());
    client.send_mqtt(packet_of(type));
    expect(client, when_open(type, version()));
  });
}

TEST_P(PacketStates, BehindAConnectThatIsRefusedAreNotAnswered) {
  auto wrong = session();
  wrong.password = "sld_wrong";
  for_each_type([&](unsigned type) {
    MqttClient client = open();
    client.send_mqtt(client.connect_bytes(wrong) + packet_of(type));
    expect(client, {.answers = {refused()}, .closes = true});
  });
}

TEST_P(PacketStates, BehindADisconnectAreNotAnswered) {
  const std::string goodbye = packet_of(static_cast<unsigned>(PacketType::kDisconnect));
  for_each_type([&](unsigned type) {
    MqttClient client = open();
    client.connect(session());
    client.send_mqtt(goodbye + packet_of(type));
    expect(client, {.closes = true});
  });
}

INSTANTIATE_TEST_SUITE_P(Everywhere, PacketStates,
                         ::testing::Combine(::testing::Values("mqtt", "mqtts", "ws", "wss"),
                                            ::testing::Values(Version::kV31, Version::kV311,
                                                              Version::kV5)),
                         [](const auto& of) {
                           return std::format("{}_{}", std::get<0>(of.param),
                                              static_cast<int>(std::get<1>(of.param)));
                         });

}  // namespace
}  // namespace sluice::front::testing
