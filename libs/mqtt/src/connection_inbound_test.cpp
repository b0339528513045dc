// What clients publish.
#include "testing_connection.h"

#include <sluice/mqtt/topic.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::mqtt {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr Version kVersions[] = {Version::kV31, Version::kV311, Version::kV5};

void give(Server& server, const Publish& publish) {
  Output packet;
  encode(publish, server.connection.version(), packet);
  server.give(packet);
}

TEST(Publish, IsAcknowledgedInOrderWhateverTheOrderOfStoring) {
  for (const Version version : kVersions) {
    Server server;
    server.connect(version);
    server.give_publish(1, Qos::kAtLeastOnce);
    server.give_publish(2, Qos::kExactlyOnce);
    server.give_publish(3, Qos::kAtLeastOnce);
    server.done_with(server.ids[2]);
    server.done_with(server.ids[1]);
    EXPECT_THAT(server.sent(), IsEmpty());
    server.done_with(server.ids[0]);
    EXPECT_THAT(server.sent(), ElementsAre("PUBACK 1", "PUBREC 2", "PUBACK 3"));
  }
}

TEST(Publish, OfQos0HasNoAnswer) {
  Server server;
  server.connect(Version::kV311);
  give(server, {.topic = "t", .retain = true});
  EXPECT_THAT(server.happened(), ElementsAre("publish t q0 ''"));
  EXPECT_THAT(server.out, IsEmpty());
}

TEST(Publish, WithDupThatWasNeverSeenIsTaken) {
  for (const Qos qos : {Qos::kAtLeastOnce, Qos::kExactlyOnce}) {
    Server server;
    server.connect(Version::kV5);
    server.give_publish(9, qos, true);
    EXPECT_EQ(server.ids.size(), 1U);
  }
}

TEST(Qos2, IsCompleteOnlyWhenWhoeverRunsItSaysSo) {
  Server server;
  server.answers_publishes = true;
  server.answers_releases = false;
  server.connect(Version::kV5);
  server.give_publish(9, Qos::kExactlyOnce);
  server.sent();
  server.give_ack(PacketType::kPubrel, 9);
  EXPECT_THAT(server.sent(), IsEmpty());
  server.connection.release_done(9, server.out);
  EXPECT_THAT(server.sent(), ElementsAre("PUBCOMP 9"));
}

TEST(Qos2, TakesARepeatedPublishOnceWithOrWithoutDup) {
  for (const bool dup : {false, true}) {
    Server server;
    server.answers_publishes = true;
    server.connect(Version::kV5);
    server.give_publish(9, Qos::kExactlyOnce);
    server.give_publish(9, Qos::kExactlyOnce, dup);
    EXPECT_THAT(server.happened(), ElementsAre("publish t q2 'p'"));
    EXPECT_THAT(server.sent(), ElementsAre("PUBREC 9", "PUBREC 9"));
    server.give_ack(PacketType::kPubrel, 9);
    EXPECT_THAT(server.happened(), ElementsAre("released 9"));
    EXPECT_THAT(server.sent(), ElementsAre("PUBCOMP 9"));
    server.give_publish(9, Qos::kExactlyOnce, dup);
    EXPECT_THAT(server.happened(), ElementsAre("publish t q2 'p'")) << "a new exchange";
  }
}

TEST(Qos2, TakesAPublishOnceThatIsRepeatedWhileItIsBeingStored) {
  Server server;
  server.connect(Version::kV311);
  server.give_publish(9, Qos::kExactlyOnce);
  server.give_publish(9, Qos::kExactlyOnce, true);
  ASSERT_EQ(server.ids.size(), 1U);
  server.done_with(server.ids[0]);
  EXPECT_THAT(server.sent(), ElementsAre("PUBREC 9", "PUBREC 9"));
}

TEST(Qos2, RemembersThePacketIdOverConnections) {
  Server server;
  server.answers_publishes = true;
  server.connect(Version::kV311);
  server.give_publish(9, Qos::kExactlyOnce);
  server.reconnect({.version = Version::kV311, .clean_start = false, .client_id = "c"});
  EXPECT_THAT(server.session.inbound_qos2(), ElementsAre(9));
  server.give_publish(9, Qos::kExactlyOnce, true);
  EXPECT_THAT(server.happened(), IsEmpty());
  EXPECT_THAT(server.sent(), ElementsAre("PUBREC 9"));
  server.give_ack(PacketType::kPubrel, 9);
  EXPECT_THAT(server.session.inbound_qos2(), IsEmpty());
}

