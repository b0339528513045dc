#include "adapters/wire_message.h"

#include <algorithm>
#include <format>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <sluice/base/utf8.h>
#include <sluice/mqtt/topic.h>
#include <sluice/mqtt/v1/mqtt_front.pb.h>

namespace sluice::front {
namespace {

// Texts and binary data of MQTT have two bytes for their size.
constexpr std::size_t kMaxField = 65'535;
// Identifier of a user property, and the sizes of its two texts, [MQTT5-2.2.2.2].
constexpr char kUserProperty = 0x26;
// Subscription identifiers end there, [MQTT5-3.8.2.1.2].
constexpr std::uint32_t kMaxSubscriptionId = 268'435'455;
// Ends of the epoch that a clock of nanoseconds can reach from anywhere.
constexpr std::int64_t kFarMs = std::int64_t{100} * 365 * 24 * 3600 * 1000;
// A tenant, a '/' and a device; client ids of the conformance profile never leave their process.
constexpr std::size_t kMaxSession = 256;
// What Delivery::given_on can say.
constexpr std::uint32_t kMaxGivenOn = 255;

/// Collects the faults of one message.
class Faults {
 public:
  explicit Faults(std::string_view where) : where_(where) {}

  void expect(bool holds, std::string_view field, std::string_view otherwise) {
    if (holds) return;
    faults_.push_back(
        {.field = std::format("{}.{}", where_, field), .message = std::string(otherwise)});
  }
  std::optional<Error> take() {
    if (faults_.empty()) return std::nullopt;
    return Error(ErrorCode::kInvalidArgument, "the message cannot be delivered")
        .with_faults(std::move(faults_));
  }

