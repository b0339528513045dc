// What clients are sent.
#include "testing_connection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::mqtt {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

void queue(Server& server, std::string payload, Qos qos) {
  auto message = delivery("t", std::move(payload), qos);
  ASSERT_EQ(server.session.enqueue(message), Session::Queued::kQueued);
}

TEST(Delivery, RunsThroughEachQos) {
  for (const Version version : {Version::kV31, Version::kV311, Version::kV5}) {
    Server server;
    server.connect(version);
    queue(server, "a", Qos::kAtMostOnce);
    queue(server, "b", Qos::kAtLeastOnce);
    queue(server, "c", Qos::kExactlyOnce);
    EXPECT_TRUE(server.deliver());
    EXPECT_THAT(server.sent(),
                ElementsAre("PUBLISH t q0 'a'", "PUBLISH t q1 1 'b'", "PUBLISH t q2 2 'c'"));
    EXPECT_THAT(server.happened(),
                ElementsAre("done 1 acknowledged", "changed 2 id 1 sent", "changed 3 id 2 sent"));
    server.give_ack(PacketType::kPubrec, 2);
    server.give_ack(PacketType::kPuback, 1);
    server.give_ack(PacketType::kPubcomp, 2);
    EXPECT_THAT(server.sent(), ElementsAre("PUBREL 2"));
    EXPECT_THAT(server.happened(), ElementsAre("changed 3 id 2 released", "done 2 acknowledged",
                                               "done 3 acknowledged"));
    EXPECT_TRUE(server.session.is_idle());
    EXPECT_EQ(server.session.queued_bytes(), 0U);
  }
}

TEST(Delivery, KeepsToTheClientsReceiveMaximumButForQos0) {
  Server server;
  server.connect({.client_id = "c", .receive_maximum = 2});
  for (const char* payload : {"a", "b", "c"}) queue(server, payload, Qos::kAtLeastOnce);
  queue(server, "d", Qos::kAtMostOnce);
  EXPECT_TRUE(server.deliver());
  EXPECT_THAT(server.sent(),
              ElementsAre("PUBLISH t q1 1 'a'", "PUBLISH t q1 2 'b'", "PUBLISH t q0 'd'"));
  server.give_ack(PacketType::kPuback, 1);
  EXPECT_TRUE(server.deliver());
  EXPECT_THAT(server.sent(), ElementsAre("PUBLISH t q1 3 'c'"));
}

TEST(Delivery, HoldsTheWindowUntilPubcomp) {
  Server server;
  server.connect({.client_id = "c", .receive_maximum = 1});
  queue(server, "a", Qos::kExactlyOnce);
  queue(server, "b", Qos::kExactlyOnce);
  server.deliver();
  server.give_ack(PacketType::kPubrec, 1);
  server.deliver();
  EXPECT_THAT(server.sent(), ElementsAre("PUBLISH t q2 1 'a'", "PUBREL 1"));
  server.give_ack(PacketType::kPubcomp, 1);
  server.deliver();
  EXPECT_THAT(server.sent(), ElementsAre("PUBLISH t q2 2 'b'"));
}

TEST(Delivery, StopsAtTheBoundOfTheOutputAndSaysSo) {
  Server server;
  server.connect(Version::kV311);
  for (const char* payload : {"a", "b"}) queue(server, payload, Qos::kAtLeastOnce);
  EXPECT_FALSE(server.deliver(1));
  EXPECT_THAT(server.sent(), ElementsAre("PUBLISH t q1 1 'a'"));
  EXPECT_TRUE(server.deliver(1));
  EXPECT_THAT(server.sent(), ElementsAre("PUBLISH t q1 2 'b'"));
}

