#include <sluice/mqtt/encoder.h>

#include "wire.h"

#include <sluice/base/check.h>

namespace sluice::mqtt {

namespace {

using wire::Property;
using wire::varint_size;
using wire::Writer;

/// Either counts bytes or writes them: each packet's layout is written down once and run twice,
/// first for the size, so that the output grows once and lengths come out before what they measure.
class Sink {
 public:
  Sink() = default;
  explicit Sink(Writer* writer) : writer_(writer) {}

  std::size_t size() const { return size_; }

  void u8(unsigned value) {
    size_ += 1;
    if (writer_) writer_->u8(static_cast<std::uint8_t>(value));
  }
  void u16(std::uint16_t value) {
    size_ += 2;
    if (writer_) writer_->u16(value);
  }
  void u32(std::uint32_t value) {
    size_ += 4;
    if (writer_) writer_->u32(value);
  }
  void varint(std::uint32_t value) {
    size_ += varint_size(value);
    if (writer_) writer_->varint(value);
  }
  void raw(std::span<const std::byte> bytes) {
    size_ += bytes.size();
    if (writer_) writer_->raw(bytes);
  }
  void binary(std::span<const std::byte> bytes) {
    size_ += 2 + bytes.size();
    if (writer_) writer_->binary(bytes);
  }
  void text(std::string_view text) { binary(std::as_bytes(std::span(text))); }

  void id(Property property) { u8(static_cast<unsigned>(property)); }
  void property(Property property, std::optional<std::uint8_t> value) {
    if (value) id(property), u8(*value);
  }
  void property(Property property, std::optional<bool> value) {
    if (value) id(property), u8(*value ? 1 : 0);
  }
  void property(Property property, std::optional<std::uint16_t> value) {
    if (value) id(property), u16(*value);
  }
  void property(Property property, std::optional<std::uint32_t> value) {
    if (value) id(property), u32(*value);
  }
  void property(Property property, std::string_view value) {
    if (!value.empty()) id(property), text(value);
  }
  void property(Property property, const std::optional<std::span<const std::byte>>& value) {
    if (value) id(property), binary(*value);
  }
  void user(const UserProperties& user) {
    user.for_each([this](std::string_view name, std::string_view value) {
      id(Property::kUserProperty);
      text(name);
      text(value);
    });
  }

  /// Writes a length and then what `content` writes.
  template <typename Content>
  void measured(const Content& content) {
    Sink measure;
    content(measure);
    SLUICE_CHECK(measure.size() <= kMaxRemainingLength);
    varint(static_cast<std::uint32_t>(measure.size()));
    content(*this);
  }

