#include "adapters/stored_message.h"

#include "adapters/stored_record.h"

#include <algorithm>
#include <optional>
#include <span>
#include <utility>

namespace sluice::front {
namespace {

constexpr std::uint8_t kVersion = 1;
// Bits of a message's first byte beside the QoS.
constexpr std::uint8_t kRetain = 0x04;
constexpr std::uint8_t kHasPayloadFormat = 0x08;
constexpr std::uint8_t kHasCorrelation = 0x10;
constexpr std::uint8_t kHasExpiry = 0x20;
constexpr std::uint8_t kHasProperties = 0x40;  // content type, response topic, user properties
// Bits of a delivery's first byte beside QoS and retain.
constexpr std::uint8_t kHasMessage = 0x08;
constexpr std::uint8_t kIsShared = 0x10;
constexpr std::uint8_t kExpires = 0x20;
constexpr int kExpiryBytes = 8;  // for Lua's struct.unpack, at the end of a delivery

/// Of the message in wall time.
std::uint64_t expiry_ms(MonoTime expires_at, const Moment& now) {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(expires_at - now.mono);
  const auto at = (now.wall + left).time_since_epoch().count();
  return at < 0 ? 0 : static_cast<std::uint64_t>(at);
}

void write_message(RecordWriter& out, const mqtt::Message& message, const Moment& now) {
  const bool has_properties = !message.content_type.empty() || !message.response_topic.empty() ||
                              message.user_property_count != 0;
  auto flags = static_cast<std::uint8_t>(message.qos);
  if (message.retain) flags |= kRetain;
  if (message.payload_format) flags |= kHasPayloadFormat;
  if (message.correlation_data) flags |= kHasCorrelation;
  if (message.expires_at) flags |= kHasExpiry;
  if (has_properties) flags |= kHasProperties;
  out.byte(flags);
  out.text(message.topic);
  out.text(message.payload);
  if (message.payload_format) out.byte(*message.payload_format);
  if (message.correlation_data) out.text(*message.correlation_data);
  if (message.expires_at) out.varint(expiry_ms(*message.expires_at, now));
  if (!has_properties) return;
  out.text(message.content_type);
  out.text(message.response_topic);
  out.varint(message.user_property_count);
  out.text({reinterpret_cast<const char*>(message.user_properties.data()),  // bytes as bytes
            message.user_properties.size()});
}

std::optional<mqtt::Message> read_message(RecordReader& in, const Moment& now) {
  mqtt::Message message;
  const std::uint8_t flags = in.byte();
  const auto qos = to_qos(flags & kStoredQosMask);
  if (!qos) return std::nullopt;
  message.qos = *qos;
  message.retain = (flags & kRetain) != 0;
  message.topic = in.text();
  message.payload = in.text();
  if (flags & kHasPayloadFormat) message.payload_format = in.byte();
  if (flags & kHasCorrelation) message.correlation_data = in.text();
  if (flags & kHasExpiry) {
    // Saturated: what a damaged record says must not overflow the clock's nanoseconds.
    constexpr std::int64_t kFarMs = std::int64_t{100} * 365 * 24 * 3600 * 1000;
    constexpr std::uint64_t kFarthestMs = std::uint64_t{1} << 48;
    const auto at = static_cast<std::int64_t>(std::min(in.varint(), kFarthestMs));
    const std::int64_t left = at - now.wall.time_since_epoch().count();
    message.expires_at = now.mono + std::chrono::milliseconds(std::clamp(left, -kFarMs, kFarMs));
  }
  if (flags & kHasProperties) {
    message.content_type = in.text();
    message.response_topic = in.text();
    const std::uint64_t count = in.varint();
    const std::string_view properties = in.text();
    if (count > properties.size()) return std::nullopt;
    message.user_property_count = static_cast<std::uint32_t>(count);
    const auto bytes = std::as_bytes(std::span(properties));
    message.user_properties.assign(bytes.begin(), bytes.end());
  }
  if (!in.is_good()) return std::nullopt;
  return message;
}

std::optional<mqtt::Delivery::State> to_state(std::uint8_t value) {
  if (value > static_cast<std::uint8_t>(mqtt::Delivery::State::kReleased)) return std::nullopt;
  return static_cast<mqtt::Delivery::State>(value);
}

std::size_t size_hint(const mqtt::Message& message) {
  return message.topic.size() + message.payload.size() + message.content_type.size() +
         message.response_topic.size() + message.user_properties.size() + 48;
}

}  // namespace

std::string encode_message(const mqtt::Message& message, const Moment& now) {
  RecordWriter out;
  out.reserve(size_hint(message));
  out.byte(kVersion);
  write_message(out, message, now);
  return out.take();
}

Result<mqtt::Message> decode_message(std::string_view record, const Moment& now) {
  RecordReader in(record);
  if (in.byte() != kVersion) return fail(damaged_record("message"));
  auto message = read_message(in, now);
  if (!message) return fail(damaged_record("message"));
  return *std::move(message);
}

std::string encode_will(const StoredWill& will, const Moment& now) {
  RecordWriter out;
  out.reserve(size_hint(will.message));
  out.byte(kVersion);
  write_message(out, will.message, now);
  // Behind all that earlier versions read: first the origin, then the lifetime. Empty texts of an
  // origin mean nothing to those that know of no lifetime.
  if (!will.origin && !will.lifetime) return out.take();
  const WillOrigin origin = will.origin.value_or(WillOrigin());
  for (const std::string* text :
       {&origin.external_id, &origin.fleet, &origin.device_class, &origin.schema_id}) {
    out.text(*text);
  }
  if (will.lifetime) {
    out.varint(static_cast<std::uint64_t>(will.lifetime->count()) << 1 | (will.origin ? 1U : 0U));
  }
  return out.take();
}

Result<StoredWill> decode_will(std::string_view record, const Moment& now) {
  RecordReader in(record);
  if (in.byte() != kVersion) return fail(damaged_record("will"));
  auto message = read_message(in, now);
  if (!message) return fail(damaged_record("will"));
  StoredWill will{.message = *std::move(message)};
  if (in.left() == 0) return will;
  WillOrigin& origin = will.origin.emplace();
  for (std::string* text :
       {&origin.external_id, &origin.fleet, &origin.device_class, &origin.schema_id}) {
    *text = in.text();
  }
  if (in.left() > 0) {
    const std::uint64_t lifetime = in.varint();
    // What an MQTT 5 client can say; a damaged record must not overflow the clock.
    constexpr std::uint64_t kLongest = 0xFFFF'FFFF;
    will.lifetime.emplace(static_cast<std::int64_t>(std::min(lifetime >> 1, kLongest)));
    if ((lifetime & 1) == 0) will.origin.reset();
  }
  if (!in.is_good()) return fail(damaged_record("will"));
  return will;
}

std::string encode_delivery(const mqtt::Delivery& delivery, const Moment& now) {
  RecordWriter out;
  if (delivery.message) out.reserve(size_hint(*delivery.message));
  out.byte(kVersion);
  auto flags = static_cast<std::uint8_t>(delivery.qos);
  if (delivery.retain) flags |= kRetain;
  if (delivery.message) flags |= kHasMessage;
  if (delivery.share) flags |= kIsShared;
  const bool expires = delivery.message && delivery.message->expires_at;
  if (expires) flags |= kExpires;
  out.byte(flags);
  out.byte(static_cast<std::uint8_t>(delivery.state));
  out.varint(delivery.packet_id);
  out.varint(delivery.subscription_ids.size());
  for (const std::uint32_t id : delivery.subscription_ids) out.varint(id);
  if (delivery.message) write_message(out, *delivery.message, now);
  if (delivery.share) {
    out.text(*delivery.share);
    out.byte(delivery.given_on);
  }
  if (expires) {
    const std::uint64_t at = expiry_ms(*delivery.message->expires_at, now);
    for (int i = 0; i < kExpiryBytes; ++i) out.byte(static_cast<std::uint8_t>(at >> (8 * i)));
  }
  return out.take();
}

Result<mqtt::Delivery> decode_delivery(std::string_view record, std::uint64_t sequence,
                                       const Moment& now) {
  RecordReader in(record);
  if (in.byte() != kVersion) return fail(damaged_record("delivery"));
  mqtt::Delivery delivery;
  delivery.sequence = sequence;
  const std::uint8_t flags = in.byte();
  const auto qos = to_qos(flags & kStoredQosMask);
  const auto state = to_state(in.byte());
  if (!qos || !state) return fail(damaged_record("delivery"));
  delivery.qos = *qos;
  delivery.state = *state;
  delivery.retain = (flags & kRetain) != 0;
  delivery.packet_id = static_cast<std::uint16_t>(in.varint());
  const std::uint64_t ids = in.varint();
  if (ids > in.left()) return fail(damaged_record("delivery"));
  for (std::uint64_t i = 0; i < ids; ++i) {
    delivery.subscription_ids.push_back(static_cast<std::uint32_t>(in.varint()));
  }
  if (flags & kHasMessage) {
    auto message = read_message(in, now);
    if (!message) return fail(damaged_record("delivery"));
    delivery.message = std::make_shared<const mqtt::Message>(*std::move(message));
  }
  if (flags & kIsShared) {
    delivery.share = std::make_shared<const std::string>(in.text());
    delivery.given_on = in.byte();
  }
  // The message has it too.
  for (int i = 0; (flags & kExpires) != 0 && i < kExpiryBytes; ++i) in.byte();
  if (!in.is_good()) return fail(damaged_record("delivery"));
  return delivery;
}

std::string encode_progress(const mqtt::Delivery& delivery) {
  RecordWriter out;
  // The QoS belongs to it since the message's record is gone once the delivery is released.
  out.byte(static_cast<std::uint8_t>(static_cast<unsigned>(delivery.state) |
                                     static_cast<unsigned>(delivery.qos) << 4));
  out.varint(delivery.packet_id);
  return out.take();
}

Result<> apply_progress(std::string_view record, mqtt::Delivery& delivery) {
  RecordReader in(record);
  const std::uint8_t first = in.byte();
  const auto state = to_state(first & 0x0F);
  const auto qos = to_qos(first >> 4);
  const std::uint64_t packet_id = in.varint();
  if (!state || !qos || !in.is_good() || packet_id > mqtt::kMaxPacketId) {
    return fail(damaged_record("delivery"));
  }
  delivery.state = *state;
  delivery.qos = *qos;
  delivery.packet_id = static_cast<std::uint16_t>(packet_id);
  return {};
}

}  // namespace sluice::front