TEST(Redelivery, KeepsOrderAndPacketIdsSetsDupAndGoesFirst) {
  Server server;
  server.connect({.clean_start = false, .client_id = "c"});
  queue(server, "a", Qos::kAtLeastOnce);
  queue(server, "b", Qos::kExactlyOnce);
  queue(server, "c", Qos::kExactlyOnce);
  queue(server, "d", Qos::kAtLeastOnce);
  server.deliver();
  server.give_ack(PacketType::kPubrec, 2);
  server.sent();
  server.reconnect({.clean_start = false, .client_id = "c"});
  queue(server, "new", Qos::kAtLeastOnce);
  EXPECT_TRUE(server.deliver());
  EXPECT_THAT(server.sent(),
              ElementsAre("PUBLISH t q1 1 dup 'a'", "PUBREL 2", "PUBLISH t q2 3 dup 'c'",
                          "PUBLISH t q1 4 dup 'd'", "PUBLISH t q1 5 'new'"));
  EXPECT_TRUE(server.deliver());
  EXPECT_THAT(server.sent(), IsEmpty()) << "once a connection";
}

TEST(Redelivery, KeepsToASmallerReceiveMaximum) {
  Server server;
  server.connect({.clean_start = false, .client_id = "c"});
  for (const char* payload : {"a", "b", "c"}) queue(server, payload, Qos::kAtLeastOnce);
  server.deliver();
  server.reconnect({.clean_start = false, .client_id = "c", .receive_maximum = 1});
  server.deliver();
  EXPECT_THAT(server.sent(), ElementsAre("PUBLISH t q1 1 dup 'a'"));
  server.give_ack(PacketType::kPuback, 3);  // of the earlier connection: not sent on this one yet
  server.deliver();
  EXPECT_THAT(server.sent(), IsEmpty());
  server.give_ack(PacketType::kPuback, 1);
  server.deliver();
  EXPECT_THAT(server.sent(), ElementsAre("PUBLISH t q1 2 dup 'b'"));
}

TEST(Redelivery, CompletesWhatExpiredMeanwhile) {
  Server server;
  server.connect({.clean_start = false, .client_id = "c"});
  Message message{.topic = "t", .expires_at = server.now + seconds(10)};
  Delivery first{.message = std::make_shared<const Message>(message), .qos = Qos::kAtLeastOnce};
  Delivery second = first;
  server.session.enqueue(first);
  server.deliver();
  server.session.enqueue(second);
  server.now += seconds(20);
  server.reconnect({.clean_start = false, .client_id = "c"});
  server.deliver();
  EXPECT_THAT(server.sent(), ElementsAre("PUBLISH t q1 1 dup expiry=0 ''"));
  EXPECT_THAT(server.happened(), ElementsAre("done 2 expired"));
}

