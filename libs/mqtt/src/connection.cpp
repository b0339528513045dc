#include <sluice/mqtt/connection.h>

#include "connection_parts.h"

#include <algorithm>

namespace sluice::mqtt {

Connection::Connection(const ConnectionLimits& limits)
    : limits_(&limits), client_max_packet_size_(kMaxRemainingLength + 5) {}
Connection::~Connection() = default;
Connection::Connection(Connection&&) noexcept = default;
Connection& Connection::operator=(Connection&&) noexcept = default;

Connection::Traffic& Connection::traffic() {
  if (!traffic_) traffic_ = std::make_unique<Traffic>();
  return *traffic_;
}

std::uint32_t Connection::unanswered() const {
  return traffic_ ? static_cast<std::uint32_t>(traffic_->answers.size()) : 0;
}

bool Connection::wants_bytes() const {
  if (state_ == State::kNew) return true;
  return state_ == State::kOpen && unanswered_filters_ < kMaxUnansweredFilters &&
         (is_v5() || unanswered() < limits_->receive_maximum);
}

void Connection::release_memory() {
  if (!traffic_ || traffic_->answers.size() > 0) return;
  traffic_->answers.release_memory();
  if (traffic_->inbound_aliases.empty() && traffic_->outbound_aliases.empty()) traffic_.reset();
}

void Connection::prefetch(PrefetchStep step) const {
  if (!traffic_) return;
  if (step == PrefetchStep::kPointees) sluice::prefetch(traffic_.get(), sizeof(Traffic));
  if (step == PrefetchStep::kBehind) traffic_->answers.prefetch();
}

std::size_t Connection::on_bytes(MonoTime, std::span<const std::byte> bytes, Output& out,
                                 ConnectionEvents& events) {
  Input in{.out = out, .events = events};
  std::size_t taken = 0;
  while (wants_bytes() && taken < bytes.size()) {
    const auto rest = bytes.subspan(taken);
    const bool is_first = state_ == State::kNew;
    const auto frame =
        next_frame(rest, is_first ? limits_->max_connect_size : limits_->max_packet_size);
    if (is_first) {
      take_first(rest, frame, in);
    } else if (!frame) {
      fail(frame.error(), in);
    } else if (*frame) {
      take_packet(**frame, in);
    }
    if (!frame || !*frame) break;
    taken += (*frame)->size;
  }
  return taken;
}

void Connection::take_packet(const Frame& frame, Input& in) {
  switch (frame.type) {
    case PacketType::kPublish:
      return take_publish(frame, in);
    case PacketType::kPuback:
    case PacketType::kPubrec:
    case PacketType::kPubrel:
    case PacketType::kPubcomp:
      return take_ack(frame, in);
    case PacketType::kSubscribe:
      return take_subscribe(frame, in);
    case PacketType::kUnsubscribe:
      if (const auto packet = decode_unsubscribe(frame, version_)) {
        ++unanswered_filters_;
        in.events.on_unsubscribe(*packet);
      } else {
        fail(packet.error(), in);
      }
      return;
    case PacketType::kPingreq:
      if (const auto packet = decode_empty(frame)) {
        encode_pingresp(in.out);
      } else {
        fail(packet.error(), in);
      }
      return;
    case PacketType::kDisconnect:
      return take_disconnect(frame, in);
    case PacketType::kConnect:
      return fail({.reason = ReasonCode::kProtocolError, .what = "second CONNECT [MQTT5-3.1.0-2]"},
                  in);
    case PacketType::kAuth:
      // MQTT 3 has no such packet; in MQTT 5 it needs a method in CONNECT, which was refused.
      if (is_v5()) {
        return fail({.reason = ReasonCode::kProtocolError,
                     .what = "AUTH without authentication method [MQTT5-4.12.0-6]"},
                    in);
      }
      return fail({.what = "packet type 15 is reserved [MQTT-2.2.1]"}, in);
    case PacketType::kConnack:
    case PacketType::kSuback:
    case PacketType::kUnsuback:
    case PacketType::kPingresp:
      return fail({.reason = ReasonCode::kProtocolError,
                   .what = "a packet that only servers send [MQTT5-2.1.2]"},
                  in);
  }
}

void Connection::take_subscribe(const Frame& frame, Input& in) {
  const auto packet = decode_subscribe(frame, version_);
  if (!packet) return fail(packet.error(), in);
  bool is_allowed = true;
  packet->filters.for_each([&](const Subscription& subscription) {
    if (subscription.no_local && subscription.filter.starts_with("$share/")) is_allowed = false;
  });
  if (!is_allowed) {
    return fail({.reason = ReasonCode::kProtocolError,
                 .what = "No Local on a shared subscription [MQTT5-3.8.3-4]"},
                in);
  }
  ++unanswered_filters_;
  in.events.on_subscribe(*packet);
}

namespace {

/// The reasons that a client may give, [MQTT5-3.14.2.1].
bool is_clients_reason(ReasonCode reason) {
  switch (reason) {
    case ReasonCode::kSuccess:
    case ReasonCode::kDisconnectWithWill:
    case ReasonCode::kUnspecifiedError:
    case ReasonCode::kMalformedPacket:
    case ReasonCode::kProtocolError:
    case ReasonCode::kImplementationSpecificError:
    case ReasonCode::kTopicNameInvalid:
    case ReasonCode::kReceiveMaximumExceeded:
    case ReasonCode::kTopicAliasInvalid:
    case ReasonCode::kPacketTooLarge:
    case ReasonCode::kMessageRateTooHigh:
    case ReasonCode::kQuotaExceeded:
    case ReasonCode::kAdministrativeAction:
    case ReasonCode::kPayloadFormatInvalid:
      return true;
    default:
      return false;
  }
}

}  // namespace

void Connection::take_disconnect(const Frame& frame, Input& in) {
  const auto packet = decode_disconnect(frame, version_);
  if (!packet) return fail(packet.error(), in);
  if (!is_clients_reason(packet->reason)) {
    return fail({.reason = ReasonCode::kProtocolError,
                 .what = "a reason that clients do not give [MQTT5-3.14.2-1]"},
                in);
  }
  if (!may_set_session_expiry_ && packet->session_expiry_seconds.value_or(0) != 0) {
    return fail({.reason = ReasonCode::kProtocolError,
                 .what = "session expiry after it was 0 in CONNECT [MQTT5-3.14.2.2.2]"},
                in);
  }
  finish({.reason = packet->reason,
          .what = "the client said so",
          .by_client = true,
          .publishes_will = packet->reason != ReasonCode::kSuccess,
          .session_expiry_seconds = packet->session_expiry_seconds},
         in);
}

bool Connection::filters_done(PacketType suback_or_unsuback, std::uint16_t packet_id,
                              std::span<const ReasonCode> reasons, Output& out) {
  if (state_ != State::kOpen) return true;
  SLUICE_CHECK(unanswered_filters_ > 0);
  --unanswered_filters_;
  const FilterAck ack{.type = suback_or_unsuback, .packet_id = packet_id, .reasons = reasons};
  if (put_within(client_max_packet_size_, out, ack, version_)) return true;
  disconnect(ReasonCode::kPacketTooLarge, {}, {}, out);
  return false;
}

void Connection::disconnect(ReasonCode reason, std::string_view reason_string,
                            std::string_view server_reference, Output& out) {
  const bool is_told = state_ == State::kOpen && is_v5();
  state_ = State::kClosed;
  if (!is_told) return;
  // Reason strings are allowed here whatever Request Problem Information says, [MQTT5-3.1.2-29].
  Disconnect packet{
      .reason = reason, .reason_string = reason_string, .server_reference = server_reference};
  if (!limits_->sends_reason_strings) packet.reason_string = {};
  if (put_within(client_max_packet_size_, out, packet, version_)) return;
  packet.reason_string = {};  // [MQTT5-3.14.2-3]
  put_within(client_max_packet_size_, out, packet, version_);
}

void Connection::detach() {
  state_ = State::kClosed;
  session_ = nullptr;
}

void Connection::fail(const DecodeError& error, Input& in) {
  disconnect(error.reason, error.what, {}, in.out);
  finish({.reason = error.reason, .what = error.what}, in);
}

void Connection::finish(const Close& close, Input& in) {
  state_ = State::kClosed;
  in.events.on_close(close);
}

}  // namespace sluice::mqtt
