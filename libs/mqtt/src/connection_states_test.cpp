// Every packet type in every state and version: what is answered, and what is told.
#include "testing_connection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::mqtt {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using State = Connection::State;

constexpr Version kVersions[] = {Version::kV31, Version::kV311, Version::kV5};

/// One well-formed packet of each of the 16 types, as a client of the version would send it.
Output packet_of(unsigned type, Version version) {
  Output out;
  const auto kType = static_cast<PacketType>(type);
  const std::vector<ReasonCode> one = {ReasonCode::kSuccess};
  FilterListBuilder subscribe(true, version);
  subscribe.add({.filter = "a/#"});
  FilterListBuilder unsubscribe(false, version);
  unsubscribe.add({.filter = "a/#"});
  switch (type) {
    case 0:
      return Raw().bytes({0x00, 0x00}).get();
    case 1:
      encode(Connect{.version = version, .client_id = "c"}, out);
      break;
    case 2:
      encode(Connack{}, version, out);
      break;
    case 3:
      encode(Publish{.topic = "t", .qos = Qos::kAtLeastOnce, .packet_id = 7}, version, out);
      break;
    case 4:
    case 5:
    case 6:
    case 7:
      encode(Ack{.type = kType, .packet_id = 7}, version, out);
      break;
    case 8:
      encode(Subscribe{.packet_id = 7, .filters = subscribe.view()}, version, out);
      break;
    case 10:
      encode(Unsubscribe{.packet_id = 7, .filters = unsubscribe.view()}, version, out);
      break;
    case 9:
    case 11:
      encode(FilterAck{.type = kType, .packet_id = 7, .reasons = one}, version, out);
      break;
    case 12:
      encode_pingreq(out);
      break;
    case 13:
      encode_pingresp(out);
      break;
    case 14:
      encode(Disconnect{}, version, out);
      break;
    default:
      return Raw().bytes({0xF0, 0x00}).get();
  }
  return out;
}

struct Expected {
  std::string event;   // empty: none
  std::string answer;  // empty: none
  bool closes = false;
};

/// What an open connection does with packet 7 of each type, when nothing is under way.
Expected expected_when_open(unsigned type, Version version) {
  const bool is_v5 = version == Version::kV5;
  const auto refused = [&](const char* reason) {
    return Expected{std::string("close ") + reason,
                    is_v5 ? std::string("DISCONNECT ") + reason : "", true};
  };
  switch (type) {
    case 0:
      return refused("0x81");
    case 3:
      return {"publish t q1 ''", "", false};
    case 4:
    case 7:
      return {};  // unknown packet id
    case 5:
      return {"", is_v5 ? "PUBREL 7 0x92" : "PUBREL 7", false};
    case 6:
      return {"", is_v5 ? "PUBCOMP 7 0x92" : "PUBCOMP 7", false};
    case 8:
      return {"subscribe 7", "SUBACK 7 0x01", false};
    case 10:
      return {"unsubscribe 7", is_v5 ? "UNSUBACK 7 0x00" : "UNSUBACK 7", false};
    case 12:
      return {"", "PINGRESP", false};
    case 14:
      return {"close 0x00 by client without will", "", true};
    case 15:
      return refused(is_v5 ? "0x82" : "0x81");
    default:
      return refused("0x82");  // a second CONNECT, and what only servers send
  }
}

std::vector<std::string> list(const std::string& text) {
  return text.empty() ? std::vector<std::string>{} : std::vector{text};
}

TEST(PacketTypes, BeforeConnectOnlyConnectIsTakenAndNothingElseAnswered) {
  for (const Version version : kVersions) {
    for (unsigned type = 0; type < 16; ++type) {
      SCOPED_TRACE(std::format("version {} type {}", static_cast<int>(version), type));
      Server server;
      server.give(packet_of(type, version));
      if (type == 1) {
        EXPECT_THAT(server.happened(), ElementsAre("connect c"));
        EXPECT_THAT(server.sent(), ElementsAre("CONNACK 0x00"));
        EXPECT_EQ(server.connection.state(), State::kOpen);
      } else {
        EXPECT_THAT(server.happened(), ElementsAre("close 0x82"));
        EXPECT_THAT(server.out, IsEmpty());
        EXPECT_EQ(server.connection.state(), State::kClosed);
      }
    }
  }
}

TEST(PacketTypes, WaitWhileConnectIsUnansweredAndAfterTheEnd) {
  for (const Version version : kVersions) {
    for (unsigned type = 0; type < 16; ++type) {
      SCOPED_TRACE(std::format("version {} type {}", static_cast<int>(version), type));
      Server server;
      server.accepts = false;
      server.connect(version);
      ASSERT_EQ(server.connection.state(), State::kConnecting);
      EXPECT_FALSE(server.connection.wants_bytes());
      EXPECT_EQ(server.give(packet_of(type, version)), 0U);
      server.connection.refuse(ReasonCode::kServerBusy, {}, {}, server.out);
      EXPECT_THAT(server.sent(),
                  ElementsAre(version == Version::kV5 ? "CONNACK 0x89" : "CONNACK 0x88"));
      EXPECT_EQ(server.give(packet_of(type, version)), 0U);
      EXPECT_THAT(server.happened(), IsEmpty());
      EXPECT_THAT(server.out, IsEmpty());
    }
  }
}

