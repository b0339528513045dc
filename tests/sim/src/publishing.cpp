// What devices publish, and what becomes of it.
#include "simulation.h"

#include <algorithm>
#include <format>
#include <span>

#include <sluice/mqtt/decoder.h>

namespace sluice::sim {

namespace {

using std::chrono::milliseconds;

/// A message is a replay where it was made so much before its device came back: less is what waking
/// up late may cost.
constexpr milliseconds kReplayAge(200);
/// Bytes of one write of a device that has much to tell.
constexpr std::size_t kMaxOutput = 64 * 1024;

/// Answers that promise that the message went nowhere. "Unspecified error" does not: what was not
/// confirmed in time may still be stored.
bool says_never(mqtt::ReasonCode reason) { return reason != mqtt::ReasonCode::kUnspecifiedError; }

}  // namespace

void Simulation::publish_due(std::uint32_t index) {
  Device& device = devices_[index];
  swarm::Connection& connection = connections_[index];
  if (connection.is_blocked()) return;  // on_writable() goes on
  const Fleet::Time time = now();
  output_.clear();
  bool is_full = false;
  Fleet::Time due = fleet_.due(index, device.next);
  while (due <= time && due < end_) {
    is_full = device.in_flight.size() >= options_.window || output_.size() >= kMaxOutput;
    if (is_full) break;
    const mqtt::Qos qos = fleet_.qos(index, device.next);
    InFlight message{.sequence = device.next,
                     .packet_id = 0,
                     .step = Step::kPublished,
                     .is_buffered = due + kReplayAge < device.online_since,
                     .was_resent = false,
                     .sent_at = clock_.mono()};
    if (qos != mqtt::Qos::kAtMostOnce) message.packet_id = free_packet_id(device);
    append_publish(index, message, qos, false, output_);
    if (ledger_.published[index].insert(message.sequence) && message.is_buffered)
      ++counts_.buffered;
    if (qos != mqtt::Qos::kAtMostOnce) {
      device.in_flight.push_back(message);
      ++counts_.unanswered;
    }
    device.repeats_next = !device.repeats_next && fleet_.is_repeated(index, message.sequence);
    if (!device.repeats_next) ++device.next;
    due = fleet_.due(index, device.next);
  }
  if (!output_.empty()) loop_.send(connection, output_);
  if (device.state != State::kOnline) return;  // it broke meanwhile
  // Where its window is full, an answer wakes it; it may still go away before.
  const MonoTime change = mono(fleet_.next_change(index, time));
  const bool has_more = !is_full && due < end_;
  if (is_full && device.in_flight.size() < options_.window) return wake_at(index, clock_.mono());
  wake_at(index, has_more ? std::min(change, mono(due)) : change);
}

void Simulation::append_publish(std::uint32_t device, const InFlight& message, mqtt::Qos qos,
                                bool is_dup, mqtt::Output& out) {
  fleet_.write_payload(device, message.sequence, message.is_buffered, payload_);
  mqtt::Publish publish{.topic = devices_[device].topic,
                        .payload = std::as_bytes(std::span(payload_)),
                        .qos = qos,
                        .dup = is_dup,
                        .packet_id = message.packet_id};
  const mqtt::Version version = fleet_.version(device);
  if (message.is_buffered && version == mqtt::Version::kV5) {
    publish.properties.user = buffered_property_.view();
  }
  encode(publish, version, out);
  ++counts_.publishes;
}

std::uint16_t Simulation::free_packet_id(Device& device) const {
  // A window is far smaller than the ids there are, so the next free one is near.
  do {
    ++device.last_packet_id;
  } while (device.last_packet_id == 0 ||
           std::ranges::contains(device.in_flight, device.last_packet_id, &InFlight::packet_id));
  return device.last_packet_id;
}

void Simulation::resend(std::uint32_t index) {
  Device& device = devices_[index];
  swarm::Connection& connection = connections_[index];
  if (!connection.had_session()) {
    // The server knows nothing of these releases, and owns the messages already.
    const auto released = std::erase_if(
        device.in_flight, [](const InFlight& message) { return message.step == Step::kReleased; });
    counts_.unanswered -= released;
  }
  output_.clear();
  for (InFlight& message : device.in_flight) {
    ++counts_.resent;
    ledger_.resent[index].insert(message.sequence);
    message.was_resent = true;
    message.sent_at = clock_.mono();
    if (message.step == Step::kReleased) {
      encode(mqtt::Ack{.type = mqtt::PacketType::kPubrel, .packet_id = message.packet_id},
             connection.version(), output_);
    } else {
      // DUP says that this session sends it again; in a new session it is new.
      append_publish(index, message, fleet_.qos(index, message.sequence), connection.had_session(),
                     output_);
    }
  }
  if (!output_.empty()) loop_.send(connection, output_);
}

void Simulation::on_frame(swarm::Connection& connection, const mqtt::Frame& frame) {
  switch (frame.type) {
    case mqtt::PacketType::kPuback:
    case mqtt::PacketType::kPubrec:
    case mqtt::PacketType::kPubcomp:
      if (const auto ack = decode_ack(frame, connection.version())) {
        return on_ack(connection.slot, *ack);
      }
      return fault("malformed_acknowledgement");
    default:
      return fault(std::format("unasked_{}", to_string(frame.type)));
  }
}

void Simulation::on_ack(std::uint32_t index, const mqtt::Ack& ack) {
  Device& device = devices_[index];
  const auto found = std::ranges::find(device.in_flight, ack.packet_id, &InFlight::packet_id);
  if (found == device.in_flight.end()) return fault(std::format("unknown_{}", to_string(ack.type)));
  const bool is_exact = fleet_.qos(index, found->sequence) == mqtt::Qos::kExactlyOnce;
  const bool is_first = found->step == Step::kPublished;
  const bool fits = ack.type == mqtt::PacketType::kPuback   ? !is_exact
                    : ack.type == mqtt::PacketType::kPubrec ? is_exact && is_first
                                                            : !is_first;
  if (!fits) return fault(std::format("unexpected_{}", to_string(ack.type)));
  if (is_failure(ack.reason)) {
    // Not acknowledged, and the specification forbids to send it again: it is published, no more.
    ++counts_.ends[std::format("publish_{}", to_string(ack.reason))];
    if (says_never(ack.reason)) ledger_.refused[index].insert(found->sequence);
  } else if (is_first) {
    ++counts_.acks;
    if (!found->was_resent) {
      const auto took = clock_.mono() - found->sent_at;
      answering_.record(took);
      recent_.record(took);
    }
    ledger_.acknowledged[index].insert(found->sequence);
    if (on_acknowledged) on_acknowledged(index, found->sequence);
    if (is_exact) {
      found->step = Step::kReleased;
      encode(mqtt::Ack{.type = mqtt::PacketType::kPubrel, .packet_id = ack.packet_id},
             connections_[index].version(), releases_);
      return;
    }
  }
  device.in_flight.erase(found);
  --counts_.unanswered;
}

}  // namespace sluice::sim
