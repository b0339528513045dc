#include "connection_parts.h"

#include <algorithm>

#include <sluice/base/utf8.h>
#include <sluice/mqtt/topic.h>

// What a client publishes.
namespace sluice::mqtt {

namespace {

bool has_wildcard(std::string_view topic) {
  return topic.find('+') != std::string_view::npos || topic.find('#') != std::string_view::npos;
}

bool has_valid_payload(const Publish& publish) {
  const auto& payload = publish.payload;
  return publish.properties.payload_format != 1 ||
         is_valid_utf8({reinterpret_cast<const char*>(payload.data()), payload.size()});
}

DecodeError error(ReasonCode reason, std::string_view what) {
  return {.reason = reason, .what = what};
}

}  // namespace

std::optional<DecodeError> Connection::publish_fault(const Publish& publish) const {
  if (publish.qos > maximum_qos_) {
    return error(ReasonCode::kQosNotSupported, "QoS above CONNACK's maximum [MQTT5-3.2.2-11]");
  }
  if (publish.retain && !retain_available_) {
    return error(ReasonCode::kRetainNotSupported, "retain is not available [MQTT5-3.2.2-14]");
  }
  // The topic is empty only where an alias stands for it.
  if (!publish.topic.empty() && !is_valid_topic(publish.topic, limits_->topics)) {
    return error(ReasonCode::kTopicNameInvalid,
                 "topic has a wildcard, is too long or too deep [MQTT5-3.3.2-2]");
  }
  if (!is_v5()) return std::nullopt;
  if (has_wildcard(publish.properties.response_topic)) {
    return error(ReasonCode::kProtocolError, "wildcard in response topic [MQTT5-3.3.2-14]");
  }
  if (!publish.properties.subscription_ids.empty()) {
    return error(ReasonCode::kProtocolError, "subscription id from a client [MQTT5-3.3.4-6]");
  }
  return std::nullopt;
}

std::optional<DecodeError> Connection::resolve_alias(Publish& publish) {
  if (!publish.properties.topic_alias) return std::nullopt;
  const std::size_t alias = *publish.properties.topic_alias;
  publish.properties.topic_alias.reset();
  if (alias > limits_->topic_alias_maximum) {
    return error(ReasonCode::kTopicAliasInvalid, "topic alias above the maximum [MQTT5-3.3.2-9]");
  }
  auto& aliases = traffic().inbound_aliases;
  if (publish.topic.empty()) {
    if (alias > aliases.size() || aliases[alias - 1].empty()) {
      return error(ReasonCode::kProtocolError, "topic alias that was never set [MQTT5-3.3.4]");
    }
  } else {
    if (alias > aliases.size()) aliases.resize(alias);
    aliases[alias - 1] = publish.topic;
  }
  publish.topic = aliases[alias - 1];
  return std::nullopt;
}

void Connection::take_publish(const Frame& frame, Input& in) {
  auto publish = decode_publish(frame, version_);
  if (!publish) return fail(publish.error(), in);
  if (const auto fault = publish_fault(*publish)) return fail(*fault, in);
  if (const auto fault = resolve_alias(*publish)) return fail(*fault, in);
  if (publish->qos != Qos::kAtMostOnce) return take_tracked_publish(*publish, in);
  if (!has_valid_payload(*publish)) {
    return fail(error(ReasonCode::kPayloadFormatInvalid, "payload is not UTF-8 [MQTT5-3.3.2.3.2]"),
                in);
  }
  in.events.on_publish(*publish, 0);
}

/// QoS 1 and 2. DUP is not looked at: it says that the client sends again, not that the first came
/// here, [MQTT5-4.3.2].
void Connection::take_tracked_publish(const Publish& publish, Input& in) {
  AckWindow& answers = traffic().answers;
  const bool is_qos2 = publish.qos == Qos::kExactlyOnce;
  const std::size_t stored = session_->inbound_.size();
  if (is_v5() && (answers.size() >= limits_->receive_maximum ||
                  answers.open() + stored - inherited_qos2_ >= limits_->receive_maximum)) {
    // One that is known takes no more room than it has, but behind a full window it is one too
    // many.
    const bool is_known = is_qos2 && session_->has_inbound(publish.packet_id);
    if (!is_known || answers.size() >= limits_->receive_maximum) {
      return fail(error(ReasonCode::kReceiveMaximumExceeded,
                        "more than receive maximum publishes under way [MQTT5-3.3.4-9]"),
                  in);
    }
  }
  if (is_qos2 && session_->has_inbound(publish.packet_id)) {
    answers.push_finished(publish.qos, publish.packet_id, ReasonCode::kSuccess);
  } else if (is_qos2 && answers.is_awaited_qos2(publish.packet_id)) {
    answers.push_repeated(publish.packet_id);
  } else if (is_qos2 && stored + answers.awaited_qos2() >= session_->limits_->max_inbound_qos2) {
    if (!is_v5()) {
      return fail(error(ReasonCode::kReceiveMaximumExceeded, "too many QoS 2 messages half done"),
                  in);
    }
    answers.push_finished(publish.qos, publish.packet_id, ReasonCode::kQuotaExceeded);
  } else if (!has_valid_payload(publish)) {
    answers.push_finished(publish.qos, publish.packet_id, ReasonCode::kPayloadFormatInvalid);
  } else {
    return in.events.on_publish(publish, answers.push(publish.qos, publish.packet_id));
  }
  flush_answers(in.out);
}

bool Connection::publish_done(PublishId id, ReasonCode reason, std::string_view reason_string,
                              Output& out) {
  SLUICE_CHECK(traffic_ != nullptr);
  const auto done = traffic_->answers.finish(id, reason, reason_string);
  if (done.qos == Qos::kExactlyOnce && !is_failure(reason) && session_) {
    session_->add_inbound(done.packet_id);
  }
  return flush_answers(out);
}

bool Connection::flush_answers(Output& out) {
  const bool was_open = state_ == State::kOpen;
  while (const auto answer = traffic_->answers.take()) {
    if (!is_v5() && is_failure(answer->reason)) {
      state_ = State::kClosed;
      continue;
    }
    put_ack({.type = answer->qos == Qos::kExactlyOnce ? PacketType::kPubrec : PacketType::kPuback,
             .packet_id = answer->packet_id,
             .reason = answer->reason,
             .reason_string = answer->reason_string},
            out);
  }
  return !was_open || state_ == State::kOpen;
}

void Connection::take_pubrel(const Ack& ack, Input& in) {
  const bool is_known = session_->remove_inbound(ack.packet_id);
  inherited_qos2_ =
      static_cast<std::uint16_t>(std::min<std::size_t>(inherited_qos2_, session_->inbound_.size()));
  if (is_known) return in.events.on_publish_released(ack.packet_id);
  put_ack({.type = PacketType::kPubcomp,
           .packet_id = ack.packet_id,
           .reason = ReasonCode::kPacketIdentifierNotFound},
          in.out);
}

void Connection::release_done(std::uint16_t packet_id, Output& out) {
  put_ack({.type = PacketType::kPubcomp, .packet_id = packet_id}, out);
}

void Connection::put_ack(Ack ack, Output& out) {
  if (state_ != State::kOpen) return;
  // [MQTT5-3.1.2-29]
  if (!sends_problem_information_ || !limits_->sends_reason_strings) ack.reason_string = {};
  if (put_within(client_max_packet_size_, out, ack, version_)) return;
  ack.reason_string = {};  // [MQTT5-3.4.2-2]
  put_within(client_max_packet_size_, out, ack, version_);
}

}  // namespace sluice::mqtt