TEST(Qos2, LearnsOfAStoredPublishAfterTheConnectionEnded) {
  Server server;
  server.connect(Version::kV5);
  server.give_publish(9, Qos::kExactlyOnce);
  server.connection.disconnect(ReasonCode::kServerShuttingDown, {}, {}, server.out);
  server.out.clear();
  EXPECT_EQ(server.connection.unanswered(), 1U);
  server.done_with(server.ids[0]);
  EXPECT_THAT(server.out, IsEmpty());
  EXPECT_EQ(server.connection.unanswered(), 0U);
  EXPECT_THAT(server.session.inbound_qos2(), ElementsAre(9));
}

TEST(Qos2, ThatIsRefusedLeavesNoPacketIdBehind) {
  Server server;
  server.connect(Version::kV5);
  server.give_publish(9, Qos::kExactlyOnce);
  server.connection.publish_done(server.ids[0], ReasonCode::kNotAuthorized, "no", server.out);
  EXPECT_THAT(server.sent(), ElementsAre("PUBREC 9 0x87 'no'"));
  EXPECT_TRUE(server.session.is_idle());
  server.give_publish(9, Qos::kExactlyOnce);
  EXPECT_EQ(server.ids.size(), 2U);
}

TEST(Qos2, BeyondTheSessionsBoundIsRefusedOrEndsTheConnection) {
  Server server;
  server.session_limits.max_inbound_qos2 = 2;
  server.connect(Version::kV5);
  for (std::uint16_t id = 1; id <= 3; ++id) server.give_publish(id, Qos::kExactlyOnce);
  EXPECT_EQ(server.ids.size(), 2U);
  server.done_with(server.ids[0]);
  server.done_with(server.ids[1]);
  EXPECT_THAT(server.sent(), ElementsAre("PUBREC 1", "PUBREC 2", "PUBREC 3 0x97"));

  Server old;
  old.session_limits.max_inbound_qos2 = 1;
  old.answers_publishes = true;
  old.connect(Version::kV311);
  old.give_publish(1, Qos::kExactlyOnce);
  old.happened();
  old.give_publish(2, Qos::kExactlyOnce);
  EXPECT_THAT(old.happened(), ElementsAre("close 0x93"));
}

TEST(Qos2, IsTakenByThousandsFromClientsThatKnowNoReceiveMaximum) {
  Server server;
  server.answers_publishes = true;
  server.connect(Version::kV311);
  for (std::uint16_t id = 1; id <= 1000; ++id) server.give_publish(id, Qos::kExactlyOnce);
  EXPECT_EQ(server.connection.state(), Connection::State::kOpen);
  EXPECT_EQ(server.sent().size(), 1000U);
}

TEST(Filters, AreNotReadWhileManyAreUnanswered) {
  Server server;
  server.connect(Version::kV5);
  server.answers_filters = false;
  FilterListBuilder filters(true, Version::kV5);
  filters.add({.filter = "a"});
  Output packet;
  encode(Subscribe{.packet_id = 7, .filters = filters.view()}, Version::kV5, packet);
  Output all;
  for (int i = 0; i < 6; ++i) all.insert(all.end(), packet.begin(), packet.end());
  EXPECT_EQ(server.give(all), Connection::kMaxUnansweredFilters * packet.size());
  EXPECT_FALSE(server.connection.wants_bytes());
  const ReasonCode granted = ReasonCode::kSuccess;
  server.connection.filters_done(PacketType::kSuback, 7, {&granted, 1}, server.out);
  EXPECT_EQ(server.give(all), packet.size());
}

TEST(ReceiveMaximum, CountsQos2UntilItIsCompletedAndEndsMqtt5) {
  Server server;
  server.limits.receive_maximum = 3;
  server.answers_publishes = true;
  server.connect(Version::kV5);
  for (std::uint16_t id = 1; id <= 3; ++id) server.give_publish(id, Qos::kExactlyOnce);
  server.give_ack(PacketType::kPubrel, 2);
  server.give_publish(4, Qos::kAtLeastOnce);  // answered at once
  server.give_publish(5, Qos::kExactlyOnce);
  EXPECT_EQ(server.connection.state(), Connection::State::kOpen);
  server.give_publish(6, Qos::kAtLeastOnce);
  EXPECT_EQ(server.happened().back(), "close 0x93");
  EXPECT_EQ(server.sent().back(), "DISCONNECT 0x93");
}

