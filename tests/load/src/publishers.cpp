#include "publishers.h"

#include "payload.h"

#include <algorithm>
#include <cmath>
#include <format>

#include <sluice/mqtt/decoder.h>

namespace sluice::load {

using mqtt::PacketType;
using mqtt::Qos;

namespace {

/// The longest the loop sleeps when nothing is due: deadlines are looked at in between.
constexpr std::chrono::milliseconds kLongestWait(10);

}  // namespace

Publishers::Publishers(swarm::Loop& loop, Tally& tally, const Clients& clients,
                       const Group::Options& group, const PublishOptions& options)
    : Group(loop, tally, group),
      options_(options),
      clients_(group.count),
      ring_(group.count),
      latencies_(&tally.answering) {
  const bool has_ids = options_.qos != Qos::kAtMostOnce;
  to_release_.reserve(options_.window);
  for (std::uint32_t place = 0; place < group.count; ++place) {
    Client& client = clients_[place];
    const std::uint32_t index = group.first + place;
    const std::string topic = options_.topic->make(index, clients.identity(index).client_id);
    const mqtt::Publish publish{.topic = topic,
                                .payload = std::as_bytes(std::span(options_.payload)),
                                .qos = options_.qos,
                                .packet_id = has_ids ? std::uint16_t{1} : std::uint16_t{0}};
    encode(publish, loop.version(), client.packet);
    const auto frame = mqtt::next_frame(client.packet, mqtt::kMaxRemainingLength).value().value();
    const std::size_t header = frame.size - frame.body.size();
    client.id_at = static_cast<std::uint32_t>(header + 2 + topic.size());
    client.stamp_at =
        static_cast<std::uint32_t>(client.packet.size() - options_.payload.size() + kStampAt);
    if (!has_ids) continue;
    client.slots.resize(options_.window);
    client.free.reserve(options_.window);
  }
}

void Publishers::on_ready(swarm::Connection& connection) {
  Client& client = clients_[connection.slot];
  client.free.clear();
  for (std::size_t id = client.slots.size(); id > 0; --id) {
    client.slots[id - 1].state = SlotState::kFree;
    client.free.push_back(static_cast<std::uint16_t>(id));
  }
  enqueue(connection);
}

void Publishers::on_lost(swarm::Connection& connection) {
  Client& client = clients_[connection.slot];
  const std::uint64_t lost = client.slots.size() - client.free.size();
  tally().failed("unanswered", lost);
  unanswered_ -= lost;
  if (std::exchange(client.awaits_pong, false)) --pings_;
  to_release_.clear();
}

void Publishers::begin(std::uint64_t count) {
  remaining_ = count;
  scheduled_ = 0;
  began_ = loop().now();
}

MonoTime Publishers::due(std::uint64_t message) const {
  const double nanoseconds = std::floor(static_cast<double>(message) * 1e9 / options_.rate);
  return began_ + std::chrono::nanoseconds(static_cast<std::int64_t>(nanoseconds));
}

void Publishers::stop() {
  const std::chrono::duration<double> passed = loop().now() - began_;
  const auto fallen_due = static_cast<std::uint64_t>(passed.count() * options_.rate);
  remaining_ = fallen_due - std::min(fallen_due, scheduled_);
}

bool Publishers::has_room(const swarm::Connection& connection) const {
  if (connection.state() != swarm::Connection::State::kOpen || connection.is_blocked())
    return false;
  if (options_.qos == Qos::kAtMostOnce) return true;
  const std::uint64_t wanted = std::min<std::uint64_t>(options_.batch, remaining_);
  return clients_[connection.slot].free.size() >= std::max<std::uint64_t>(wanted, 1);
}

void Publishers::enqueue(swarm::Connection& connection) {
  Client& client = clients_[connection.slot];
  if (client.is_queued || !has_room(connection)) return;
  client.is_queued = true;
  ring_[(ring_begin_ + ring_size_++) % ring_.size()] = connection.slot;
}

void Publishers::pump() {
  const bool is_paced = options_.rate > 0;
  const MonoTime now = loop().now();
  for (std::size_t turns = is_paced ? kUnlimited : ring_size_; turns > 0; --turns) {
    if (remaining_ == 0 || ring_size_ == 0) return;
    const std::uint64_t batch = std::min<std::uint64_t>(options_.batch, remaining_);
    if (is_paced && due(scheduled_ + batch - 1) > now) return;
    swarm::Connection& connection = places()[ring_[ring_begin_]];
    ring_begin_ = (ring_begin_ + 1) % ring_.size();
    --ring_size_;
    clients_[connection.slot].is_queued = false;
    if (has_room(connection)) send_batch(connection);
    enqueue(connection);
  }
}

std::chrono::nanoseconds Publishers::wait() const {
  if (remaining_ == 0 || ring_size_ == 0) return kLongestWait;
  if (options_.rate <= 0) return std::chrono::nanoseconds(0);
  const std::uint64_t batch = std::min<std::uint64_t>(options_.batch, remaining_);
  const auto until_due = due(scheduled_ + batch - 1) - loop().now();
  return std::clamp<std::chrono::nanoseconds>(until_due, std::chrono::nanoseconds(0), kLongestWait);
}

void Publishers::send_batch(swarm::Connection& connection) {
  Client& client = clients_[connection.slot];
  const bool is_paced = options_.rate > 0;
  const bool has_ids = options_.qos != Qos::kAtMostOnce;
  const std::uint64_t count = std::min<std::uint64_t>(options_.batch, remaining_);
  // QoS 0 without a stamp is not timed at all: reading the clock would be most of its cost.
  MonoTime when = has_ids || options_.is_stamped ? loop().now() : MonoTime();
  mqtt::Output& out = loop().scratch();
  out.clear();
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::size_t at = out.size();
    out.insert(out.end(), client.packet.begin(), client.packet.end());
    if (is_paced) when = due(scheduled_);
    ++scheduled_;
    if (has_ids) {
      const std::uint16_t id = client.free.back();
      client.free.pop_back();
      client.slots[id - 1U] = {.due = when, .state = SlotState::kPublished};
      out[at + client.id_at] = static_cast<std::byte>(id >> 8);
      out[at + client.id_at + 1] = static_cast<std::byte>(id & 0xff);
    }
    if (options_.is_stamped) {
      write_stamp(when, std::span(out).subspan(at + client.stamp_at, kStampSize));
    }
  }
  // Before the write, which may find that the connection is no more.
  remaining_ -= count;
  tally().sent += count;
  if (has_ids) unanswered_ += count;
  loop().send(connection, out);
}