TEST(Expiry, IsToldAsWhatIsLeftRoundedUp) {
  Server server;
  server.connect(Version::kV5);
  const auto message = std::make_shared<const Message>(
      Message{.topic = "t", .expires_at = server.now + milliseconds(9'500)});
  server.now += seconds(2);
  EXPECT_TRUE(server.connection.send({.message = message}, server.now, server.out));
  EXPECT_THAT(server.sent(), ElementsAre("PUBLISH t q0 expiry=8 ''"));
  server.now += milliseconds(7'499);
  EXPECT_TRUE(server.connection.send({.message = message}, server.now, server.out));
  EXPECT_THAT(server.sent(), ElementsAre("PUBLISH t q0 expiry=1 ''"));
  server.now += milliseconds(1);
  EXPECT_FALSE(server.connection.send({.message = message}, server.now, server.out));
}

TEST(MaximumPacketSize, DropsWhatIsLargerAndGoesOn) {
  Server server;
  server.connect({.client_id = "c", .maximum_packet_size = 50});
  queue(server, std::string(42, 'x'), Qos::kAtLeastOnce);  // 2 + 3 + 2 + 1 + 42: just fits
  queue(server, std::string(43, 'x'), Qos::kAtLeastOnce);
  queue(server, std::string(60, 'x'), Qos::kAtMostOnce);
  queue(server, "c", Qos::kAtLeastOnce);
  server.deliver();
  EXPECT_THAT(server.happened(), ElementsAre("changed 1 id 1 sent", "done 2 too large",
                                             "done 3 too large", "changed 4 id 3 sent"));
  EXPECT_EQ(server.sent().size(), 2U);
  EXPECT_FALSE(server.connection.send(delivery("t", std::string(60, 'x'), Qos::kAtMostOnce),
                                      server.now, server.out));
}

TEST(OutgoingAlias, IsSetOnceAndThenStandsForTheTopic) {
  Server server;
  server.limits.outgoing_topic_aliases = 2;
  server.connect({.client_id = "c", .topic_alias_maximum = 5});
  for (const char* topic : {"a", "b", "a", "c", "b"}) {
    server.connection.send(delivery(topic, "", Qos::kAtMostOnce), server.now, server.out);
  }
  EXPECT_THAT(server.sent(),
              ElementsAre("PUBLISH a q0 alias=1 ''", "PUBLISH b q0 alias=2 ''",
                          "PUBLISH  q0 alias=1 ''", "PUBLISH c q0 ''", "PUBLISH  q0 alias=2 ''"));
}

TEST(OutgoingAlias, NeedsTheClientsLeaveAndMqtt5) {
  for (const Version version : {Version::kV311, Version::kV5}) {
    Server server;
    server.limits.outgoing_topic_aliases = 2;
    server.connect(version);
    server.connection.send(delivery("a", "", Qos::kAtMostOnce), server.now, server.out);
    EXPECT_THAT(server.sent(), ElementsAre("PUBLISH a q0 ''"));
  }
}

TEST(OutgoingAlias, IsNotSetByAMessageThatIsTooLarge) {
  Server server;
  server.limits.outgoing_topic_aliases = 2;
  server.connect({.client_id = "c", .maximum_packet_size = 50, .topic_alias_maximum = 5});
  server.connection.send(delivery("a", std::string(60, 'x'), Qos::kAtMostOnce), server.now,
                         server.out);
  server.connection.send(delivery("a", std::string(43, 'x'), Qos::kAtMostOnce), server.now,
                         server.out);
  EXPECT_THAT(server.sent(), ElementsAre(HasSubstr("PUBLISH a q0 '")));
  server.connection.send(delivery("a", "", Qos::kAtMostOnce), server.now, server.out);
  EXPECT_THAT(server.sent(), ElementsAre("PUBLISH a q0 alias=1 ''"));
}

TEST(Acknowledgement, ThatRefusesEndsTheExchange) {
  Server server;
  server.connect(Version::kV5);
  queue(server, "a", Qos::kAtLeastOnce);
  queue(server, "b", Qos::kExactlyOnce);
  server.deliver();
  server.sent();
  server.happened();
  server.give_ack(PacketType::kPubrec, 2, ReasonCode::kQuotaExceeded);
  server.give_ack(PacketType::kPuback, 1, ReasonCode::kNotAuthorized);
  EXPECT_THAT(server.sent(), IsEmpty());
  EXPECT_THAT(server.happened(), ElementsAre("done 2 refused", "done 1 refused"));
  EXPECT_TRUE(server.session.is_idle());
}

TEST(Acknowledgement, ThatIsRepeatedIsAnsweredAgain) {
  Server server;
  server.connect(Version::kV5);
  queue(server, "b", Qos::kExactlyOnce);
  server.deliver();
  server.sent();
  server.give_ack(PacketType::kPubrec, 1);
  server.give_ack(PacketType::kPubrec, 1);
  EXPECT_THAT(server.sent(), ElementsAre("PUBREL 1", "PUBREL 1"));
  server.give_ack(PacketType::kPubcomp, 1, ReasonCode::kPacketIdentifierNotFound);
  EXPECT_TRUE(server.session.is_idle());
}

TEST(Acknowledgement, ThatDoesNotFitItsQosIsAProtocolError) {
  const struct {
    Qos qos;
    PacketType type;
  } cases[] = {{Qos::kAtLeastOnce, PacketType::kPubrec},
               {Qos::kAtLeastOnce, PacketType::kPubcomp},
               {Qos::kExactlyOnce, PacketType::kPuback},
               {Qos::kExactlyOnce, PacketType::kPubcomp}};
  for (const auto& c : cases) {
    Server server;
    server.connect(Version::kV5);
    queue(server, "a", c.qos);
    server.deliver();
    server.happened();
    server.give_ack(c.type, 1);
    EXPECT_THAT(server.happened(), ElementsAre("close 0x82"));
    EXPECT_EQ(server.session.queued(), 1U) << "kept for the next connection";
  }
}

TEST(Acknowledgement, GivesOnlyItsOwnReasons) {
  for (const PacketType type :
       {PacketType::kPuback, PacketType::kPubrec, PacketType::kPubrel, PacketType::kPubcomp}) {
    Server server;
    server.connect(Version::kV5);
    server.give_ack(type, 1, ReasonCode::kServerBusy);
    EXPECT_THAT(server.happened(), ElementsAre("close 0x82"));
  }
}

TEST(PacketIds, GoRoundPastThoseStillUnderWay) {
  Server server;
  server.connect(Version::kV311);
  queue(server, "stuck 1", Qos::kAtLeastOnce);
  queue(server, "stuck 2", Qos::kExactlyOnce);
  server.deliver();
  server.give_ack(PacketType::kPubrec, 2);
  std::vector<bool> seen(65'536);
  for (int i = 0; i < 70'000; ++i) {
    server.out.clear();
    server.events.clear();
    queue(server, "", Qos::kAtLeastOnce);
    server.deliver();
    const auto publish = decode_publish(**next_frame(server.out, kAnySize), Version::kV311).value();
    ASSERT_GT(publish.packet_id, 2) << "in use, message " << i;
    ASSERT_EQ(seen[publish.packet_id], i >= 65'533) << "each in turn, message " << i;
    seen[publish.packet_id] = true;
    server.give_ack(PacketType::kPuback, publish.packet_id);
  }
  EXPECT_EQ(server.session.queued(), 2U);
}

TEST(Properties, AreForwardedUnalteredAndInOrder) {
  UserPropertyList user;
  user.add("b", "1");
  user.add("a", "2");
  user.add("b", "3");
  Server server;
  server.answers_publishes = true;
  server.connect(Version::kV5);
  MessagePtr message;
  server.on_publish_hook = [&](const Publish& publish) {
    message = std::make_shared<const Message>(to_message(publish, 7, server.now));
  };
  Output packet;
  encode(Publish{.topic = "t",
                 .payload = bytes_of("p\xC3\xA4"),
                 .qos = Qos::kAtLeastOnce,
                 .retain = true,
                 .packet_id = 1,
                 .properties = {.payload_format = std::uint8_t{1},
                                .expiry_seconds = 100U,
                                .content_type = "text/plain",
                                .response_topic = "r",
                                .correlation_data = bytes_of(std::string_view("\0c", 2)),
                                .user = user.view()}},
         Version::kV5, packet);
  server.give(packet);
  ASSERT_TRUE(message);
  EXPECT_EQ(message->publisher, 7U);
  EXPECT_TRUE(message->retain);
  server.out.clear();
  Delivery sent{.message = message, .retain = true, .subscription_ids = {5, 200'000}};
  server.connection.send(sent, server.now, server.out);
  const auto frame = **next_frame(server.out, kAnySize);
  const auto publish = decode_publish(frame, Version::kV5).value();
  EXPECT_EQ(text_of(publish.payload), "p\xC3\xA4");
  EXPECT_TRUE(publish.retain);
  EXPECT_EQ(publish.properties.payload_format, 1);
  EXPECT_EQ(publish.properties.expiry_seconds, 100U);
  EXPECT_EQ(publish.properties.content_type, "text/plain");
  EXPECT_EQ(publish.properties.response_topic, "r");
  EXPECT_EQ(text_of(*publish.properties.correlation_data), std::string("\0c", 2));
  std::vector<std::string> properties;
  publish.properties.user.for_each([&](std::string_view name, std::string_view value) {
    properties.push_back(std::format("{}={}", name, value));
  });
  EXPECT_THAT(properties, ElementsAre("b=1", "a=2", "b=3"));
  EXPECT_THAT(text_of(frame.body), HasSubstr(std::string("\x0B\x05\x0B\xC0\x9A\x0C")));
}

}  // namespace
}  // namespace sluice::mqtt