TEST(ReceiveMaximum, DoesNotCountWhatEarlierConnectionsLeft) {
  Server server;
  server.limits.receive_maximum = 2;
  server.answers_publishes = true;
  server.connect(Version::kV5);
  server.give_publish(1, Qos::kExactlyOnce);
  server.give_publish(2, Qos::kExactlyOnce);
  server.reconnect({.clean_start = false, .client_id = "c"});
  server.give_publish(3, Qos::kExactlyOnce);
  server.give_publish(4, Qos::kExactlyOnce);
  EXPECT_EQ(server.connection.state(), Connection::State::kOpen);
  server.give_publish(5, Qos::kExactlyOnce);
  EXPECT_EQ(server.connection.state(), Connection::State::kClosed);
}

TEST(ReceiveMaximum, MakesMqtt3Wait) {
  Server server;
  server.limits.receive_maximum = 2;
  server.connect(Version::kV311);
  Output packets;
  for (std::uint16_t id = 1; id <= 4; ++id) {
    encode(Publish{.topic = "t", .qos = Qos::kAtLeastOnce, .packet_id = id}, Version::kV311,
           packets);
  }
  const std::size_t taken = server.give(packets);
  EXPECT_EQ(taken, packets.size() / 2);
  EXPECT_FALSE(server.connection.wants_bytes());
  server.done_with(server.ids[0]);
  EXPECT_TRUE(server.connection.wants_bytes());
  server.give(std::span(packets).subspan(taken));
  EXPECT_EQ(server.ids.size(), 3U);
}

TEST(PublishRefusal, EndsAnMqtt3ConnectionInItsTurn) {
  Server server;
  server.connect(Version::kV311);
  server.give_publish(1, Qos::kAtLeastOnce);
  server.give_publish(2, Qos::kAtLeastOnce);
  server.give_publish(3, Qos::kAtLeastOnce);
  EXPECT_TRUE(
      server.connection.publish_done(server.ids[1], ReasonCode::kNotAuthorized, {}, server.out));
  EXPECT_TRUE(server.connection.publish_done(server.ids[2], ReasonCode::kSuccess, {}, server.out));
  EXPECT_FALSE(server.connection.publish_done(server.ids[0], ReasonCode::kSuccess, {}, server.out));
  EXPECT_THAT(server.sent(), ElementsAre("PUBACK 1"));
  EXPECT_EQ(server.connection.state(), Connection::State::kClosed);
}

TEST(ReasonString, IsNotSentToWhoWantsNoneOrHasNoRoom) {
  for (const bool is_wanted : {true, false}) {
    Server server;
    server.connect(
        {.client_id = "c", .maximum_packet_size = 40, .request_problem_information = is_wanted});
    server.give_publish(1, Qos::kAtLeastOnce);
    server.give_publish(2, Qos::kAtLeastOnce);
    server.connection.publish_done(server.ids[0], ReasonCode::kNotAuthorized, "short", server.out);
    server.connection.publish_done(server.ids[1], ReasonCode::kNotAuthorized, std::string(60, 'x'),
                                   server.out);
    EXPECT_THAT(server.sent(), ElementsAre(is_wanted ? "PUBACK 1 0x87 'short'" : "PUBACK 1 0x87",
                                           "PUBACK 2 0x87"));
  }
}

struct FaultyPublish {
  const char* name;
  Publish publish;
  const char* event;
};

