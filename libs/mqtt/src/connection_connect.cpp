#include "connection_parts.h"
#include "wire.h"

#include <algorithm>

#include <sluice/base/utf8.h>
#include <sluice/mqtt/topic.h>

namespace sluice::mqtt {

namespace {

/// Whom to answer a CONNECT that cannot be read: the version it is in, as far as that can be told.
std::optional<Version> answerable_version(std::span<const std::byte> body) {
  wire::Reader in(body);
  const auto name = in.text();
  const unsigned level = in.u8();
  // Whoever speaks another protocol is told nothing, not even that MQTT is spoken here.
  if (!in.ok() || (name != "MQTT" && name != "MQIsdp")) return std::nullopt;
  // Bridges set the highest bit and try again without it when they are told in their own version.
  return (level & 0x7F) >= 5 ? Version::kV5 : Version::kV311;
}

/// What follows the fixed header, as far as it has come.
std::span<const std::byte> body_of(std::span<const std::byte> bytes) {
  wire::Reader in(bytes);
  in.u8();
  in.varint();
  return in.rest();
}

bool has_wildcard(std::string_view topic) {
  return topic.find('+') != std::string_view::npos || topic.find('#') != std::string_view::npos;
}

struct Refusal {
  ReasonCode reason;
  std::string_view what;
};

std::optional<Refusal> will_refusal(const Will& will, const TopicLimits& topics) {
  if (!is_valid_topic(will.topic, topics)) {
    return Refusal{ReasonCode::kTopicNameInvalid, "will topic is no topic [MQTT5-3.3.2-2]"};
  }
  if (has_wildcard(will.properties.response_topic)) {
    return Refusal{ReasonCode::kProtocolError, "wildcard in response topic [MQTT5-3.3.2-14]"};
  }
  const std::string_view text(reinterpret_cast<const char*>(will.payload.data()),
                              will.payload.size());
  if (will.properties.payload_format == 1 && !is_valid_utf8(text)) {
    return Refusal{ReasonCode::kPayloadFormatInvalid, "will is not UTF-8 [MQTT5-3.1.3.2.3]"};
  }
  return std::nullopt;
}

/// What the specification leaves no choice about.
std::optional<Refusal> refusal(const Connect& connect, const TopicLimits& topics) {
  if (connect.authentication_method) {
    return Refusal{ReasonCode::kBadAuthenticationMethod,
                   "no enhanced authentication here [MQTT5-4.12.0-1]"};
  }
  // MQTT 3.1 wants 1 to 23 bytes; longer ones do no harm, none cannot be told apart.
  const bool may_be_nameless =
      connect.version == Version::kV5 || (connect.version == Version::kV311 && connect.clean_start);
  if (connect.client_id.empty() && !may_be_nameless) {
    return Refusal{ReasonCode::kClientIdentifierNotValid, "no client id [MQTT-3.1.3-8]"};
  }
  return connect.will ? will_refusal(*connect.will, topics) : std::nullopt;
}

/// What the protocol can say at all; who allows so much has no limit to announce,
/// [MQTT5-3.2.2.3.6].
constexpr std::uint32_t kLargestPacket = kMaxRemainingLength + 5;

}  // namespace

void Connection::take_first(std::span<const std::byte> bytes,
                            const Decoded<std::optional<Frame>>& frame, Input& in) {
  if (std::to_integer<unsigned>(bytes[0]) >> 4 != static_cast<unsigned>(PacketType::kConnect)) {
    return finish({.reason = ReasonCode::kProtocolError,
                   .what = "the first packet is no CONNECT [MQTT5-3.1.0-1]"},
                  in);
  }
  if (frame && !*frame) return;
  if (frame) return take_connect(**frame, in);
  const auto version = answerable_version(body_of(bytes));
  if (!version) return finish({frame.error().reason, frame.error().what}, in);
  version_ = *version;
  refuse_connect(frame.error().reason, frame.error().what, in);
}

void Connection::take_connect(const Frame& frame, Input& in) {
  const auto connect = decode_connect(frame);
  if (!connect) {
    const auto version = answerable_version(frame.body);
    if (!version) return finish({connect.error().reason, connect.error().what}, in);
    version_ = *version;
    return refuse_connect(connect.error().reason, connect.error().what, in);
  }
  version_ = connect->version;
  client_max_packet_size_ = connect->maximum_packet_size.value_or(client_max_packet_size_);
  send_maximum_ = std::min(connect->receive_maximum, limits_->send_maximum);
  client_topic_alias_maximum_ = connect->topic_alias_maximum;
  keep_alive_seconds_ = connect->keep_alive_seconds;
  sends_problem_information_ = connect->request_problem_information;
  may_set_session_expiry_ = connect->session_expiry_seconds != 0;
  if (const auto found = refusal(*connect, limits_->topics))
    return refuse_connect(found->reason, found->what, in);
  state_ = State::kConnecting;
  in.events.on_connect(*connect);
}

void Connection::refuse_connect(ReasonCode reason, std::string_view what, Input& in) {
  // A malformed CONNECT of MQTT 3 is answered by nothing, [MQTT-3.1.4-1]; only what a return code
  // says exactly is said.
  if (is_v5() || reason == ReasonCode::kUnsupportedProtocolVersion ||
      reason == ReasonCode::kClientIdentifierNotValid) {
    put_connack({.reason = reason, .reason_string = what}, in.out);
  }
  finish({.reason = reason, .what = what}, in);
}

bool Connection::put_connack(Connack connack, Output& out) {
  if (!limits_->sends_reason_strings) connack.reason_string = {};
  if (put_within(client_max_packet_size_, out, connack, version_)) return true;
  connack.reason_string = {};  // [MQTT5-3.2.2-19]
  return put_within(client_max_packet_size_, out, connack, version_);
}

bool Connection::accept(Session& session, const Acceptance& acceptance, Output& out) {
  SLUICE_CHECK(state_ == State::kConnecting);
  Connack connack = acceptance.connack;
  connack.reason = ReasonCode::kSuccess;
  connack.session_present = acceptance.session_present;
  if (!connack.receive_maximum) connack.receive_maximum = limits_->receive_maximum;
  if (!connack.maximum_packet_size && limits_->max_packet_size < kLargestPacket) {
    connack.maximum_packet_size = limits_->max_packet_size;
  }
  if (!connack.topic_alias_maximum && limits_->topic_alias_maximum > 0) {
    connack.topic_alias_maximum = limits_->topic_alias_maximum;
  }
  if (!put_connack(connack, out)) {
    state_ = State::kClosed;
    return false;
  }
  if (is_v5()) {
    keep_alive_seconds_ = connack.server_keep_alive_seconds.value_or(keep_alive_seconds_);
    maximum_qos_ = connack.maximum_qos.value_or(Qos::kExactlyOnce);
    retain_available_ = connack.retain_available.value_or(true);
  }
  session_ = &session;
  sent_ = 0;
  inherited_qos2_ = static_cast<std::uint16_t>(session.inbound_.size());
  state_ = State::kOpen;
  return true;
}

void Connection::refuse(ReasonCode reason, std::string_view reason_string,
                        std::string_view server_reference, Output& out) {
  SLUICE_CHECK(state_ == State::kConnecting && is_failure(reason));
  put_connack(
      {.reason = reason, .reason_string = reason_string, .server_reference = server_reference},
      out);
  state_ = State::kClosed;
}

}  // namespace sluice::mqtt
