#include <sluice/mqtt/decoder.h>

#include "testing_bytes.h"

#include <vector>

#include <gtest/gtest.h>

namespace sluice::mqtt {
namespace {

Frame frame_of(PacketType type, const Raw& body, std::uint8_t flags = 0) {
  return {.type = type, .flags = flags, .body = body.get(), .size = body.get().size() + 2};
}

TEST(Framing, WaitsForWholePackets) {
  const Raw raw = Raw().bytes({0xC0, 0x00, 0x30, 0x03, 0x00, 0x01, 'a'});
  const std::span<const std::byte> all = raw.get();
  EXPECT_FALSE(*next_frame(all.first(0), kAnySize));
  EXPECT_FALSE(*next_frame(all.first(1), kAnySize));
  const auto ping = next_frame(all, kAnySize);
  ASSERT_TRUE(ping && *ping);
  EXPECT_EQ((*ping)->type, PacketType::kPingreq);
  EXPECT_EQ((*ping)->size, 2U);
  for (std::size_t size = 0; size < 5; ++size) {
    EXPECT_FALSE(*next_frame(all.subspan(2, size), kAnySize)) << size;
  }
  EXPECT_EQ((*next_frame(all.subspan(2), kAnySize))->size, 5U);
}

TEST(Framing, RefusesATooLargePacketBeforeItsBytesCome) {
  const Raw raw = Raw().bytes({0x30, 0xFF, 0x7F});
  const auto refused = next_frame(raw.get(), 1024);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().reason, ReasonCode::kPacketTooLarge);
  EXPECT_FALSE(*next_frame(raw.get(), 16'386)) << "exactly at the limit is allowed";
  EXPECT_FALSE(next_frame(raw.get(), 16'385));
}

TEST(Framing, RefusesReservedTypesAndOverlongLengths) {
  EXPECT_FALSE(next_frame(Raw().bytes({0x00, 0x00}).get(), kAnySize));
  EXPECT_FALSE(next_frame(Raw().bytes({0x30, 0x80, 0x80, 0x80, 0x80, 0x01}).get(), kAnySize));
  EXPECT_FALSE(next_frame(Raw().bytes({0x30, 0x81, 0x00}).get(), kAnySize)) << "1 in two bytes";
}

TEST(DecodeConnect, ReadsTheExampleOfTheSpecification) {
  // [MQTT-3.1.2], figure 3.6: user name and password, will QoS 1, clean session, keep alive 10.
  const Raw raw = Raw()
                      .text("MQTT")
                      .bytes({4, 0xCE, 0, 10})
                      .text("id")
                      .text("will/topic")
                      .text("gone")
                      .text("user")
                      .text("pass");
  const auto connect = decode_connect(frame_of(PacketType::kConnect, raw));
  ASSERT_TRUE(connect) << connect.error().what;
  EXPECT_EQ(connect->version, Version::kV311);
  EXPECT_TRUE(connect->clean_start);
  EXPECT_EQ(connect->keep_alive_seconds, 10);
  EXPECT_EQ(connect->client_id, "id");
  ASSERT_TRUE(connect->will);
  EXPECT_EQ(connect->will->topic, "will/topic");
  EXPECT_EQ(text_of(connect->will->payload), "gone");
  EXPECT_EQ(connect->will->qos, Qos::kAtLeastOnce);
  EXPECT_FALSE(connect->will->retain);
  EXPECT_EQ(connect->user_name, "user");
  EXPECT_EQ(text_of(*connect->password), "pass");
}

TEST(DecodeConnect, GivesOldCleanSessionsTheExpiryOfTheirMeaning) {
  const auto expiry = [](unsigned flags) {
    const Raw raw = Raw().text("MQTT").bytes({4, flags, 0, 0}).text("id");
    return decode_connect(frame_of(PacketType::kConnect, raw))->session_expiry_seconds;
  };
  EXPECT_EQ(expiry(0x02), 0U);
  EXPECT_EQ(expiry(0x00), 0xFFFF'FFFFU);
}

struct Fault {
  std::string name;
  Raw body;
  ReasonCode reason = ReasonCode::kMalformedPacket;
};

TEST(DecodeConnect, RefusesEachFaultWithItsReason) {
  const auto v5 = [] { return Raw().text("MQTT").bytes({5, 0x02, 0, 0}); };
  const std::vector<Fault> faults{
      {"empty", Raw()},
      {"other protocol", Raw().text("HTTP").bytes({4, 2, 0, 0}).text("a"),
       ReasonCode::kUnsupportedProtocolVersion},
      {"level 6", Raw().text("MQTT").bytes({6, 2, 0, 0}).text("a"),
       ReasonCode::kUnsupportedProtocolVersion},
      {"MQIsdp at level 4", Raw().text("MQIsdp").bytes({4, 2, 0, 0}).text("a"),
       ReasonCode::kUnsupportedProtocolVersion},
      {"reserved flag", Raw().text("MQTT").bytes({4, 3, 0, 0}).text("a")},
      {"will QoS without will", Raw().text("MQTT").bytes({4, 0x0A, 0, 0}).text("a")},
      {"will QoS 3", Raw().text("MQTT").bytes({4, 0x1E, 0, 0}).text("a").text("t").text("p")},
      {"password alone in 3.1.1", Raw().text("MQTT").bytes({4, 0x42, 0, 0}).text("a").text("p")},
      {"will is cut off", Raw().text("MQTT").bytes({4, 0x06, 0, 0}).text("a").text("t")},
      {"client id is cut off", Raw().text("MQTT").bytes({4, 2, 0, 0, 0, 9, 'a'})},
      {"bytes at the end", Raw().text("MQTT").bytes({4, 2, 0, 0}).text("a").bytes({0})},
      {"zero in a text", Raw().text("MQTT").bytes({4, 2, 0, 0, 0, 3, 'a', 0, 'b'})},
      {"surrogate in a text", Raw().text("MQTT").bytes({4, 2, 0, 0, 0, 3, 0xED, 0xA0, 0x80})},
      {"overlong text", Raw().text("MQTT").bytes({4, 2, 0, 0, 0, 2, 0xC0, 0x80})},
      {"unknown property", v5().bytes({2, 0x7F, 0}).text("a")},
      {"property of another packet", v5().bytes({3, 0x23, 0, 1}).text("a")},
      {"property twice", v5().bytes({6, 0x21, 0, 1, 0x21, 0, 2}).text("a"),
       ReasonCode::kProtocolError},
      {"receive maximum 0", v5().bytes({3, 0x21, 0, 0}).text("a"), ReasonCode::kProtocolError},
      {"maximum packet size 0", v5().bytes({5, 0x27, 0, 0, 0, 0}).text("a"),
       ReasonCode::kProtocolError},
      {"problem information 2", v5().bytes({2, 0x17, 2}).text("a"), ReasonCode::kProtocolError},
      {"authentication data alone", v5().bytes({4, 0x16, 0, 1, 'x'}).text("a"),
       ReasonCode::kProtocolError},
      {"property is cut off", v5().bytes({2, 0x21, 0}).text("a")},
      {"properties longer than the packet", v5().bytes({0x7F}).text("a")},
  };
  for (const Fault& fault : faults) {
    const auto connect = decode_connect(frame_of(PacketType::kConnect, fault.body));
    ASSERT_FALSE(connect) << fault.name;
    EXPECT_EQ(connect.error().reason, fault.reason) << fault.name << ": " << connect.error().what;
    EXPECT_FALSE(connect.error().what.empty()) << fault.name;
  }
}

TEST(DecodePublish, RefusesEachFaultWithItsReason) {
  const auto refuses = [](std::uint8_t flags, const Raw& body, Version version, ReasonCode reason) {
    const auto publish = decode_publish(frame_of(PacketType::kPublish, body, flags), version);
    ASSERT_FALSE(publish);
    EXPECT_EQ(publish.error().reason, reason) << publish.error().what;
  };
  const auto kMalformed = ReasonCode::kMalformedPacket;
  refuses(0x06, Raw().text("a").bytes({0, 1}), Version::kV311, kMalformed);   // QoS 3
  refuses(0x08, Raw().text("a"), Version::kV311, kMalformed);                 // DUP at QoS 0
  refuses(0x02, Raw().text("a").bytes({0, 0}), Version::kV311, kMalformed);   // id 0
  refuses(0x02, Raw().text("a").bytes({1}), Version::kV311, kMalformed);      // cut off
  refuses(0x00, Raw().bytes({0, 5, 'a'}), Version::kV311, kMalformed);        // topic cut off
  refuses(0x00, Raw().text(""), Version::kV311, ReasonCode::kProtocolError);  // no topic
  refuses(0x00, Raw().text("").bytes({0}), Version::kV5, ReasonCode::kProtocolError);
  refuses(0x00, Raw().text("a").bytes({3, 0x23, 0, 0}), Version::kV5,
          ReasonCode::kTopicAliasInvalid);
  refuses(0x00, Raw().text("a").bytes({2, 0x01, 2}), Version::kV5, ReasonCode::kProtocolError);
  // Subscription identifiers may repeat, but none of them may be 0.
  for (const unsigned first : {0U, 1U}) {
    for (const unsigned last : {0U, 1U}) {
      if (first + last == 2) continue;
      refuses(0x00, Raw().text("a").bytes({6, 0x0B, first, 0x0B, 1, 0x0B, last}), Version::kV5,
              ReasonCode::kProtocolError);
    }
  }
}

TEST(DecodeConnect, LooksAtNoUnusedBitsOfTheOldestVersion) {
  const Raw body = Raw().text("MQIsdp").bytes({3, 0x03, 0, 10}).text("p");
  const auto connect = decode_connect(frame_of(PacketType::kConnect, body, 0x04));
  ASSERT_TRUE(connect);
  EXPECT_EQ(connect->client_id, "p");
  const Raw later = Raw().text("MQTT").bytes({4, 0x02, 0, 10}).text("p");
  EXPECT_FALSE(decode_connect(frame_of(PacketType::kConnect, later, 0x04)));
}

TEST(DecodeAck, TakesDupInAPubrelOfTheOldestVersionAlone) {
  const Raw body = Raw().bytes({0, 7});
  const auto frame = frame_of(PacketType::kPubrel, body, 0x0A);
  const auto old = decode_ack(frame, Version::kV31);
  ASSERT_TRUE(old);
  EXPECT_EQ(old->packet_id, 7);
  for (const Version version : {Version::kV311, Version::kV5}) {
    const auto ack = decode_ack(frame, version);
    ASSERT_FALSE(ack);
    EXPECT_EQ(ack.error().reason, ReasonCode::kMalformedPacket);
  }
}

TEST(DecodeSubscribe, RefusesEachFaultWithItsReason) {
  const auto refuses = [](const Raw& body, Version version, ReasonCode reason, unsigned flags = 2) {
    const auto frame = frame_of(PacketType::kSubscribe, body, static_cast<std::uint8_t>(flags));
    const auto subscribe = decode_subscribe(frame, version);
    ASSERT_FALSE(subscribe);
    EXPECT_EQ(subscribe.error().reason, reason) << subscribe.error().what;
  };
  const auto kMalformed = ReasonCode::kMalformedPacket;
  refuses(Raw().bytes({0, 1}), Version::kV311, ReasonCode::kProtocolError);          // no filter
  refuses(Raw().bytes({0, 1}).text("a"), Version::kV311, kMalformed);                // no options
  refuses(Raw().bytes({0, 1}).text("a").bytes({3}), Version::kV311, kMalformed);     // QoS 3
  refuses(Raw().bytes({0, 1}).text("").bytes({0}), Version::kV311, kMalformed);      // empty
  refuses(Raw().bytes({0, 1}).text("a").bytes({4}), Version::kV311, kMalformed);     // reserved
  refuses(Raw().bytes({0, 0}).text("a").bytes({0}), Version::kV311, kMalformed);     // id 0
  refuses(Raw().bytes({0, 1}).text("a").bytes({0}), Version::kV311, kMalformed, 0);  // flags
  refuses(Raw().bytes({0, 1, 0}).text("a").bytes({0x30}), Version::kV5, ReasonCode::kProtocolError);
  refuses(Raw().bytes({0, 1, 2, 0x0B, 0}).text("a").bytes({0}), Version::kV5,
          ReasonCode::kProtocolError);  // id 0
  refuses(Raw().bytes({0, 1, 4, 0x0B, 1, 0x0B, 2}).text("a").bytes({0}), Version::kV5,
          ReasonCode::kProtocolError);  // two ids
}

// Whatever comes, decoding ends, reads nothing outside of the packet (which the sanitizers see) and
// says so when something is missing.
TEST(Decoding, RefusesEveryPrefixOfAPacket) {
  UserPropertyList user;
  user.add("key", "value");
  Connect connect{.client_id = "device", .user_name = "u", .password = bytes_of("p")};
  connect.will = Will{.topic = "t", .payload = bytes_of("x")};
  connect.user = user.view();
  connect.receive_maximum = 10;
  Output out;
  encode(connect, out);
  const auto whole = next_frame(out, kAnySize);
  ASSERT_TRUE(whole && *whole);
  ASSERT_TRUE(decode_connect(**whole));
  for (std::size_t size = 0; size < (*whole)->body.size(); ++size) {
    // A copy of its own size, so that a read behind its end is seen.
    const std::vector<std::byte> cut((*whole)->body.begin(),
                                     (*whole)->body.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_FALSE(decode_connect({.type = PacketType::kConnect, .body = cut})) << size;
  }
}

}  // namespace
}  // namespace sluice::mqtt
