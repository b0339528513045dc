#include "adapters/stored_message.h"

#include <algorithm>
#include <format>
#include <optional>
#include <span>
#include <utility>

namespace sluice::front {
namespace {

constexpr std::uint8_t kVersion = 1;
// Bits of a message's first byte; the lowest two are the QoS.
constexpr std::uint8_t kQosMask = 0x03;
constexpr std::uint8_t kRetain = 0x04;
constexpr std::uint8_t kHasPayloadFormat = 0x08;
constexpr std::uint8_t kHasCorrelation = 0x10;
constexpr std::uint8_t kHasExpiry = 0x20;
constexpr std::uint8_t kHasProperties = 0x40;  // content type, response topic, user properties
// Bits of a delivery's first byte beside QoS and retain.
constexpr std::uint8_t kHasMessage = 0x08;
constexpr std::uint8_t kIsShared = 0x10;
// Bits of a subscription's options beside the QoS.
constexpr std::uint8_t kNoLocal = 0x04;
constexpr std::uint8_t kRetainAsPublished = 0x08;
constexpr std::uint8_t kWide = 0x10;
constexpr std::size_t kOptionsSize = 5;

class Writer {
 public:
  void byte(std::uint8_t value) { out_.push_back(static_cast<char>(value)); }
  void varint(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) byte(static_cast<std::uint8_t>(value | 0x80));
    byte(static_cast<std::uint8_t>(value));
  }
  void text(std::string_view value) {
    varint(value.size());
    out_.append(value);
  }
  std::string take() { return std::move(out_); }
  void reserve(std::size_t size) { out_.reserve(size); }

 private:
  std::string out_;
};

/// Reads zeros and empty texts past the end, and remembers that it did.
class Reader {
 public:
  explicit Reader(std::string_view record) : rest_(record) {}

  std::uint8_t byte() {
    if (rest_.empty()) return spoil(), std::uint8_t{0};
    const auto value = static_cast<std::uint8_t>(rest_.front());
    rest_.remove_prefix(1);
    return value;
  }
  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const std::uint8_t next = byte();
      value |= std::uint64_t{next & 0x7FU} << shift;
      if ((next & 0x80) == 0) return value;
    }
    spoil();
    return 0;
  }
  std::string_view text() {
    const std::uint64_t size = varint();
    if (size > rest_.size()) return spoil(), std::string_view();
    const std::string_view value = rest_.substr(0, static_cast<std::size_t>(size));
    rest_.remove_prefix(value.size());
    return value;
  }
  std::size_t left() const { return rest_.size(); }
  bool is_good() const { return is_good_; }

 private:
  void spoil() {
    is_good_ = false;
    rest_ = {};
  }

  std::string_view rest_;
  bool is_good_ = true;
};

Error damaged(std::string_view what) {
  return Error(ErrorCode::kDataLoss, std::format("a stored {} cannot be read", what))
      .with_reason("stored_record");
}

std::optional<mqtt::Qos> to_qos(std::uint8_t bits) {
  if (bits > 2) return std::nullopt;
  return static_cast<mqtt::Qos>(bits);
}

void write_message(Writer& out, const mqtt::Message& message, const Moment& now) {
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
  if (message.expires_at) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(*message.expires_at - now.mono);
    const auto at = (now.wall + left).time_since_epoch().count();
    out.varint(at < 0 ? 0 : static_cast<std::uint64_t>(at));
  }
  if (!has_properties) return;
  out.text(message.content_type);
  out.text(message.response_topic);
  out.varint(message.user_property_count);
  out.text({reinterpret_cast<const char*>(message.user_properties.data()),  // bytes as bytes
            message.user_properties.size()});
}

std::optional<mqtt::Message> read_message(Reader& in, const Moment& now) {
  mqtt::Message message;
  const std::uint8_t flags = in.byte();
  const auto qos = to_qos(flags & kQosMask);
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
  Writer out;
  out.reserve(size_hint(message));
  out.byte(kVersion);
  write_message(out, message, now);
  return out.take();
}

Result<mqtt::Message> decode_message(std::string_view record, const Moment& now) {
  Reader in(record);
  if (in.byte() != kVersion) return fail(damaged("message"));
  auto message = read_message(in, now);
  if (!message) return fail(damaged("message"));
  return *std::move(message);
}

std::string encode_will(const StoredWill& will, const Moment& now) {
  Writer out;
  out.reserve(size_hint(will.message));
  out.byte(kVersion);
  write_message(out, will.message, now);
  // Behind all that earlier versions read.
  if (will.origin) {
    for (const std::string* text : {&will.origin->external_id, &will.origin->fleet,
                                    &will.origin->device_class, &will.origin->schema_id}) {
      out.text(*text);
    }
  }
  return out.take();
}

Result<StoredWill> decode_will(std::string_view record, const Moment& now) {
  Reader in(record);
  if (in.byte() != kVersion) return fail(damaged("will"));
  auto message = read_message(in, now);
  if (!message) return fail(damaged("will"));
  StoredWill will{.message = *std::move(message)};
  if (in.left() == 0) return will;
  WillOrigin& origin = will.origin.emplace();
  for (std::string* text :
       {&origin.external_id, &origin.fleet, &origin.device_class, &origin.schema_id}) {
    *text = in.text();
  }
  if (!in.is_good()) return fail(damaged("will"));
  return will;
}

