#include "subscribers.h"

#include "payload.h"

#include <format>

#include <sluice/mqtt/decoder.h>

namespace sluice::load {

using mqtt::PacketType;

Subscribers::Subscribers(swarm::Loop& loop, Tally& tally, const Group::Options& group,
                         std::string filter, mqtt::Qos qos)
    : Group(loop, tally, group), filter_(std::move(filter)), qos_(qos) {}

void Subscribers::on_ready(swarm::Connection& connection) {
  mqtt::FilterListBuilder filters(true, loop().version());
  filters.add({.filter = filter_, .qos = qos_});
  mqtt::Output out;
  encode(mqtt::Subscribe{.packet_id = 1, .filters = filters.view()}, loop().version(), out);
  loop().send(connection, out);
}

void Subscribers::on_lost(swarm::Connection&) { answers_.clear(); }

void Subscribers::on_frame(swarm::Connection& connection, const mqtt::Frame& frame) {
  switch (frame.type) {
    case PacketType::kSuback:
      return on_suback(frame);
    case PacketType::kPublish:
      return on_publish(frame);
    case PacketType::kPubrel:
      if (const auto ack = decode_ack(frame, loop().version())) {
        encode(mqtt::Ack{.type = PacketType::kPubcomp, .packet_id = ack->packet_id},
               loop().version(), answers_);
      }
      return;
    default:
      return Group::on_frame(connection, frame);
  }
}

void Subscribers::on_suback(const mqtt::Frame& frame) {
  const auto packet = decode_filter_ack(frame, loop().version());
  if (!packet || packet->packet_id != 1 || packet->reasons.size() != 1) {
    return tally().inconsistent("unexpected_suback");
  }
  if (is_failure(packet->reasons[0])) {
    return tally().failed(std::format("subscribe_{}", to_string(packet->reasons[0])));
  }
  ++granted_;
}

void Subscribers::on_publish(const mqtt::Frame& frame) {
  const auto packet = decode_publish(frame, loop().version());
  if (!packet) return tally().inconsistent("malformed_publish");
  ++tally().received;
  if (const auto stamp = read_stamp(packet->payload)) {
    tally().delivering.record(loop().now() - *stamp);
  }
  if (packet->qos == mqtt::Qos::kAtMostOnce) return;
  const auto type =
      packet->qos == mqtt::Qos::kAtLeastOnce ? PacketType::kPuback : PacketType::kPubrec;
  encode(mqtt::Ack{.type = type, .packet_id = packet->packet_id}, loop().version(), answers_);
}

void Subscribers::on_read_done(swarm::Connection& connection) {
  if (answers_.empty()) return;
  loop().send(connection, answers_);
  answers_.clear();
}

}  // namespace sluice::load
