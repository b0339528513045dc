#include "adapters/stored_message.h"

#include <sluice/testing/sim_clock.h>

#include <gtest/gtest.h>

namespace sluice::front {
namespace {

using namespace std::chrono_literals;

mqtt::Message full_message(const Clock& clock) {
  mqtt::Message message;
  message.topic = "blue/d1/up";
  message.payload = std::string("\0payload\xFF", 9);
  message.qos = mqtt::Qos::kExactlyOnce;
  message.retain = true;
  message.payload_format = 1;
  message.content_type = "application/json";
  message.response_topic = "answer";
  message.correlation_data = std::string("\0\1", 2);
  message.user_properties = {std::byte{38}, std::byte{0}, std::byte{0}, std::byte{0}, std::byte{0}};
  message.user_property_count = 1;
  message.expires_at = clock.mono() + 90s;
  return message;
}

mqtt::Delivery full_delivery(const Clock& clock) {
  mqtt::Delivery delivery;
  delivery.sequence = 7;
  delivery.message = std::make_shared<const mqtt::Message>(full_message(clock));
  delivery.qos = mqtt::Qos::kAtLeastOnce;
  delivery.retain = true;
  delivery.subscription_ids = {1, 268'435'455};
  delivery.packet_id = 65'535;
  delivery.state = mqtt::Delivery::State::kSent;
  return delivery;
}

void expect_same(const mqtt::Message& a, const mqtt::Message& b) {
  EXPECT_EQ(a.topic, b.topic);
  EXPECT_EQ(a.payload, b.payload);
  EXPECT_EQ(a.qos, b.qos);
  EXPECT_EQ(a.retain, b.retain);
  EXPECT_EQ(a.payload_format, b.payload_format);
  EXPECT_EQ(a.content_type, b.content_type);
  EXPECT_EQ(a.response_topic, b.response_topic);
  EXPECT_EQ(a.correlation_data, b.correlation_data);
  EXPECT_EQ(a.user_properties, b.user_properties);
  EXPECT_EQ(a.user_property_count, b.user_property_count);
}

TEST(StoredMessage, KeepsEveryField) {
  testing::SimClock clock;
  const mqtt::Delivery delivery = full_delivery(clock);
  const auto read =
      decode_delivery(encode_delivery(delivery, Moment::of(clock)), 7, Moment::of(clock));
  ASSERT_TRUE(read) << read.error().message();
  EXPECT_EQ(read->sequence, 7U);
  EXPECT_EQ(read->qos, delivery.qos);
  EXPECT_EQ(read->retain, delivery.retain);
  EXPECT_EQ(read->subscription_ids, delivery.subscription_ids);
  EXPECT_EQ(read->packet_id, delivery.packet_id);
  EXPECT_EQ(read->state, delivery.state);
  expect_same(*read->message, *delivery.message);
  EXPECT_EQ(read->message->expires_at, delivery.message->expires_at);
}

TEST(StoredMessage, ExpiresAtTheSameWallTimeInAnotherProcess) {
  testing::SimClock writer;
  testing::SimClock reader;  // its monotonic clock counts from elsewhere
  reader.advance(1h);
  reader.jump_wall_to(writer.wall() + 30s);
  const std::string record = encode_message(full_message(writer), Moment::of(writer));
  const auto read = decode_message(record, Moment::of(reader));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->expires_at, reader.mono() + 60s);
}

TEST(StoredMessage, RefusesEveryCutAndSurvivesEveryFlippedByte) {
  testing::SimClock clock;
  const Moment now = Moment::of(clock);
  const std::string record = encode_delivery(full_delivery(clock), now);
  for (std::size_t size = 0; size < record.size(); ++size) {
    EXPECT_FALSE(decode_delivery(std::string_view(record).substr(0, size), 1, now)) << size;
  }
  for (std::size_t i = 0; i < record.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string damaged = record;
      damaged[i] = static_cast<char>(damaged[i] ^ 1 << bit);
      const auto read = decode_delivery(damaged, 1, now);
      if (!read) {
        EXPECT_EQ(read.error().code(), ErrorCode::kDataLoss);
      }
    }
  }
}

TEST(StoredMessage, LaysProgressOverADelivery) {
  testing::SimClock clock;
  mqtt::Delivery changed = full_delivery(clock);
  changed.state = mqtt::Delivery::State::kReleased;
  changed.qos = mqtt::Qos::kExactlyOnce;
  changed.packet_id = 12;
  mqtt::Delivery delivery;
  ASSERT_TRUE(apply_progress(encode_progress(changed), delivery));
  EXPECT_EQ(delivery.state, mqtt::Delivery::State::kReleased);
  EXPECT_EQ(delivery.qos, mqtt::Qos::kExactlyOnce);
  EXPECT_EQ(delivery.packet_id, 12U);
  EXPECT_FALSE(apply_progress("", delivery));
  EXPECT_FALSE(apply_progress("\xFF\x01", delivery));
}

TEST(StoredMessage, KeepsHowLongAWillIsToLive) {
  testing::SimClock clock;
  const Moment now = Moment::of(clock);
  for (const bool has_origin : {false, true}) {
    StoredWill will{.message = full_message(clock), .lifetime = std::chrono::seconds(60)};
    if (has_origin) will.origin = WillOrigin{.external_id = "press", .schema_id = "v1"};
    const auto read = decode_will(encode_will(will, now), now);
    ASSERT_TRUE(read);
    EXPECT_EQ(read->lifetime, will.lifetime);
    EXPECT_EQ(read->origin, will.origin);
    will.lifetime.reset();
    EXPECT_FALSE(decode_will(encode_will(will, now), now)->lifetime);
  }
}

TEST(StoredMessage, KeepsTheShareThatADeliveryCameBy) {
  testing::SimClock clock;
  const Moment now = Moment::of(clock);
  mqtt::Delivery delivery = full_delivery(clock);
  const std::string without = encode_delivery(delivery, now);
  EXPECT_EQ(without[1] & 16, 0);
  delivery.share = std::make_shared<const std::string>("$share/g/a/#");
  delivery.given_on = 7;
  const std::string record = encode_delivery(delivery, now);
  EXPECT_EQ(record[1] & 16, 16) << "scripts look for it there";
  EXPECT_EQ(record[1] & 3, 1);
  const auto read = decode_delivery(record, 7, now);
  ASSERT_TRUE(read && read->share);
  EXPECT_EQ(*read->share, *delivery.share);
  EXPECT_EQ(read->given_on, 7);
  EXPECT_FALSE(decode_delivery(without, 7, now)->share);
  EXPECT_FALSE(decode_delivery(std::string_view(record).substr(0, record.size() - 3), 7, now));
}

TEST(StoredMessage, KeepsTheOriginOfAWill) {
  testing::SimClock clock;
  const Moment now = Moment::of(clock);
  StoredWill will{.message = full_message(clock)};
  EXPECT_FALSE(decode_will(encode_will(will, now), now)->origin);
  EXPECT_FALSE(decode_will(encode_message(will.message, now), now)->origin)
      << "as earlier versions wrote it";
  will.origin = WillOrigin{.fleet = "north", .device_class = "meter", .schema_id = "v1"};
  const auto read = decode_will(encode_will(will, now), now);
  ASSERT_TRUE(read);
  expect_same(read->message, will.message);
  EXPECT_EQ(read->origin, will.origin);
  const std::string record = encode_will(will, now);
  EXPECT_FALSE(decode_will(std::string_view(record).substr(0, record.size() - 1), now));
}

}  // namespace
}  // namespace sluice::front