TEST(PacketTypes, WhenOpenEachHasItsAnswer) {
  for (const Version version : kVersions) {
    for (unsigned type = 0; type < 16; ++type) {
      SCOPED_TRACE(std::format("version {} type {}", static_cast<int>(version), type));
      Server server;
      server.connect(version);
      const auto expected = expected_when_open(type, version);
      server.give(packet_of(type, version));
      EXPECT_EQ(server.happened(), list(expected.event));
      EXPECT_EQ(server.sent(), list(expected.answer));
      EXPECT_EQ(server.connection.state(), expected.closes ? State::kClosed : State::kOpen);
    }
  }
}

TEST(PacketTypes, WithWrongReservedBitsAreMalformed) {
  for (const Version version : kVersions) {
    for (const unsigned type : {4U, 5U, 6U, 7U, 8U, 10U, 12U, 14U}) {
      for (unsigned flags = 0; flags < 16; ++flags) {
        const bool is_right = flags == (type == 6 || type == 8 || type == 10 ? 2U : 0U);
        // MQTT 3.1 lets DUP and QoS vary where 3.1.1 reserves them.
        const bool is_repeated = type == 6 && flags == 0x0A;  // a PUBREL with DUP
        if (is_right) continue;
        if (version == Version::kV31 && (type == 8 || type == 10 || is_repeated)) continue;
        SCOPED_TRACE(
            std::format("version {} type {} flags {}", static_cast<int>(version), type, flags));
        Server server;
        server.connect(version);
        auto packet = packet_of(type, version);
        packet[0] = static_cast<std::byte>(type << 4 | flags);
        server.give(packet);
        EXPECT_THAT(server.happened(), ElementsAre("close 0x81"));
        EXPECT_EQ(server.sent(), list(version == Version::kV5 ? "DISCONNECT 0x81" : ""));
      }
    }
  }
}

TEST(Packets, LargerThanTheMaximumAreRefusedBeforeTheyCome) {
  for (const Version version : kVersions) {
    Server server;
    server.limits.max_packet_size = 100;
    server.connect(version);
    server.give(Raw().bytes({0x30, 99}).get());
    EXPECT_THAT(server.happened(), ElementsAre("close 0x95"));
    EXPECT_EQ(server.sent(), list(version == Version::kV5 ? "DISCONNECT 0x95" : ""));
  }
}

TEST(Disconnect, PublishesTheWillUnlessItSaysNormal) {
  Server normal;
  normal.connect(Version::kV5);
  normal.give(Raw().bytes({0xE0, 0x00}).get());
  EXPECT_THAT(normal.happened(), ElementsAre("close 0x00 by client without will"));
  Server with_will;
  with_will.connect(Version::kV5);
  with_will.give(Raw().bytes({0xE0, 0x01, 0x04}).get());
  EXPECT_THAT(with_will.happened(), ElementsAre("close 0x04 by client"));
}

TEST(Disconnect, MayNotGiveASessionALifeThatConnectDidNot) {
  const auto disconnect = Raw().bytes({0xE0, 0x07, 0x00, 0x05, 0x11, 0, 0, 0, 9}).get();
  Server none;
  none.connect(Version::kV5);
  none.give(disconnect);
  EXPECT_THAT(none.happened(), ElementsAre("close 0x82"));
  Server some;
  some.connect({.client_id = "c", .session_expiry_seconds = 5});
  some.give(disconnect);
  EXPECT_THAT(some.happened(), ElementsAre("close 0x00 by client without will"));
}

TEST(Disconnect, GivesOnlyReasonsOfClients) {
  for (const unsigned reason : {0x01U, 0x87U, 0x8BU, 0x8EU, 0x9CU, 0xFFU}) {
    Server server;
    server.connect(Version::kV5);
    server.give(Raw().bytes({0xE0, 0x01, reason}).get());
    EXPECT_THAT(server.happened(), ElementsAre("close 0x82")) << reason;
  }
}

TEST(Subscribe, WithNoLocalOnASharedSubscriptionIsAProtocolError) {
  Server server;
  server.connect(Version::kV5);
  FilterListBuilder filters(true, Version::kV5);
  filters.add({.filter = "a"});
  filters.add({.filter = "$share/g/a", .no_local = true});
  Output packet;
  encode(Subscribe{.packet_id = 1, .filters = filters.view()}, Version::kV5, packet);
  server.give(packet);
  EXPECT_THAT(server.happened(), ElementsAre("close 0x82"));
}

}  // namespace
}  // namespace sluice::mqtt