void Publishers::on_frame(swarm::Connection& connection, const mqtt::Frame& frame) {
  switch (frame.type) {
    case PacketType::kPuback:
    case PacketType::kPubrec:
    case PacketType::kPubcomp:
      if (const auto ack = decode_ack(frame, loop().version())) {
        return on_ack(clients_[connection.slot], *ack);
      }
      return tally().inconsistent("malformed_acknowledgement");
    case PacketType::kPingresp:
      if (std::exchange(clients_[connection.slot].awaits_pong, false)) {
        --pings_;
        return;
      }
      [[fallthrough]];
    default:
      return Group::on_frame(connection, frame);
  }
}

void Publishers::on_ack(Client& client, const mqtt::Ack& ack) {
  const std::uint16_t id = ack.packet_id;
  const auto state =
      id == 0 || id > client.slots.size() ? SlotState::kFree : client.slots[id - 1U].state;
  const bool is_twice = options_.qos == Qos::kExactlyOnce;
  const bool fits = ack.type == PacketType::kPuback   ? state == SlotState::kPublished && !is_twice
                    : ack.type == PacketType::kPubrec ? state == SlotState::kPublished && is_twice
                                                      : state == SlotState::kReleased;
  if (!fits) return tally().inconsistent(std::format("unexpected_{}", to_string(ack.type)));
  if (ack.type == PacketType::kPubrec && !is_failure(ack.reason)) {
    client.slots[id - 1U].state = SlotState::kReleased;
    to_release_.push_back(id);
    return;
  }
  finish(client, id, ack.reason);
}

void Publishers::finish(Client& client, std::uint16_t id, mqtt::ReasonCode reason) {
  Slot& slot = client.slots[id - 1U];
  slot.state = SlotState::kFree;
  client.free.push_back(id);
  --unanswered_;
  if (is_failure(reason)) return tally().failed(std::format("publish_{}", to_string(reason)));
  ++tally().acked;
  latencies_->record(loop().now() - slot.due);
}

void Publishers::on_read_done(swarm::Connection& connection) {
  if (!to_release_.empty()) {
    mqtt::Output& out = loop().scratch();
    out.clear();
    for (const std::uint16_t id : to_release_) {
      encode(mqtt::Ack{.type = PacketType::kPubrel, .packet_id = id}, loop().version(), out);
    }
    to_release_.clear();
    loop().send(connection, out);
  }
  if (options_.rate > 0 || options_.qos == Qos::kAtMostOnce) return enqueue(connection);
  // Without a pace whoever was answered goes on at once: that keeps a fast server busy.
  while (remaining_ > 0 && has_room(connection)) send_batch(connection);
}

bool Publishers::is_done() const {
  return (remaining_ == 0 && unanswered_ == 0) || open_count() == 0;
}

void Publishers::begin_flush() {
  mqtt::Output ping;
  mqtt::encode_pingreq(ping);
  for (swarm::Connection& connection : places()) {
    if (connection.state() != swarm::Connection::State::kOpen) continue;
    ++pings_;
    clients_[connection.slot].awaits_pong = true;
    loop().send(connection, ping);
  }
}

void Publishers::give_up() {
  tally().failed("unanswered", unanswered_);
  if (remaining_ != kUnlimited) tally().failed("not_sent", remaining_);
  remaining_ = 0;
  unanswered_ = 0;
}

}  // namespace sluice::load
