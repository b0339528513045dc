#include "testing_connection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::mqtt {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using State = Connection::State;

Output encoded(const Connect& packet) {
  Output out;
  encode(packet, out);
  return out;
}

Connack connack_in(const Output& out, Version version) {
  return decode_connack(**next_frame(out, kAnySize), version).value();
}

TEST(Connect, IsRefusedByTheBook) {
  Connect with_method{.client_id = "c", .authentication_method = "SCRAM"};
  Connect bad_will{.client_id = "c", .will = Will{.topic = "a/#"}};
  Connect bad_will_format{.client_id = "c",
                          .will = Will{.topic = "a",
                                       .payload = bytes_of("\xFF"),
                                       .properties = {.payload_format = std::uint8_t{1}}}};
  Connect bad_response{.client_id = "c",
                       .will = Will{.topic = "a", .properties = {.response_topic = "r/+"}}};
  struct {
    const char* name;
    Output packet;
    const char* event;
    unsigned v5_reason;  // of CONNACK; 0: no answer
    unsigned v3_code;    // likewise
  } const cases[] = {
      {"3.1.1 without id and not clean", encoded({.version = Version::kV311, .clean_start = false}),
       "close 0x85", 0, 2},
      {"3.1 without id", encoded({.version = Version::kV31}), "close 0x85", 0, 2},
      {"authentication method", encoded(with_method), "close 0x8C", 0x8C, 0},
      {"will topic with wildcard", encoded(bad_will), "close 0x90", 0x90, 0},
      {"will payload no UTF-8", encoded(bad_will_format), "close 0x99", 0x99, 0},
      {"will response topic with wildcard", encoded(bad_response), "close 0x82", 0x82, 0},
      {"level 6", Raw().bytes({0x10, 0x07}).text("MQTT").bytes({6}).get(), "close 0x84", 0x84, 0},
      {"level 3 of MQTT", Raw().bytes({0x10, 0x07}).text("MQTT").bytes({3}).get(), "close 0x84", 0,
       1},
      {"a bridge", Raw().bytes({0x10, 0x07}).text("MQTT").bytes({0x84}).get(), "close 0x84", 0, 1},
      {"another protocol", Raw().bytes({0x10, 0x07}).text("MQTX").bytes({4}).get(), "close 0x84", 0,
       0},
      {"cut off in MQTT 5", Raw().bytes({0x10, 0x08}).text("MQTT").bytes({5, 2}).get(),
       "close 0x81", 0x81, 0},
      {"cut off in 3.1.1", Raw().bytes({0x10, 0x08}).text("MQTT").bytes({4, 2}).get(), "close 0x81",
       0, 0},
      {"reserved flags", Raw().bytes({0x11, 0x08}).text("MQTT").bytes({4, 2}).get(), "close 0x81",
       0, 0},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    Server server;
    server.give(c.packet);
    EXPECT_THAT(server.happened(), ElementsAre(c.event));
    EXPECT_EQ(server.connection.state(), State::kClosed);
    if (c.v5_reason != 0) {
      EXPECT_EQ(connack_in(server.out, Version::kV5).reason, static_cast<ReasonCode>(c.v5_reason));
    } else if (c.v3_code != 0) {
      EXPECT_EQ(server.out, Raw().bytes({0x20, 0x02, 0x00, c.v3_code}).get());
    } else {
      EXPECT_THAT(server.out, IsEmpty());
    }
  }
}

TEST(Connect, LeavesOtherClientIdsToWhoeverRunsIt) {
  const std::string long_id(200, 'x');
  for (const Connect& connect :
       {Connect{.version = Version::kV31, .client_id = long_id}, Connect{.version = Version::kV311},
        Connect{.version = Version::kV5, .clean_start = false}}) {
    Server server;
    server.give(encoded(connect));
    EXPECT_EQ(server.connection.state(), State::kOpen);
  }
}

TEST(Connect, IsHeldToItsOwnSizeLimit) {
  Server server;
  server.limits.max_connect_size = 64;
  const std::string id(100, 'x');
  const auto packet = encoded({.client_id = id});
  server.give(std::span(packet).first(20));
  EXPECT_THAT(server.happened(), ElementsAre("close 0x95"));
  EXPECT_EQ(connack_in(server.out, Version::kV5).reason, ReasonCode::kPacketTooLarge);
}

