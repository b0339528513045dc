#include <sluice/mqtt/encoder.h>

#include "testing_bytes.h"

#include <utility>
#include <vector>

#include <sluice/mqtt/decoder.h>

#include <gtest/gtest.h>

namespace sluice::mqtt {
namespace {

/// The one packet in `out`.
Frame only_frame(const Output& out) {
  const auto frame = next_frame(out, kAnySize);
  EXPECT_TRUE(frame && *frame);
  EXPECT_EQ((*frame)->size, out.size());
  return **frame;
}

std::vector<std::pair<std::string, std::string>> list(const UserProperties& user) {
  std::vector<std::pair<std::string, std::string>> found;
  user.for_each(
      [&](std::string_view name, std::string_view value) { found.emplace_back(name, value); });
  return found;
}

TEST(EncodePublish, ComesBackAsItWasInEveryVersionAndQos) {
  UserPropertyList user;
  user.add("a", "1");
  user.add("a", "2");
  for (const Version version : {Version::kV31, Version::kV311, Version::kV5}) {
    for (const Qos qos : {Qos::kAtMostOnce, Qos::kAtLeastOnce, Qos::kExactlyOnce}) {
      Publish publish{.topic = "t/x", .payload = bytes_of("payload"), .qos = qos, .retain = true};
      publish.packet_id = qos == Qos::kAtMostOnce ? std::uint16_t{0} : kMaxPacketId;
      publish.dup = qos != Qos::kAtMostOnce;
      publish.properties = {.payload_format = 1,
                            .expiry_seconds = 77,
                            .topic_alias = 3,
                            .content_type = "text/plain",
                            .response_topic = "r",
                            .correlation_data = bytes_of("c"),
                            .user = user.view()};
      Output out;
      encode(publish, version, out);
      EXPECT_EQ(encoded_size(publish, version), out.size());
      const auto back = decode_publish(only_frame(out), version);
      ASSERT_TRUE(back) << back.error().what;
      EXPECT_EQ(back->topic, "t/x");
      EXPECT_EQ(text_of(back->payload), "payload");
      EXPECT_EQ(back->qos, qos);
      EXPECT_EQ(back->dup, publish.dup);
      EXPECT_TRUE(back->retain);
      EXPECT_EQ(back->packet_id, publish.packet_id);
      if (version != Version::kV5) {
        EXPECT_TRUE(back->properties.user.empty());
        continue;
      }
      EXPECT_EQ(back->properties.expiry_seconds, 77U);
      EXPECT_EQ(back->properties.topic_alias, 3);
      EXPECT_EQ(back->properties.content_type, "text/plain");
      EXPECT_EQ(back->properties.response_topic, "r");
      EXPECT_EQ(text_of(*back->properties.correlation_data), "c");
      const std::vector<std::pair<std::string, std::string>> both{{"a", "1"}, {"a", "2"}};
      EXPECT_EQ(list(back->properties.user), both);
    }
  }
}

TEST(EncodePublish, KeepsAllSubscriptionIdentifiersInOrder) {
  const std::vector<std::uint32_t> ids{7, 268'435'455, 7, 1};
  UserPropertyList user;
  user.add("a", "1");
  const Publish publish{
      .topic = "t",
      .properties = {
          .expiry_seconds = 1, .content_type = "x", .subscription_ids = ids, .user = user.view()}};
  const auto list_ids = [](const SubscriptionIds& all) {
    std::vector<std::uint32_t> found;
    all.for_each([&](std::uint32_t id) { found.push_back(id); });
    return found;
  };
  EXPECT_EQ(list_ids(publish.properties.subscription_ids), ids);
  Output out;
  encode(publish, Version::kV5, out);
  const auto back = decode_publish(only_frame(out), Version::kV5);
  ASSERT_TRUE(back) << back.error().what;
  EXPECT_EQ(back->properties.subscription_ids.count(), 4U);
  EXPECT_EQ(list_ids(back->properties.subscription_ids), ids);
  EXPECT_EQ(list(back->properties.user).size(), 1U);
  Output again;
  encode(*back, Version::kV5, again);
  EXPECT_EQ(again, out);
}

TEST(EncodePublish, UsesTheShortestLengthAtEveryBorder) {
  for (const auto& [payload, header] : {std::pair{124U, 2U},
                                        {125U, 3U},
                                        {16'380U, 3U},
                                        {16'381U, 4U},
                                        {2'097'148U, 4U},
                                        {2'097'149U, 5U}}) {
    const std::vector<std::byte> content(payload);
    Output out;
    encode(Publish{.topic = "t", .payload = content}, Version::kV311, out);
    EXPECT_EQ(out.size(), header + 3 + payload);
    EXPECT_EQ(decode_publish(only_frame(out), Version::kV311)->payload.size(), payload);
  }
}

TEST(EncodeConnect, SaysAnEmptyAuthenticationMethodWhereItsDataNeedsOne) {
  Output out;
  encode(
      Connect{
          .client_id = "a", .authentication_method = "", .authentication_data = bytes_of("data")},
      out);
  const auto back = decode_connect(only_frame(out));
  ASSERT_TRUE(back) << back.error().what;
  EXPECT_EQ(back->authentication_method, "");
  EXPECT_EQ(text_of(*back->authentication_data), "data");
}

TEST(EncodeAck, TakesFourBytesWhereThereIsNothingToSay) {
  for (const PacketType type :
       {PacketType::kPuback, PacketType::kPubrec, PacketType::kPubrel, PacketType::kPubcomp}) {
    Output out;
    encode(Ack{.type = type, .packet_id = 513}, Version::kV5, out);
    EXPECT_EQ(out.size(), 4U);
    const auto back = decode_ack(only_frame(out), Version::kV5);
    ASSERT_TRUE(back) << back.error().what;
    EXPECT_EQ(back->type, type);
    EXPECT_EQ(back->packet_id, 513);
  }
}

TEST(EncodeAck, TellsReasonsToMqtt5Alone) {
  const Ack ack{
      .packet_id = 1, .reason = ReasonCode::kQuotaExceeded, .reason_string = "limit 100/s"};
  Output out;
  encode(ack, Version::kV5, out);
  const auto back = decode_ack(only_frame(out), Version::kV5);
  EXPECT_EQ(back->reason, ReasonCode::kQuotaExceeded);
  EXPECT_EQ(back->reason_string, "limit 100/s");
  out.clear();
  encode(ack, Version::kV311, out);
  EXPECT_EQ(out.size(), 4U);
}

TEST(EncodeConnack, MapsReasonsToWhatOlderClientsKnow) {
  const auto code = [](ReasonCode reason, Version version) {
    Output out;
    encode(Connack{.session_present = true, .reason = reason}, version, out);
    return std::pair(std::to_integer<int>(out[2]), std::to_integer<int>(out[3]));
  };
  EXPECT_EQ(code(ReasonCode::kSuccess, Version::kV311), std::pair(1, 0));
  EXPECT_EQ(code(ReasonCode::kSuccess, Version::kV31), std::pair(0, 0));
  EXPECT_EQ(code(ReasonCode::kServerBusy, Version::kV311), std::pair(0, 3));
  EXPECT_EQ(code(ReasonCode::kBadUserNameOrPassword, Version::kV31), std::pair(0, 4));
  EXPECT_EQ(code(ReasonCode::kBanned, Version::kV311), std::pair(0, 5));
  EXPECT_EQ(code(ReasonCode::kBanned, Version::kV5), std::pair(0, 0x8A));
}

TEST(EncodeConnack, ComesBackWithAllItsProperties) {
  const Connack connack{.session_present = true,
                        .session_expiry_seconds = 60,
                        .receive_maximum = 32,
                        .maximum_qos = Qos::kAtLeastOnce,
                        .retain_available = false,
                        .maximum_packet_size = 131'072,
                        .assigned_client_id = "made",
                        .topic_alias_maximum = 16,
                        .reason_string = "hello",
                        .wildcard_subscriptions = true,
                        .subscription_identifiers = true,
                        .shared_subscriptions = false,
                        .server_keep_alive_seconds = 300,
                        .response_information = "r/",
                        .server_reference = "other:8883"};
  Output out;
  encode(connack, Version::kV5, out);
  const auto back = decode_connack(only_frame(out), Version::kV5);
  ASSERT_TRUE(back) << back.error().what;
  EXPECT_TRUE(back->session_present);
  EXPECT_EQ(back->session_expiry_seconds, 60U);
  EXPECT_EQ(back->receive_maximum, 32);
  EXPECT_EQ(back->maximum_qos, Qos::kAtLeastOnce);
  EXPECT_EQ(back->retain_available, false);
  EXPECT_EQ(back->maximum_packet_size, 131'072U);
  EXPECT_EQ(back->assigned_client_id, "made");
  EXPECT_EQ(back->topic_alias_maximum, 16);
  EXPECT_EQ(back->reason_string, "hello");
  EXPECT_EQ(back->wildcard_subscriptions, true);
  EXPECT_EQ(back->shared_subscriptions, false);
  EXPECT_EQ(back->server_keep_alive_seconds, 300);
  EXPECT_EQ(back->response_information, "r/");
  EXPECT_EQ(back->server_reference, "other:8883");
}

TEST(EncodeSubscribe, ComesBackWithOptionsOfItsVersion) {
  for (const Version version : {Version::kV311, Version::kV5}) {
    FilterListBuilder filters(true, version);
    filters.add({.filter = "a/+",
                 .qos = Qos::kExactlyOnce,
                 .no_local = true,
                 .retain_as_published = true,
                 .retain_handling = RetainHandling::kDoNotSend});
    filters.add({.filter = "#"});
    Output out;
    encode(Subscribe{.packet_id = 9, .subscription_id = 268'435'455, .filters = filters.view()},
           version, out);
    const auto back = decode_subscribe(only_frame(out), version);
    ASSERT_TRUE(back) << back.error().what;
    EXPECT_EQ(back->filters.count(), 2U);
    std::vector<Subscription> found;
    back->filters.for_each([&](const Subscription& one) { found.push_back(one); });
    ASSERT_EQ(found.size(), 2U);
    const bool is_v5 = version == Version::kV5;
    EXPECT_EQ(found[0].filter, "a/+");
    EXPECT_EQ(found[0].qos, Qos::kExactlyOnce);
    EXPECT_EQ(found[0].no_local, is_v5);
    EXPECT_EQ(found[0].retain_as_published, is_v5);
    EXPECT_EQ(found[0].retain_handling, is_v5 ? RetainHandling::kDoNotSend : RetainHandling::kSend);
    EXPECT_EQ(found[1].filter, "#");
    EXPECT_EQ(back->subscription_id.has_value(), is_v5);
  }
}

TEST(EncodeSuback, MapsFailuresToWhatOlderClientsKnow) {
  const std::vector<ReasonCode> reasons{ReasonCode::kGrantedQos1, ReasonCode::kNotAuthorized};
  const auto codes = [&](PacketType type, Version version) {
    Output out;
    encode(FilterAck{.type = type, .packet_id = 1, .reasons = reasons}, version, out);
    const auto back = decode_filter_ack(only_frame(out), version);
    EXPECT_TRUE(back);
    return std::vector(back->reasons.begin(), back->reasons.end());
  };
  using Codes = std::vector<ReasonCode>;
  EXPECT_EQ(codes(PacketType::kSuback, Version::kV5), reasons);
  EXPECT_EQ(codes(PacketType::kSuback, Version::kV311),
            (Codes{ReasonCode::kGrantedQos1, ReasonCode::kUnspecifiedError}));
  EXPECT_EQ(codes(PacketType::kSuback, Version::kV31),
            (Codes{ReasonCode::kGrantedQos1, ReasonCode::kSuccess}));
  EXPECT_EQ(codes(PacketType::kUnsuback, Version::kV311), Codes{});
}

TEST(EncodeDisconnect, IsTwoBytesWhenNothingIsSaid) {
  Output out;
  encode(Disconnect{}, Version::kV5, out);
  EXPECT_EQ(out.size(), 2U);
  out.clear();
  encode(Disconnect{.reason = ReasonCode::kUseAnotherServer, .server_reference = "b"}, Version::kV5,
         out);
  const auto back = decode_disconnect(only_frame(out), Version::kV5);
  EXPECT_EQ(back->reason, ReasonCode::kUseAnotherServer);
  EXPECT_EQ(back->server_reference, "b");
}

}  // namespace
}  // namespace sluice::mqtt