TEST(Publish, ThatIsFaultyEndsTheConnectionWithItsReason) {
  const std::vector<std::uint32_t> ids{3};
  const std::string deep(kMaxTopicLevels, '/');
  const FaultyPublish cases[] = {
      {"plus in topic", {.topic = "a/+"}, "close 0x90"},
      {"hash in topic", {.topic = "a/#"}, "close 0x90"},
      {"too deep", {.topic = deep}, "close 0x90"},
      {"wildcard in response topic",
       {.topic = "t", .properties = {.response_topic = "#"}},
       "close 0x82"},
      {"subscription id", {.topic = "t", .properties = {.subscription_ids = ids}}, "close 0x82"},
      {"alias above the maximum",
       {.topic = "t", .properties = {.topic_alias = std::uint16_t{17}}},
       "close 0x94"},
      {"alias 0", {.topic = "t", .properties = {.topic_alias = std::uint16_t{0}}}, "close 0x94"},
      {"alias never set", {.properties = {.topic_alias = std::uint16_t{2}}}, "close 0x82"},
      {"neither topic nor alias", {}, "close 0x82"},
      {"text that is none",
       {.topic = "t",
        .payload = bytes_of("\xFF"),
        .properties = {.payload_format = std::uint8_t{1}}},
       "close 0x99"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    Server server;
    server.connect(Version::kV5);
    give(server, c.publish);
    EXPECT_THAT(server.happened(), ElementsAre(c.event));
    EXPECT_THAT(server.sent(), ElementsAre(std::string("DISCONNECT") + (c.event + 5)));
  }
}

TEST(Publish, AboveWhatConnackOffersEndsTheConnection) {
  Server server;
  server.acceptance.connack.maximum_qos = Qos::kAtLeastOnce;
  server.connect(Version::kV5);
  server.give_publish(1, Qos::kExactlyOnce);
  EXPECT_THAT(server.happened(), ElementsAre("close 0x9B"));
  Server other;
  other.acceptance.connack.retain_available = false;
  other.connect(Version::kV5);
  give(other, {.topic = "t", .retain = true});
  EXPECT_THAT(other.happened(), ElementsAre("close 0x9A"));
}

TEST(Publish, WithTextThatIsNoneIsRefusedInItsTurn) {
  Server server;
  server.connect(Version::kV5);
  server.give_publish(1, Qos::kAtLeastOnce);
  for (const auto qos : {Qos::kAtLeastOnce, Qos::kExactlyOnce}) {
    give(server, {.topic = "t",
                  .payload = bytes_of("\xC3("),
                  .qos = qos,
                  .packet_id = 2,
                  .properties = {.payload_format = std::uint8_t{1}}});
  }
  EXPECT_THAT(server.out, IsEmpty());
  server.done_with(server.ids.at(0));
  EXPECT_THAT(server.sent(), ElementsAre("PUBACK 1", "PUBACK 2 0x99", "PUBREC 2 0x99"));
  EXPECT_TRUE(server.session.is_idle());
}

TEST(TopicAlias, StandsForTheTopicLastSetOnThisConnection) {
  Server server;
  server.connect(Version::kV5);
  const auto alias = [](std::string_view topic, std::uint16_t number) {
    return Publish{.topic = topic, .properties = {.topic_alias = number}};
  };
  give(server, alias("one", 1));
  give(server, alias("sixteen", 16));
  give(server, alias("", 1));
  give(server, alias("other", 1));
  give(server, alias("", 1));
  give(server, alias("", 16));
  EXPECT_THAT(server.happened(),
              ElementsAre("publish one q0 ''", "publish sixteen q0 ''", "publish one q0 ''",
                          "publish other q0 ''", "publish other q0 ''", "publish sixteen q0 ''"));
  server.reconnect({.clean_start = false, .client_id = "c"});
  give(server, alias("", 1));
  EXPECT_THAT(server.happened(), ElementsAre("close 0x82"));
}

TEST(Pubrel, OfAnUnknownIdIsAnswered) {
  Server server;
  server.connect(Version::kV5);
  server.give_ack(PacketType::kPubrel, 5);
  EXPECT_THAT(server.sent(), ElementsAre("PUBCOMP 5 0x92"));
  EXPECT_THAT(server.happened(), IsEmpty());
}

TEST(OddExchanges, LeaveNothingBehind) {
  Server server;
  server.answers_publishes = true;
  server.connect(Version::kV5);
  for (int i = 0; i < 10'000; ++i) {
    const auto id = static_cast<std::uint16_t>(i % 50 + 1);
    server.give_publish(id, Qos::kExactlyOnce);
    server.give_publish(id, Qos::kExactlyOnce, true);
    server.give_ack(PacketType::kPubrel, id);
    server.give_ack(PacketType::kPubrel, id);
    server.give_ack(PacketType::kPubrec, id);
    server.give_ack(PacketType::kPuback, id);
    server.give_ack(PacketType::kPubcomp, id);
    server.out.clear();
    server.events.clear();
  }
  EXPECT_EQ(server.connection.state(), Connection::State::kOpen);
  EXPECT_TRUE(server.session.is_idle());
  EXPECT_EQ(server.connection.unanswered(), 0U);
}

}  // namespace
}  // namespace sluice::mqtt