TEST(Connack, TellsTheLimitsAndItsKeepAliveWins) {
  Server server;
  server.acceptance = {.session_present = true, .connack = {.server_keep_alive_seconds = 33}};
  server.give(encoded({.clean_start = false, .keep_alive_seconds = 60, .client_id = "c"}));
  const auto connack = connack_in(server.out, Version::kV5);
  EXPECT_TRUE(connack.session_present);
  EXPECT_EQ(connack.receive_maximum, server.limits.receive_maximum);
  EXPECT_EQ(connack.maximum_packet_size, server.limits.max_packet_size);
  EXPECT_EQ(connack.topic_alias_maximum, server.limits.topic_alias_maximum);
  EXPECT_EQ(connack.server_keep_alive_seconds, 33);
  EXPECT_EQ(server.connection.keep_alive_seconds(), 33);
}

TEST(Connack, SaysNothingOfAPacketSizeThatHasNoLimit) {
  Server server;
  server.limits.max_packet_size = kMaxRemainingLength + 5;
  server.give(encoded({.client_id = "c"}));
  EXPECT_EQ(connack_in(server.out, Version::kV5).maximum_packet_size, std::nullopt);
}

TEST(Connack, HasNoWordsWhereTheServerSendsNone) {
  Server server;
  server.limits.sends_reason_strings = false;
  server.accepts = false;
  server.connect({.client_id = "c"});
  server.connection.refuse(ReasonCode::kNotAuthorized, "why", {}, server.out);
  EXPECT_EQ(connack_in(server.out, Version::kV5).reason_string, "");
}

TEST(Connack, CannotChangeTheKeepAliveOfMqtt3) {
  Server server;
  server.acceptance = {.connack = {.server_keep_alive_seconds = 33}};
  server.give(encoded({.version = Version::kV311, .keep_alive_seconds = 60, .client_id = "c"}));
  EXPECT_EQ(server.connection.keep_alive_seconds(), 60);
}

TEST(Connack, LeavesOutTheReasonStringThatWouldMakeItTooLarge) {
  Server server;
  server.accepts = false;
  server.connect({.client_id = "c", .maximum_packet_size = 20});
  server.connection.refuse(ReasonCode::kNotAuthorized, "a long explanation of it all", {},
                           server.out);
  const auto connack = connack_in(server.out, Version::kV5);
  EXPECT_EQ(connack.reason, ReasonCode::kNotAuthorized);
  EXPECT_EQ(connack.reason_string, "");
}

TEST(Connack, ThatTheClientCannotTakeEndsTheConnection) {
  Server server;
  server.accepts = false;
  server.connect({.client_id = "c", .maximum_packet_size = 8});
  EXPECT_FALSE(server.connection.accept(server.session, {}, server.out));
  EXPECT_EQ(server.connection.state(), State::kClosed);
  EXPECT_THAT(server.out, IsEmpty());
}

TEST(Connection, ToldToDisconnectTellsMqtt5AfterConnackAlone) {
  for (const Version version : {Version::kV31, Version::kV311, Version::kV5}) {
    Server server;
    server.connect(version);
    server.connection.disconnect(ReasonCode::kSessionTakenOver, "taken", {}, server.out);
    if (version == Version::kV5) {
      EXPECT_THAT(server.sent(), ElementsAre("DISCONNECT 0x8E"));
    } else {
      EXPECT_THAT(server.sent(), IsEmpty());
    }
    EXPECT_EQ(server.connection.state(), State::kClosed);
  }
  Server early;
  early.accepts = false;
  early.connect(Version::kV5);
  early.connection.disconnect(ReasonCode::kServerShuttingDown, {}, {}, early.out);
  EXPECT_THAT(early.out, IsEmpty());
}

TEST(Connection, IsSmallWhileIdle) {
  EXPECT_LE(sizeof(Connection), 64U);
  EXPECT_LE(sizeof(Session), 64U);
}

}  // namespace
}  // namespace sluice::mqtt