std::string encode_delivery(const mqtt::Delivery& delivery, const Moment& now) {
  Writer out;
  if (delivery.message) out.reserve(size_hint(*delivery.message));
  out.byte(kVersion);
  auto flags = static_cast<std::uint8_t>(delivery.qos);
  if (delivery.retain) flags |= kRetain;
  if (delivery.message) flags |= kHasMessage;
  if (delivery.share) flags |= kIsShared;
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
  return out.take();
}

Result<mqtt::Delivery> decode_delivery(std::string_view record, std::uint64_t sequence,
                                       const Moment& now) {
  Reader in(record);
  if (in.byte() != kVersion) return fail(damaged("delivery"));
  mqtt::Delivery delivery;
  delivery.sequence = sequence;
  const std::uint8_t flags = in.byte();
  const auto qos = to_qos(flags & kQosMask);
  const auto state = to_state(in.byte());
  if (!qos || !state) return fail(damaged("delivery"));
  delivery.qos = *qos;
  delivery.state = *state;
  delivery.retain = (flags & kRetain) != 0;
  delivery.packet_id = static_cast<std::uint16_t>(in.varint());
  const std::uint64_t ids = in.varint();
  if (ids > in.left()) return fail(damaged("delivery"));
  for (std::uint64_t i = 0; i < ids; ++i) {
    delivery.subscription_ids.push_back(static_cast<std::uint32_t>(in.varint()));
  }
  if (flags & kHasMessage) {
    auto message = read_message(in, now);
    if (!message) return fail(damaged("delivery"));
    delivery.message = std::make_shared<const mqtt::Message>(*std::move(message));
  }
  if (flags & kIsShared) {
    delivery.share = std::make_shared<const std::string>(in.text());
    delivery.given_on = in.byte();
  }
  if (!in.is_good()) return fail(damaged("delivery"));
  return delivery;
}

std::string encode_progress(const mqtt::Delivery& delivery) {
  Writer out;
  // The QoS belongs to it since the message's record is gone once the delivery is released.
  out.byte(static_cast<std::uint8_t>(static_cast<unsigned>(delivery.state) |
                                     static_cast<unsigned>(delivery.qos) << 4));
  out.varint(delivery.packet_id);
  return out.take();
}

Result<> apply_progress(std::string_view record, mqtt::Delivery& delivery) {
  Reader in(record);
  const std::uint8_t first = in.byte();
  const auto state = to_state(first & 0x0F);
  const auto qos = to_qos(first >> 4);
  const std::uint64_t packet_id = in.varint();
  if (!state || !qos || !in.is_good() || packet_id > mqtt::kMaxPacketId) {
    return fail(damaged("delivery"));
  }
  delivery.state = *state;
  delivery.qos = *qos;
  delivery.packet_id = static_cast<std::uint16_t>(packet_id);
  return {};
}

std::string subscription_name(std::string_view group, std::string_view filter) {
  std::string name(group);
  name.push_back('\0');  // in no topic and no group, [MQTT-1.5.4-2]
  name.append(filter);
  return name;
}

std::string encode_subscription_options(const StoredSubscription& subscription) {
  auto flags = static_cast<std::uint8_t>(subscription.qos);
  if (subscription.no_local) flags |= kNoLocal;
  if (subscription.retain_as_published) flags |= kRetainAsPublished;
  if (subscription.is_wide) flags |= kWide;
  std::string out(1, static_cast<char>(flags));
  for (unsigned shift = 0; shift < 32; shift += 8) {
    out.push_back(static_cast<char>(subscription.subscription_id >> shift & 0xFF));
  }
  return out;
}

std::string encode_subscription(const StoredSubscription& subscription) {
  const std::string name = subscription_name(subscription.group, subscription.filter);
  std::string out;
  out.reserve(2 + name.size() + kOptionsSize);
  out.push_back(static_cast<char>(name.size() & 0xFF));
  out.push_back(static_cast<char>(name.size() >> 8 & 0xFF));
  out += name;
  out += encode_subscription_options(subscription);
  return out;
}

std::size_t subscription_record_size(std::size_t name_size) { return 2 + name_size + kOptionsSize; }

Result<std::vector<StoredSubscription>> decode_subscriptions(std::string_view list) {
  std::vector<StoredSubscription> subscriptions;
  Reader in(list);
  while (in.left() > 0) {
    const unsigned low = in.byte();
    const std::size_t name_size = low | static_cast<unsigned>(in.byte()) << 8;
    if (!in.is_good() || in.left() < name_size + kOptionsSize) return fail(damaged("subscription"));
    std::string name;
    name.reserve(name_size);
    for (std::size_t i = 0; i < name_size; ++i) name.push_back(static_cast<char>(in.byte()));
    const std::size_t end_of_group = name.find('\0');
    const std::uint8_t flags = in.byte();
    const auto qos = to_qos(flags & kQosMask);
    if (end_of_group == std::string::npos || !qos) return fail(damaged("subscription"));
    StoredSubscription& subscription = subscriptions.emplace_back();
    subscription.group = name.substr(0, end_of_group);
    subscription.filter = name.substr(end_of_group + 1);
    subscription.qos = *qos;
    subscription.no_local = (flags & kNoLocal) != 0;
    subscription.retain_as_published = (flags & kRetainAsPublished) != 0;
    subscription.is_wide = (flags & kWide) != 0;
    for (unsigned shift = 0; shift < 32; shift += 8) {
      subscription.subscription_id |= std::uint32_t{in.byte()} << shift;
    }
  }
  return subscriptions;
}

}  // namespace sluice::front