 private:
  Writer* writer_ = nullptr;
  std::size_t size_ = 0;
};

/// Appends a packet whose content after the fixed header is what `content` writes.
template <typename Content>
void append(PacketType type, unsigned flags, Output& out, const Content& content) {
  Sink measure;
  content(measure);
  SLUICE_CHECK(measure.size() <= kMaxRemainingLength);
  const auto remaining = static_cast<std::uint32_t>(measure.size());
  const std::size_t start = out.size();
  out.resize(start + 1 + varint_size(remaining) + remaining);
  Writer writer{std::span(out).subspan(start)};
  writer.u8(static_cast<std::uint8_t>(static_cast<unsigned>(type) << 4 | flags));
  writer.varint(remaining);
  Sink sink(&writer);
  content(sink);
  SLUICE_CHECK(writer.is_full());
}

void put_message_properties(const MessageProperties& properties, Sink& out) {
  out.property(Property::kPayloadFormatIndicator, properties.payload_format);
  out.property(Property::kMessageExpiryInterval, properties.expiry_seconds);
  out.property(Property::kTopicAlias, properties.topic_alias);
  out.property(Property::kWillDelayInterval, properties.delay_seconds);
  out.property(Property::kContentType, properties.content_type);
  out.property(Property::kResponseTopic, properties.response_topic);
  out.property(Property::kCorrelationData, properties.correlation_data);
  properties.subscription_ids.for_each([&](std::uint32_t id) {
    out.id(Property::kSubscriptionIdentifier);
    out.varint(id);
  });
  out.user(properties.user);
}

void put_publish(const Publish& packet, Version version, Sink& out) {
  out.text(packet.topic);
  if (packet.qos != Qos::kAtMostOnce) out.u16(packet.packet_id);
  if (version == Version::kV5) {
    out.measured([&](Sink& sink) { put_message_properties(packet.properties, sink); });
  }
  out.raw(packet.payload);
}

void put_connect_properties(const Connect& packet, Sink& out) {
  if (packet.session_expiry_seconds != 0) {
    out.property(Property::kSessionExpiryInterval, std::optional(packet.session_expiry_seconds));
  }
  if (packet.receive_maximum != 65'535) {
    out.property(Property::kReceiveMaximum, std::optional(packet.receive_maximum));
  }
  out.property(Property::kMaximumPacketSize, packet.maximum_packet_size);
  if (packet.topic_alias_maximum != 0) {
    out.property(Property::kTopicAliasMaximum, std::optional(packet.topic_alias_maximum));
  }
  if (packet.request_response_information) {
    out.property(Property::kRequestResponseInformation, std::optional(true));
  }
  if (!packet.request_problem_information) {
    out.property(Property::kRequestProblemInformation, std::optional(false));
  }
  // An empty one too: data without a method would be refused.
  if (packet.authentication_method) {
    out.id(Property::kAuthenticationMethod);
    out.text(*packet.authentication_method);
  }
  out.property(Property::kAuthenticationData, packet.authentication_data);
  out.user(packet.user);
}

unsigned connect_flags(const Connect& packet) {
  unsigned flags = packet.clean_start ? 0x02 : 0;
  if (packet.will) {
    flags |=
        0x04 | static_cast<unsigned>(packet.will->qos) << 3 | (packet.will->retain ? 0x20U : 0U);
  }
  if (packet.password) flags |= 0x40;
  if (packet.user_name) flags |= 0x80;
  return flags;
}

}  // namespace

void encode(const Connect& packet, Output& out) {
  append(PacketType::kConnect, 0, out, [&](Sink& sink) {
    sink.text(packet.version == Version::kV31 ? "MQIsdp" : "MQTT");
    sink.u8(static_cast<unsigned>(packet.version));
    sink.u8(connect_flags(packet));
    sink.u16(packet.keep_alive_seconds);
    if (packet.version == Version::kV5) {
      sink.measured([&](Sink& inner) { put_connect_properties(packet, inner); });
    }
    sink.text(packet.client_id);
    if (packet.will) {
      if (packet.version == Version::kV5) {
        sink.measured([&](Sink& inner) { put_message_properties(packet.will->properties, inner); });
      }
      sink.text(packet.will->topic);
      sink.binary(packet.will->payload);
    }
    if (packet.user_name) sink.text(*packet.user_name);
    if (packet.password) sink.binary(*packet.password);
  });
}

std::uint8_t connack_code(ReasonCode reason) {
  switch (reason) {
    case ReasonCode::kSuccess:
      return 0;
    case ReasonCode::kUnsupportedProtocolVersion:
      return 1;
    case ReasonCode::kClientIdentifierNotValid:
      return 2;
    case ReasonCode::kBadUserNameOrPassword:
    case ReasonCode::kBadAuthenticationMethod:
      return 4;
    case ReasonCode::kNotAuthorized:
    case ReasonCode::kBanned:
    case ReasonCode::kAdministrativeAction:
      return 5;
    default:
      return 3;
  }
}

void encode(const Connack& packet, Version version, Output& out) {
  append(PacketType::kConnack, 0, out, [&](Sink& sink) {
    // MQTT 3.1 has no such flag, and a refusal never has it, [MQTT5-3.2.2-6].
    const bool says_present =
        packet.session_present && version != Version::kV31 && !is_failure(packet.reason);
    sink.u8(says_present ? 1 : 0);
    if (version != Version::kV5) {
      sink.u8(connack_code(packet.reason));
      return;
    }
    sink.u8(static_cast<unsigned>(packet.reason));
    sink.measured([&](Sink& inner) {
      inner.property(Property::kSessionExpiryInterval, packet.session_expiry_seconds);
      // Absent means 2, and the property may say only 0 or 1.
      if (packet.maximum_qos && *packet.maximum_qos != Qos::kExactlyOnce) {
        inner.property(Property::kMaximumQos,
                       std::optional(static_cast<std::uint8_t>(*packet.maximum_qos)));
      }
      inner.property(Property::kRetainAvailable, packet.retain_available);
      inner.property(Property::kMaximumPacketSize, packet.maximum_packet_size);
      inner.property(Property::kAssignedClientIdentifier, packet.assigned_client_id);
      inner.property(Property::kReasonString, packet.reason_string);
      inner.property(Property::kWildcardSubscriptionAvailable, packet.wildcard_subscriptions);
      inner.property(Property::kSubscriptionIdentifierAvailable, packet.subscription_identifiers);
      inner.property(Property::kSharedSubscriptionAvailable, packet.shared_subscriptions);
      inner.property(Property::kServerKeepAlive, packet.server_keep_alive_seconds);
      inner.property(Property::kResponseInformation, packet.response_information);
      inner.property(Property::kServerReference, packet.server_reference);
      // Their order means nothing, [MQTT5-2.2.2.2], but there are tests in the world that compare
      // bytes, and these two are last there.
      inner.property(Property::kTopicAliasMaximum, packet.topic_alias_maximum);
      inner.property(Property::kReceiveMaximum, packet.receive_maximum);
    });
  });
}

std::size_t encoded_size(const Publish& packet, Version version) {
  Sink measure;
  put_publish(packet, version, measure);
  return 1 + varint_size(static_cast<std::uint32_t>(measure.size())) + measure.size();
}

void encode(const Publish& packet, Version version, Output& out) {
  SLUICE_CHECK((packet.packet_id != 0) == (packet.qos != Qos::kAtMostOnce));
  const unsigned flags = (packet.dup ? 0x08U : 0U) | static_cast<unsigned>(packet.qos) << 1 |
                         (packet.retain ? 0x01U : 0U);
  append(PacketType::kPublish, flags, out, [&](Sink& sink) { put_publish(packet, version, sink); });
}

void encode(const Ack& packet, Version version, Output& out) {
  const unsigned flags = packet.type == PacketType::kPubrel ? 2 : 0;
  append(packet.type, flags, out, [&](Sink& sink) {
    sink.u16(packet.packet_id);
    // Success without more to say is left out, [MQTT5-3.4.2.1]: four bytes for nearly every PUBACK.
    if (version != Version::kV5) return;
    if (packet.reason == ReasonCode::kSuccess && packet.reason_string.empty()) return;
    sink.u8(static_cast<unsigned>(packet.reason));
    if (packet.reason_string.empty()) return;
    sink.measured(
        [&](Sink& inner) { inner.property(Property::kReasonString, packet.reason_string); });
  });
}

namespace {

void put_filters(const FilterList& filters, bool has_options, Version version, Sink& out) {
  filters.for_each([&](const Subscription& subscription) {
    out.text(subscription.filter);
    if (!has_options) return;
    unsigned options = static_cast<unsigned>(subscription.qos);
    if (version == Version::kV5) {
      options |= (subscription.no_local ? 0x04U : 0U) |
                 (subscription.retain_as_published ? 0x08U : 0U) |
                 static_cast<unsigned>(subscription.retain_handling) << 4;
    }
    out.u8(options);
  });
}

}  // namespace

void encode(const Subscribe& packet, Version version, Output& out) {
  append(PacketType::kSubscribe, 2, out, [&](Sink& sink) {
    sink.u16(packet.packet_id);
    if (version == Version::kV5) {
      sink.measured([&](Sink& inner) {
        if (packet.subscription_id) {
          inner.id(Property::kSubscriptionIdentifier);
          inner.varint(*packet.subscription_id);
        }
        inner.user(packet.user);
      });
    }
    put_filters(packet.filters, true, version, sink);
  });
}

void encode(const Unsubscribe& packet, Version version, Output& out) {
  append(PacketType::kUnsubscribe, 2, out, [&](Sink& sink) {
    sink.u16(packet.packet_id);
    if (version == Version::kV5) {
      sink.measured([&](Sink& inner) { inner.user(packet.user); });
    }
    put_filters(packet.filters, false, version, sink);
  });
}

void encode(const FilterAck& packet, Version version, Output& out) {
  append(packet.type, 0, out, [&](Sink& sink) {
    sink.u16(packet.packet_id);
    if (version == Version::kV5) {
      sink.measured(
          [&](Sink& inner) { inner.property(Property::kReasonString, packet.reason_string); });
    } else if (packet.type == PacketType::kUnsuback) {
      return;
    }
    for (const ReasonCode reason : packet.reasons) {
      const auto code = static_cast<std::uint8_t>(reason);
      // Before MQTT 5 there is one failure, and 3.1 has none: there the nearest is the lowest
      // grant.
      if (version == Version::kV5 || !is_failure(reason)) {
        sink.u8(code);
      } else {
        sink.u8(version == Version::kV311 ? 0x80 : 0x00);
      }
    }
  });
}

void encode(const Disconnect& packet, Version version, Output& out) {
  append(PacketType::kDisconnect, 0, out, [&](Sink& sink) {
    const bool has_properties = packet.session_expiry_seconds || !packet.reason_string.empty() ||
                                !packet.server_reference.empty();
    if (version != Version::kV5) return;
    if (packet.reason == ReasonCode::kSuccess && !has_properties) return;
    sink.u8(static_cast<unsigned>(packet.reason));
    if (!has_properties) return;
    sink.measured([&](Sink& inner) {
      inner.property(Property::kSessionExpiryInterval, packet.session_expiry_seconds);
      inner.property(Property::kReasonString, packet.reason_string);
      inner.property(Property::kServerReference, packet.server_reference);
    });
  });
}

void encode_pingreq(Output& out) {
  append(PacketType::kPingreq, 0, out, [](Sink&) {});
}

void encode_pingresp(Output& out) {
  append(PacketType::kPingresp, 0, out, [](Sink&) {});
}

void UserPropertyList::add(std::string_view name, std::string_view value) {
  const std::size_t start = encoded_.size();
  encoded_.resize(start + 5 + name.size() + value.size());
  Writer writer{std::span(encoded_).subspan(start)};
  writer.property(Property::kUserProperty);
  writer.text(name);
  writer.text(value);
  ++count_;
}

void FilterListBuilder::add(const Subscription& subscription) {
  const std::size_t start = encoded_.size();
  encoded_.resize(start + 2 + subscription.filter.size() + (has_options_ ? 1 : 0));
  Writer writer{std::span(encoded_).subspan(start)};
  writer.text(subscription.filter);
  if (has_options_) {
    // The view reads them back with the rules of its version.
    writer.u8(static_cast<std::uint8_t>(static_cast<unsigned>(subscription.qos) |
                                        (subscription.no_local ? 0x04U : 0U) |
                                        (subscription.retain_as_published ? 0x08U : 0U) |
                                        static_cast<unsigned>(subscription.retain_handling) << 4));
  }
  ++count_;
}

}  // namespace sluice::mqtt