 private:
  std::string_view where_;
  std::vector<FieldFault> faults_;
};

/// A text that every client takes, [MQTT-1.5.4-1] and [MQTT-1.5.4-2].
bool is_text(std::string_view text) {
  return text.size() <= kMaxField && !text.contains('\0') && is_valid_utf8(text);
}

bool is_topic(std::string_view topic) { return mqtt::is_valid_topic(topic) && is_text(topic); }

bool is_share(std::string_view text) {
  return mqtt::is_shared(text) && mqtt::parse_shared(text).has_value() && is_text(text);
}

void append_text(std::string_view text, std::string& out) {
  out.push_back(static_cast<char>(text.size() >> 8));
  out.push_back(static_cast<char>(text.size() & 0xFF));
  out.append(text);
}

void read_user_properties(const mqtt::v1::Message& wire, const WireBounds& bounds, Faults& faults,
                          mqtt::Message& message) {
  const auto& properties = wire.user_properties();
  const bool is_few = static_cast<std::size_t>(properties.size()) <= bounds.max_user_properties;
  faults.expect(is_few, "user_properties", "are too many");
  if (!is_few) return;
  std::string encoded;
  for (const auto& property : properties) {
    if (!is_text(property.name()) || !is_text(property.value())) {
      return faults.expect(false, "user_properties", "hold what is no MQTT text");
    }
    encoded.push_back(kUserProperty);
    append_text(property.name(), encoded);
    append_text(property.value(), encoded);
  }
  const auto bytes = std::as_bytes(std::span(encoded));
  message.user_properties.assign(bytes.begin(), bytes.end());
  message.user_property_count = static_cast<std::uint32_t>(properties.size());
}

std::optional<MonoTime> expiry_of(std::int64_t at_ms, const Moment& now) {
  if (at_ms == 0) return std::nullopt;
  const std::int64_t left =
      std::min(at_ms, std::int64_t{1} << 48) - now.wall.time_since_epoch().count();
  return now.mono + std::chrono::milliseconds(std::clamp(left, -kFarMs, kFarMs));
}

}  // namespace

bool is_session_key(std::string_view text) {
  return !text.empty() && text.size() <= kMaxSession && is_text(text);
}

Result<mqtt::Message> from_wire(const mqtt::v1::Message& wire, const WireBounds& bounds,
                                const Moment& now, std::string_view where) {
  Faults faults(where);
  mqtt::Message message;
  faults.expect(is_topic(wire.topic()), "topic", "is no topic that can be published to");
  faults.expect(wire.payload().size() <= bounds.max_payload, "payload",
                std::format("is larger than {} bytes", bounds.max_payload));
  faults.expect(wire.qos() <= 2, "qos", "must be 0, 1 or 2");
  faults.expect(wire.expires_at_ms() >= 0, "expires_at_ms", "must not be negative");
  faults.expect(is_text(wire.content_type()), "content_type", "is no MQTT text");
  faults.expect(wire.response_topic().empty() || is_topic(wire.response_topic()), "response_topic",
                "is no topic that can be published to");
  faults.expect(wire.correlation_data().size() <= kMaxField, "correlation_data",
                "is larger than 65535 bytes");
  faults.expect(wire.payload_format() <= 1, "payload_format", "must be 0 or 1");
  read_user_properties(wire, bounds, faults, message);
  if (auto error = faults.take()) return fail(*std::move(error));

  message.topic = wire.topic();
  message.payload = wire.payload();
  message.qos = static_cast<mqtt::Qos>(wire.qos());
  message.retain = wire.retain();
  message.expires_at = expiry_of(wire.expires_at_ms(), now);
  message.content_type = wire.content_type();
  message.response_topic = wire.response_topic();
  if (!wire.correlation_data().empty()) message.correlation_data = wire.correlation_data();
  if (wire.has_payload_format()) {
    message.payload_format = static_cast<std::uint8_t>(wire.payload_format());
  }
  return message;
}

Result<Addressed> from_wire(const mqtt::v1::Delivery& wire, const Moment& now,
                            std::string_view where) {
  Faults faults(where);
  faults.expect(is_session_key(wire.session()), "session", "names no session");
  faults.expect(
      std::ranges::all_of(wire.subscription_ids(),
                          [](std::uint32_t id) { return id > 0 && id <= kMaxSubscriptionId; }),
      "subscription_ids", "hold what is no subscription identifier");
  faults.expect(wire.share().empty() || is_share(wire.share()), "share",
                "is no shared subscription");
  faults.expect(wire.given_on() <= kMaxGivenOn, "given_on", "is more often than any is given on");
  if (auto error = faults.take()) return fail(*std::move(error));
  SLUICE_TRY_ASSIGN(auto message,
                    from_wire(wire.message(), {}, now, std::format("{}.message", where)));

  Addressed addressed{.key = SessionKey(wire.session())};
  addressed.parcel.by_own_filters = wire.by_own_filters();
  mqtt::Delivery& delivery = addressed.parcel.delivery;
  delivery.qos = message.qos;
  delivery.retain = message.retain;
  delivery.subscription_ids.assign(wire.subscription_ids().begin(), wire.subscription_ids().end());
  delivery.message = std::make_shared<const mqtt::Message>(std::move(message));
  if (!wire.share().empty()) delivery.share = std::make_shared<const std::string>(wire.share());
  delivery.given_on = static_cast<std::uint8_t>(wire.given_on());
  return addressed;
}

void to_wire(const SessionKey& key, const Parcel& parcel, const Moment& now,
             mqtt::v1::Delivery& wire) {
  const mqtt::Delivery& delivery = parcel.delivery;
  const mqtt::Message& message = *delivery.message;
  wire.set_session(key.value());
  wire.set_by_own_filters(parcel.by_own_filters);
  wire.mutable_subscription_ids()->Add(delivery.subscription_ids.begin(),
                                       delivery.subscription_ids.end());
  if (delivery.share) wire.set_share(*delivery.share);
  wire.set_given_on(delivery.given_on);
  mqtt::v1::Message& out = *wire.mutable_message();
  out.set_topic(message.topic);
  out.set_payload(message.payload);
  // Where the session's own subscriptions decide, they need to know what was published.
  out.set_qos(static_cast<std::uint32_t>(parcel.by_own_filters ? message.qos : delivery.qos));
  out.set_retain(parcel.by_own_filters ? message.retain : delivery.retain);
  if (message.expires_at) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(*message.expires_at - now.mono);
    // 0 means never, so what expired at the epoch did so a millisecond later.
    out.set_expires_at_ms(std::max<std::int64_t>(1, (now.wall + left).time_since_epoch().count()));
  }
  out.set_content_type(message.content_type);
  out.set_response_topic(message.response_topic);
  if (message.correlation_data) out.set_correlation_data(*message.correlation_data);
  if (message.payload_format) out.set_payload_format(*message.payload_format);
  mqtt::UserProperties(message.user_properties, message.user_property_count)
      .for_each([&](std::string_view name, std::string_view value) {
        auto& property = *out.add_user_properties();
        property.set_name(std::string(name));
        property.set_value(std::string(value));
      });
}

}  // namespace sluice::front
