#include "sink_protocol.h"

#include <array>
#include <vector>

namespace sluice::load {

using mqtt::PacketType;

namespace {

/// Four bytes without the encoder: this is the floor, and the shape is the same in every version.
bool acknowledge(const mqtt::Frame& frame, PacketType type, std::size_t id_at, SinkFault fault,
                 mqtt::Output& out) {
  if (frame.body.size() < id_at + 2) return false;
  std::array<std::byte, 4> ack{static_cast<std::byte>(static_cast<unsigned>(type) << 4),
                               std::byte{2}, frame.body[id_at], frame.body[id_at + 1]};
  if (fault == SinkFault::kWrongId) ack[3] ^= std::byte{0x80};
  for (int times = fault == SinkFault::kTwice ? 2 : 1; times > 0; --times) {
    out.insert(out.end(), ack.begin(), ack.end());
  }
  return true;
}

/// Nothing is looked at but the packet id.
bool take_publish(const mqtt::Frame& frame, SinkFault fault, bool forwards, SinkAnswers& answers) {
  const unsigned qos = frame.flags >> 1 & 3U;
  if (fault == SinkFault::kHangUp) return false;
  if (qos == 0) {
    if (!forwards) return true;
    const std::byte* begin = frame.body.data() - (frame.size - frame.body.size());
    answers.to_subscriber.insert(answers.to_subscriber.end(), begin, begin + frame.size);
    return true;
  }
  if (frame.body.size() < 2) return false;
  const auto topic_size = std::to_integer<std::size_t>(frame.body[0]) << 8 |
                          std::to_integer<std::size_t>(frame.body[1]);
  return acknowledge(frame, qos == 1 ? PacketType::kPuback : PacketType::kPubrec, 2 + topic_size,
                     fault, answers.to_peer);
}

bool take_subscribe(const mqtt::Frame& frame, mqtt::Version version, SinkAnswers& answers) {
  const auto subscribe = decode_subscribe(frame, version);
  if (!subscribe) return false;
  const std::vector<mqtt::ReasonCode> granted(subscribe->filters.count());
  encode(mqtt::FilterAck{.packet_id = subscribe->packet_id, .reasons = granted}, version,
         answers.to_peer);
  answers.has_subscribed = true;
  return true;
}

}  // namespace

SinkFault sink_fault(std::string_view name) {
  return name == "wrong-id"  ? SinkFault::kWrongId
         : name == "twice"   ? SinkFault::kTwice
         : name == "refuse"  ? SinkFault::kRefuse
         : name == "busy"    ? SinkFault::kBusy
         : name == "hang-up" ? SinkFault::kHangUp
                             : SinkFault::kNone;
}

bool answer(const mqtt::Frame& frame, mqtt::Version& version, SinkFault fault, bool forwards,
            SinkAnswers& answers) {
  switch (frame.type) {
    case PacketType::kConnect: {
      const auto connect = decode_connect(frame);
      if (!connect) return false;
      version = connect->version;
      const bool is_second = ++answers.connects % 2 == 0;
      const auto reason = fault == SinkFault::kRefuse ? mqtt::ReasonCode::kNotAuthorized
                          : fault == SinkFault::kBusy && is_second ? mqtt::ReasonCode::kServerBusy
                                                                   : mqtt::ReasonCode::kSuccess;
      encode(mqtt::Connack{.reason = reason}, version, answers.to_peer);
      return true;
    }
    case PacketType::kPublish:
      return take_publish(frame, fault, forwards, answers);
    case PacketType::kPubrel:
      return acknowledge(frame, PacketType::kPubcomp, 0, fault, answers.to_peer);
    case PacketType::kSubscribe:
      return take_subscribe(frame, version, answers);
    case PacketType::kPingreq:
      if (fault == SinkFault::kHangUp) return false;
      mqtt::encode_pingresp(answers.to_peer);
      return true;
    case PacketType::kPuback:
      return true;
    default:
      return false;  // DISCONNECT, and what no client should send
  }
}

}  // namespace sluice::load
