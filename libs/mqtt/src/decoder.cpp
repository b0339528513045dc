#include <sluice/mqtt/decoder.h>

#include "properties.h"
#include "wire.h"

#include <sluice/base/check.h>

namespace sluice::mqtt {

namespace {

using wire::Reader;

std::unexpected<DecodeError> malformed(std::string_view what) {
  return std::unexpected(DecodeError{.what = what});
}

std::unexpected<DecodeError> refused(ReasonCode reason, std::string_view what) {
  return std::unexpected(DecodeError{.reason = reason, .what = what});
}

/// The flags each type must have, [MQTT5-2.1.3]; PUBLISH has its own.
std::uint8_t reserved_flags(PacketType type) {
  const bool has_one = type == PacketType::kPubrel || type == PacketType::kSubscribe ||
                       type == PacketType::kUnsubscribe;
  return has_one ? 2 : 0;
}

Decoded<void> check_flags(const Frame& frame) {
  if (frame.flags != reserved_flags(frame.type)) return malformed("reserved flags [MQTT5-2.1.3-1]");
  return {};
}

/// Nothing may follow what was read.
Decoded<void> check_end(const Reader& in, std::string_view what) {
  if (!in.ok()) return malformed(what);
  if (!in.at_end()) return malformed("bytes after the end of the packet's content");
  return {};
}

MessageProperties message_properties(const PropertySet& set) {
  return {.payload_format = set.payload_format,
          .expiry_seconds = set.message_expiry,
          .topic_alias = set.topic_alias,
          .delay_seconds = set.will_delay,
          .content_type = set.content_type.value_or(""),
          .response_topic = set.response_topic.value_or(""),
          .correlation_data = set.correlation_data,
          .subscription_ids = set.subscription_ids,
          .user = set.user};
}

}  // namespace

Decoded<std::optional<Frame>> next_frame(std::span<const std::byte> bytes, std::uint32_t max_size) {
  if (bytes.size() < 2) return std::nullopt;
  const auto first = std::to_integer<std::uint8_t>(bytes[0]);
  if (first < 0x10) return malformed("packet type 0 is reserved [MQTT5-2.1.2]");
  std::uint32_t remaining = 0;
  std::size_t used = 1;
  for (unsigned shift = 0;; shift += 7) {
    if (shift == 28) return malformed("remaining length of more than four bytes [MQTT5-1.5.5]");
    if (used == bytes.size()) return std::nullopt;
    const auto byte = std::to_integer<std::uint32_t>(bytes[used++]);
    remaining |= (byte & 0x7F) << shift;
    if ((byte & 0x80) == 0) {
      if (byte == 0 && shift > 0) return malformed("remaining length in too many bytes");
      break;
    }
  }
  if (remaining + used > max_size) {
    return refused(ReasonCode::kPacketTooLarge, "packet larger than the maximum packet size");
  }
  if (bytes.size() - used < remaining) return std::nullopt;
  return Frame{.type = static_cast<PacketType>(first >> 4),
               .flags = static_cast<std::uint8_t>(first & 0x0F),
               .body = bytes.subspan(used, remaining),
               .size = used + remaining};
}

namespace {

/// Protocol name and level, [MQTT5-3.1.2.1].
Decoded<Version> read_version(Reader& in) {
  const auto name = in.text();
  const unsigned level = in.u8();
  if (!in.ok()) return malformed("protocol name is cut off");
  if (name == "MQTT" && level == 5) return Version::kV5;
  if (name == "MQTT" && level == 4) return Version::kV311;
  if (name == "MQIsdp" && level == 3) return Version::kV31;
  return refused(ReasonCode::kUnsupportedProtocolVersion, "protocol is not MQTT 3.1, 3.1.1 or 5");
}

Decoded<Will> read_will(Reader& in, Version version, unsigned flags) {
  Will will{.qos = static_cast<Qos>(flags >> 3 & 0x03), .retain = (flags & 0x20) != 0};
  if (will.qos > Qos::kExactlyOnce) return malformed("will QoS is 3 [MQTT5-3.1.2-12]");
  if (version == Version::kV5) {
    const auto set = read_properties(in, PropertyPlace::kWill);
    if (!set) return std::unexpected(set.error());
    will.properties = message_properties(*set);
  }
  will.topic = in.text();
  will.payload = in.binary();
  return will;
}

Decoded<void> read_connect_properties(Reader& in, Connect& connect) {
  const auto set = read_properties(in, PropertyPlace::kConnect);
  if (!set) return std::unexpected(set.error());
  connect.session_expiry_seconds = set->session_expiry.value_or(0);
  connect.receive_maximum = set->receive_maximum.value_or(connect.receive_maximum);
  connect.maximum_packet_size = set->maximum_packet_size;
  connect.topic_alias_maximum = set->topic_alias_maximum.value_or(0);
  connect.request_response_information = set->request_response_information == 1;
  connect.request_problem_information = set->request_problem_information.value_or(1) == 1;
  connect.authentication_method = set->authentication_method;
  connect.authentication_data = set->authentication_data;
  connect.user = set->user;
  return {};
}

}  // namespace

Decoded<Connect> decode_connect(const Frame& frame) {
  Reader in(frame.body);
  const auto version = read_version(in);
  if (!version) return std::unexpected(version.error());
  // What 3.1.1 reserves MQTT 3.1 calls unused, and says nothing of its value.
  const bool is_lenient = *version == Version::kV31;
  if (const auto reserved = check_flags(frame); !reserved && !is_lenient) {
    return std::unexpected(reserved.error());
  }
  Connect connect{.version = *version};
  const unsigned flags = in.u8();
  connect.keep_alive_seconds = in.u16();
  connect.clean_start = (flags & 0x02) != 0;
  const bool has_will = (flags & 0x04) != 0;
  const bool has_user_name = (flags & 0x80) != 0;
  const bool has_password = (flags & 0x40) != 0;
  if ((flags & 0x01) != 0 && !is_lenient) {
    return malformed("reserved connect flag is set [MQTT5-3.1.2-3]");
  }
  if (!has_will && (flags & 0x38) != 0)
    return malformed("will flags without a will [MQTT5-3.1.2-11]");
  if (has_password && !has_user_name && connect.version != Version::kV5) {
    return malformed("password without user name [MQTT-3.1.2-22]");
  }

  if (connect.version == Version::kV5) {
    if (const auto read = read_connect_properties(in, connect); !read) {
      return std::unexpected(read.error());
    }
  } else {
    // A clean session of MQTT 3 ends with its connection; any other never expires by itself.
    connect.session_expiry_seconds = connect.clean_start ? 0 : 0xFFFF'FFFF;
  }
  connect.client_id = in.text();
  if (has_will) {
    const auto will = read_will(in, connect.version, flags);
    if (!will) return std::unexpected(will.error());
    connect.will = *will;
  }
  if (has_user_name) connect.user_name = in.text();
  if (has_password) connect.password = in.binary();
  if (const auto end = check_end(in, "connect is cut off or holds ill-formed text"); !end) {
    return std::unexpected(end.error());
  }
  return connect;
}

Decoded<Connack> decode_connack(const Frame& frame, Version version) {
  if (const auto flags = check_flags(frame); !flags) return std::unexpected(flags.error());
  Reader in(frame.body);
  const unsigned flags = in.u8();
  if (flags > 1) return malformed("reserved connack flags [MQTT5-3.2.2-1]");
  Connack connack{.session_present = flags == 1};
  const std::uint8_t code = in.u8();
  if (version == Version::kV5) {
    connack.reason = static_cast<ReasonCode>(code);
    const auto set = read_properties(in, PropertyPlace::kConnack);
    if (!set) return std::unexpected(set.error());
    connack.session_expiry_seconds = set->session_expiry;
    connack.receive_maximum = set->receive_maximum;
    if (set->maximum_qos) connack.maximum_qos = static_cast<Qos>(*set->maximum_qos);
    const auto flag = [](std::optional<std::uint8_t> value) {
      return value ? std::optional(*value == 1) : std::nullopt;
    };
    connack.retain_available = flag(set->retain_available);
    connack.maximum_packet_size = set->maximum_packet_size;
    connack.assigned_client_id = set->assigned_client_id.value_or("");
    connack.topic_alias_maximum = set->topic_alias_maximum;
    connack.reason_string = set->reason_string.value_or("");
    connack.wildcard_subscriptions = flag(set->wildcard_available);
    connack.subscription_identifiers = flag(set->subscription_ids_available);
    connack.shared_subscriptions = flag(set->shared_available);
    connack.server_keep_alive_seconds = set->server_keep_alive;
    connack.response_information = set->response_information.value_or("");
    connack.server_reference = set->server_reference.value_or("");
  } else {
    constexpr ReasonCode kCodes[] = {ReasonCode::kSuccess,
                                     ReasonCode::kUnsupportedProtocolVersion,
                                     ReasonCode::kClientIdentifierNotValid,
                                     ReasonCode::kServerUnavailable,
                                     ReasonCode::kBadUserNameOrPassword,
                                     ReasonCode::kNotAuthorized};
    if (code >= std::size(kCodes)) return malformed("unknown connack return code");
    connack.reason = kCodes[code];
  }
  if (const auto end = check_end(in, "connack is cut off"); !end)
    return std::unexpected(end.error());
  return connack;
}

Decoded<Publish> decode_publish(const Frame& frame, Version version) {
  Publish publish{.qos = static_cast<Qos>(frame.flags >> 1 & 0x03),
                  .dup = (frame.flags & 0x08) != 0,
                  .retain = (frame.flags & 0x01) != 0};
  if (publish.qos > Qos::kExactlyOnce) return malformed("QoS is 3 [MQTT5-3.3.1-4]");
  if (publish.dup && publish.qos == Qos::kAtMostOnce)
    return malformed("DUP at QoS 0 [MQTT5-3.3.1-2]");
  Reader in(frame.body);
  publish.topic = in.text();
  if (publish.qos != Qos::kAtMostOnce) {
    publish.packet_id = in.u16();
    if (in.ok() && publish.packet_id == 0)
      return malformed("packet identifier is 0 [MQTT5-2.2.1-3]");
  }
  if (version == Version::kV5) {
    const auto set = read_properties(in, PropertyPlace::kPublish);
    if (!set) return std::unexpected(set.error());
    publish.properties = message_properties(*set);
    if (publish.properties.topic_alias == 0) {
      return refused(ReasonCode::kTopicAliasInvalid, "topic alias is 0 [MQTT5-3.3.2-8]");
    }
  }
  if (!in.ok()) return malformed("publish is cut off or holds ill-formed text");
  if (publish.topic.empty() && !publish.properties.topic_alias) {
    return refused(ReasonCode::kProtocolError, "neither topic nor topic alias [MQTT5-3.3.2-1]");
  }
  publish.payload = in.rest();
  return publish;
}

Decoded<Ack> decode_ack(const Frame& frame, Version version) {
  // Clients of MQTT 3.1 set DUP on a PUBREL that they send again.
  const bool is_repeated =
      version == Version::kV31 && frame.type == PacketType::kPubrel && frame.flags == 0x0A;
  if (const auto flags = check_flags(frame); !flags && !is_repeated) {
    return std::unexpected(flags.error());
  }
  Reader in(frame.body);
  Ack ack{.type = frame.type, .packet_id = in.u16()};
  if (in.ok() && ack.packet_id == 0) return malformed("packet identifier is 0 [MQTT5-2.2.1-3]");
  if (version == Version::kV5 && !in.at_end()) {
    ack.reason = static_cast<ReasonCode>(in.u8());
    if (!in.at_end()) {
      const auto set = read_properties(in, PropertyPlace::kAck);
      if (!set) return std::unexpected(set.error());
      ack.reason_string = set->reason_string.value_or("");
    }
  }
  if (const auto end = check_end(in, "acknowledgement is cut off"); !end) {
    return std::unexpected(end.error());
  }
  return ack;
}

namespace {

/// Checks every filter of a SUBSCRIBE or UNSUBSCRIBE, so that reading them later cannot fail.
Decoded<FilterList> read_filters(Reader& in, bool has_options, Version version) {
  const auto encoded = in.rest();
  std::uint32_t count = 0;
  while (in.ok() && !in.at_end()) {
    const bool is_empty = in.text().empty();
    if (in.ok() && is_empty) return malformed("a filter is empty [MQTT5-4.7.3-1]");
    ++count;
    if (!has_options) continue;
    const unsigned options = in.u8();
    const unsigned reserved = version == Version::kV5 ? 0xC0 : 0xFC;
    if ((options & reserved) != 0)
      return malformed("reserved subscription options [MQTT5-3.8.3-5]");
    if ((options & 0x03) == 0x03) return malformed("subscription QoS is 3 [MQTT5-3.8.3-4]");
    if ((options & 0x30) == 0x30) {
      return refused(ReasonCode::kProtocolError, "retain handling is 3 [MQTT5-3.8.3.1]");
    }
  }
  if (!in.ok()) return malformed("a filter is cut off or ill-formed");
  if (count == 0) return refused(ReasonCode::kProtocolError, "no filter [MQTT5-3.8.3-2]");
  return FilterList(encoded, has_options, version, count);
}

/// What SUBSCRIBE and UNSUBSCRIBE share.
template <typename Packet>
Decoded<Packet> decode_filter_packet(const Frame& frame, Version version, PropertyPlace place,
                                     bool has_options) {
  const bool is_lenient = version == Version::kV31;  // MQTT 3.1 lets DUP and QoS vary
  if (!is_lenient) {
    if (const auto flags = check_flags(frame); !flags) return std::unexpected(flags.error());
  }
  Reader in(frame.body);
  Packet packet{.packet_id = in.u16()};
  if (in.ok() && packet.packet_id == 0) return malformed("packet identifier is 0 [MQTT5-2.2.1-3]");
  if (version == Version::kV5) {
    const auto set = read_properties(in, place);
    if (!set) return std::unexpected(set.error());
    packet.user = set->user;
    if constexpr (requires { packet.subscription_id; })
      packet.subscription_id = set->subscription_id;
  }
  const auto filters = read_filters(in, has_options, version);
  if (!filters) return std::unexpected(filters.error());
  packet.filters = *filters;
  return packet;
}

}  // namespace

Decoded<Subscribe> decode_subscribe(const Frame& frame, Version version) {
  return decode_filter_packet<Subscribe>(frame, version, PropertyPlace::kSubscribe, true);
}

Decoded<Unsubscribe> decode_unsubscribe(const Frame& frame, Version version) {
  return decode_filter_packet<Unsubscribe>(frame, version, PropertyPlace::kUnsubscribe, false);
}

Decoded<FilterAck> decode_filter_ack(const Frame& frame, Version version) {
  if (const auto flags = check_flags(frame); !flags) return std::unexpected(flags.error());
  Reader in(frame.body);
  FilterAck ack{.type = frame.type, .packet_id = in.u16()};
  if (version == Version::kV5) {
    const auto set = read_properties(in, PropertyPlace::kAck);
    if (!set) return std::unexpected(set.error());
    ack.reason_string = set->reason_string.value_or("");
  }
  if (!in.ok()) return malformed("acknowledgement is cut off");
  // A reason code is one byte, so the codes can be looked at where they lie.
  static_assert(sizeof(ReasonCode) == 1);
  ack.reasons = {reinterpret_cast<const ReasonCode*>(in.rest().data()), in.rest().size()};
  return ack;
}

Decoded<Disconnect> decode_disconnect(const Frame& frame, Version version) {
  if (const auto flags = check_flags(frame); !flags) return std::unexpected(flags.error());
  Reader in(frame.body);
  Disconnect disconnect;
  if (version == Version::kV5 && !in.at_end()) {
    disconnect.reason = static_cast<ReasonCode>(in.u8());
    if (!in.at_end()) {
      const auto set = read_properties(in, PropertyPlace::kDisconnect);
      if (!set) return std::unexpected(set.error());
      disconnect.session_expiry_seconds = set->session_expiry;
      disconnect.reason_string = set->reason_string.value_or("");
      disconnect.server_reference = set->server_reference.value_or("");
    }
  }
  if (const auto end = check_end(in, "disconnect is cut off"); !end)
    return std::unexpected(end.error());
  return disconnect;
}

Decoded<Auth> decode_auth(const Frame& frame) {
  if (const auto flags = check_flags(frame); !flags) return std::unexpected(flags.error());
  Auth auth;
  Reader in(frame.body);
  if (!in.at_end()) {
    auth.reason = static_cast<ReasonCode>(in.u8());
    const auto set = read_properties(in, PropertyPlace::kAuth);
    if (!set) return std::unexpected(set.error());
    auth.method = set->authentication_method.value_or("");
    auth.data = set->authentication_data;
  }
  if (const auto end = check_end(in, "auth is cut off"); !end) return std::unexpected(end.error());
  return auth;
}

Decoded<void> decode_empty(const Frame& frame) {
  if (const auto flags = check_flags(frame); !flags) return flags;
  if (!frame.body.empty()) return malformed("a ping has no content");
  return {};
}

}  // namespace sluice::mqtt
