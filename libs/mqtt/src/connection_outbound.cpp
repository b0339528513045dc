#include "connection_parts.h"

#include <algorithm>

// What is sent to a client, and how it answers.
namespace sluice::mqtt {

namespace {

using End = SessionChanges::End;

DecodeError protocol_error(std::string_view what) {
  return {.reason = ReasonCode::kProtocolError, .what = what};
}

/// The reasons that each acknowledgement may give, [MQTT5-3.4.2-1] and the like.
bool is_allowed(PacketType type, ReasonCode reason) {
  if (type == PacketType::kPubrel || type == PacketType::kPubcomp) {
    return reason == ReasonCode::kSuccess || reason == ReasonCode::kPacketIdentifierNotFound;
  }
  switch (reason) {
    case ReasonCode::kSuccess:
    case ReasonCode::kNoMatchingSubscribers:
    case ReasonCode::kUnspecifiedError:
    case ReasonCode::kImplementationSpecificError:
    case ReasonCode::kNotAuthorized:
    case ReasonCode::kTopicNameInvalid:
    case ReasonCode::kPacketIdentifierInUse:
    case ReasonCode::kQuotaExceeded:
    case ReasonCode::kPayloadFormatInvalid:
      return true;
    default:
      return false;
  }
}

/// What is left of a message's life, rounded up so that it is not 0 before it has ended. One that
/// must be sent again although it has ended says 0.
std::uint32_t seconds_left(MonoTime expires_at, MonoTime now) {
  if (expires_at <= now) return 0;
  return static_cast<std::uint32_t>(
      std::chrono::ceil<std::chrono::seconds>(expires_at - now).count());
}

Publish to_publish(const Delivery& delivery, bool dup, MonoTime now) {
  const Message& message = *delivery.message;
  Publish publish{.topic = message.topic,
                  .payload = std::as_bytes(std::span(message.payload)),
                  .qos = delivery.qos,
                  .dup = dup,
                  .retain = delivery.retain,
                  .packet_id = delivery.packet_id};
  publish.properties.payload_format = message.payload_format;
  if (message.expires_at) {
    publish.properties.expiry_seconds = seconds_left(*message.expires_at, now);
  }
  publish.properties.content_type = message.content_type;
  publish.properties.response_topic = message.response_topic;
  if (message.correlation_data) {
    publish.properties.correlation_data = std::as_bytes(std::span(*message.correlation_data));
  }
  publish.properties.subscription_ids = delivery.subscription_ids;
  publish.properties.user = UserProperties(message.user_properties, message.user_property_count);
  return publish;
}

}  // namespace

void Connection::take_ack(const Frame& frame, Input& in) {
  const auto ack = decode_ack(frame, version_);
  if (!ack) return fail(ack.error(), in);
  if (!is_allowed(ack->type, ack->reason)) {
    return fail(protocol_error("a reason that this packet does not give [MQTT5-3.4.2-1]"), in);
  }
  ack->type == PacketType::kPubrel ? take_pubrel(*ack, in) : take_outbound_ack(*ack, in);
}

/// PUBACK, PUBREC, PUBCOMP.
void Connection::take_outbound_ack(const Ack& ack, Input& in) {
  const std::size_t under_way = session_->under_way();
  std::size_t index = 0;
  while (index < under_way && session_->queue_->tracked[index].packet_id != ack.packet_id) ++index;
  if (index == under_way) {
    // Nothing of ours: a PUBACK or PUBCOMP that came late ends what has ended. A PUBREC wants an
    // answer, or the client would keep the message for ever.
    if (ack.type == PacketType::kPubrec && !is_failure(ack.reason)) {
      put_ack({.type = PacketType::kPubrel,
               .packet_id = ack.packet_id,
               .reason = ReasonCode::kPacketIdentifierNotFound},
              in.out);
    }
    return;
  }
  Delivery& delivery = session_->queue_->tracked[index];
  if ((ack.type == PacketType::kPuback) != (delivery.qos == Qos::kAtLeastOnce)) {
    return fail(protocol_error("acknowledgement of another QoS [MQTT5-4.3.2]"), in);
  }
  if (is_failure(ack.reason) && ack.type != PacketType::kPubcomp) {
    return end_delivery(index, End::kRefusedByClient, in.events);
  }
  if (ack.type == PacketType::kPuback) return end_delivery(index, End::kAcknowledged, in.events);
  const bool is_released = delivery.state == Delivery::State::kReleased;
  if (ack.type == PacketType::kPubcomp) {
    if (!is_released) return fail(protocol_error("PUBCOMP before PUBREC [MQTT5-4.3.3]"), in);
    return end_delivery(index, End::kAcknowledged, in.events);
  }
  const std::uint16_t packet_id = delivery.packet_id;
  if (!is_released) {
    delivery.state = Delivery::State::kReleased;
    session_->queue_->bytes -= delivery.message->size_bytes();
    delivery.message.reset();
    in.events.on_outbound_changed(delivery);
  }
  put_ack({.type = PacketType::kPubrel, .packet_id = packet_id}, in.out);
}

void Connection::end_delivery(std::size_t index, End end, SessionChanges& changes) {
  auto& queue = *session_->queue_;
  // Taken out before it is told, so that whoever is told finds the session as it is to be.
  const Delivery ended = std::move(queue.tracked[index]);
  queue.tracked.erase(index);
  if (index < queue.under_way) --queue.under_way;
  if (index < sent_) --sent_;
  if (ended.message) queue.bytes -= ended.message->size_bytes();
  changes.on_outbound_done(ended, end);
}

bool Connection::deliver(MonoTime now, std::size_t max_bytes, Output& out,
                         SessionChanges& changes) {
  const std::size_t start = out.size();
  while (state_ == State::kOpen && session_->queue_) {
    auto& queue = *session_->queue_;
    const bool has_tracked =
        sent_ < queue.tracked.size() &&
        (sent_ < send_maximum_ || queue.tracked[sent_].state == Delivery::State::kReleased);
    const bool has_qos0 = !queue.qos0.empty();
    if (!has_tracked && !has_qos0) return true;
    if (out.size() - start >= max_bytes) return false;
    // As they were queued, as long as nothing is held back.
    if (has_qos0 && (!has_tracked || queue.qos0.front().sequence < queue.tracked[sent_].sequence)) {
      deliver_qos0(now, out, changes);
    } else {
      deliver_tracked(now, out, changes);
    }
  }
  return true;
}

void Connection::deliver_qos0(MonoTime now, Output& out, SessionChanges& changes) {
  auto& queue = *session_->queue_;
  const Delivery delivery = std::move(queue.qos0.front());
  queue.qos0.pop_front();
  queue.bytes -= delivery.message->size_bytes();
  End end = End::kExpired;
  if (!delivery.message->has_expired(now)) {
    end = write_message(delivery, false, now, out) ? End::kAcknowledged : End::kTooLarge;
  }
  changes.on_outbound_done(delivery, end);
}

/// The next one of QoS 1 or 2, which may have been sent on an earlier connection,
/// [MQTT5-4.4.0-1]. Once begun, it is sent again even when its life is over meanwhile.
void Connection::deliver_tracked(MonoTime now, Output& out, SessionChanges& changes) {
  auto& queue = *session_->queue_;
  Delivery& delivery = queue.tracked[sent_];
  if (delivery.state == Delivery::State::kReleased) {
    put_ack({.type = PacketType::kPubrel, .packet_id = delivery.packet_id}, out);
    ++sent_;
    return;
  }
  const bool is_first_time = delivery.state == Delivery::State::kWaiting;
  if (is_first_time) {
    if (delivery.message->has_expired(now)) return end_delivery(sent_, End::kExpired, changes);
    delivery.packet_id = session_->take_packet_id();
  }
  if (!write_message(delivery, !is_first_time, now, out)) {
    return end_delivery(sent_, End::kTooLarge, changes);
  }
  ++sent_;
  if (!is_first_time) return;
  delivery.state = Delivery::State::kSent;
  ++queue.under_way;
  changes.on_outbound_changed(delivery);
}

bool Connection::send(const Delivery& delivery, MonoTime now, Output& out) {
  SLUICE_CHECK(delivery.qos == Qos::kAtMostOnce);
  if (state_ != State::kOpen || delivery.message->has_expired(now)) return false;
  return write_message(delivery, false, now, out);
}

/// False: larger than the client takes, [MQTT5-3.1.2-25].
bool Connection::write_message(const Delivery& delivery, bool dup, MonoTime now, Output& out) {
  Publish publish = to_publish(delivery, dup, now);
  // The object itself is larger than the fixed header, lengths and property identifiers.
  static_assert(sizeof(Message) > 64);
  const std::size_t at_most = delivery.message->size_bytes() + 5 * delivery.subscription_ids.size();
  const std::size_t most = std::min(limits_->outgoing_topic_aliases, client_topic_alias_maximum_);
  if (most == 0) return write_publish(publish, at_most, out);
  auto& aliases = traffic().outbound_aliases;
  const auto known = std::ranges::find(aliases, publish.topic);
  if (known == aliases.end() && aliases.size() == most) return write_publish(publish, at_most, out);
  publish.properties.topic_alias = static_cast<std::uint16_t>(known - aliases.begin() + 1);
  if (known != aliases.end()) {
    publish.topic = {};
    return write_publish(publish, at_most, out);
  }
  if (write_publish(publish, at_most, out)) {
    aliases.emplace_back(publish.topic);
    return true;
  }
  publish.properties.topic_alias.reset();  // it may be what makes it too large
  return write_publish(publish, at_most, out);
}

/// `at_most`: more than it can measure, so that it is measured only where it might not fit; most
/// clients name no maximum.
bool Connection::write_publish(const Publish& publish, std::size_t at_most, Output& out) {
  if (at_most > client_max_packet_size_ &&
      encoded_size(publish, version_) > client_max_packet_size_) {
    return false;
  }
  encode(publish, version_, out);
  return true;
}

}  // namespace sluice::mqtt
