#include "fleet/device.h"

#include <algorithm>
#include <format>
#include <utility>

#include <sluice/base/check.h>

namespace sluice::simulation {
namespace {

using namespace std::chrono_literals;

// Unanswered at once. One read of the front brings as many at most.
constexpr std::size_t kWindow = 8;

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

}  // namespace

Device::Device(World& world, const Traffic& traffic, std::uint32_t index, FrontDoor& door,
               DeviceObserver& observer)
    : world_(world),
      traffic_(traffic),
      index_(index),
      door_(door),
      observer_(observer),
      version_(traffic.fleet().version(index)),
      is_clean_(world.random.chance(0.3)),
      trespasses_(index == 0) {}

void Device::start() {
  world_.after(world_.between(0ms, 500ms), [this] { connect(); });
  make_next();
}

bool Device::is_done() const {
  return next_ == traffic_.messages() && due_.empty() && pending_.empty();
}

void Device::cut() {
  if (stream_) stream_->cut();
}

// --- Messages

void Device::make_next() {
  const auto at = traffic_.fleet().due(index_, next_);
  world_.after(std::max<Duration>(at - world_.elapsed(), 0ns), [this] {
    const Due due{{index_, next_}, traffic_.fleet().is_offline(index_, world_.elapsed())};
    due_.push_back(due);
    if (traffic_.fleet().is_repeated(index_, next_)) due_.push_back(due);
    if (++next_ < traffic_.messages()) make_next();
    say();
  });
}

void Device::say() {
  if (!is_accepted_) return;
  while (!due_.empty() && pending_.size() < kWindow) {
    const Due due = due_.front();
    due_.pop_front();
    Pending pending{.said = due.said,
                    .qos = traffic_.fleet().qos(index_, due.said.sequence),
                    .topic = traffic_.topic(index_, "telemetry"),
                    .payload = {}};
    traffic_.write_payload(due.said, due.is_buffered, pending.payload);
    publish_new(std::move(pending));
    if (trespasses_ && world_.random.chance(0.2)) trespass();
  }
  send();
}

/// Speaks in the name of another device, of its own tenant or of another.
void Device::trespass() {
  const auto victim = 1 + static_cast<std::uint32_t>(world_.random.below(traffic_.size() - 1));
  const bool is_telemetry = world_.random.chance(0.5);
  publish_new({.said = {},
               .topic = traffic_.topic(victim, is_telemetry ? "telemetry" : "commands/stolen"),
               .payload = std::format("from {}", traffic_.key(index_))});
}

void Device::publish_new(Pending pending) {
  if (pending.qos != mqtt::Qos::kAtMostOnce) pending.packet_id = next_packet_id();
  publish(pending, false);
  if (pending.qos != mqtt::Qos::kAtMostOnce) pending_.push_back(std::move(pending));
}

void Device::publish(const Pending& pending, bool is_dup) {
  mqtt::encode(mqtt::Publish{.topic = pending.topic,
                             .payload = bytes_of(pending.payload),
                             .qos = pending.qos,
                             .dup = is_dup,
                             .packet_id = pending.packet_id},
               version_, output_);
}

std::uint16_t Device::next_packet_id() {
  do {
    if (++last_packet_id_ == 0) ++last_packet_id_;
  } while (find(last_packet_id_) != nullptr);
  return last_packet_id_;
}

Device::Pending* Device::find(std::uint16_t packet_id) {
  const auto found = std::ranges::find(pending_, packet_id, &Pending::packet_id);
  return found == pending_.end() ? nullptr : &*found;
}

// --- Answers

/// What the front sends, before it is under way: an acknowledgement that comes too early must not
/// be hidden by a slow network.
void Device::look_ahead(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const auto frame = mqtt::next_frame(bytes, mqtt::kMaxRemainingLength);
    SLUICE_CHECK(frame && *frame);  // the front sends whole packets
    const mqtt::PacketType type = (*frame)->type;
    if (type == mqtt::PacketType::kPuback || type == mqtt::PacketType::kPubrec) {
      const auto ack = mqtt::decode_ack(**frame, version_);
      SLUICE_CHECK(ack.has_value());
      const Pending* const pending = find(ack->packet_id);
      const bool is_success = !mqtt::is_failure(ack->reason);
      if (is_success && pending != nullptr && pending->said) {
        observer_.on_acknowledging(*pending->said);
      }
    }
    bytes = bytes.subspan((*frame)->size);
  }
}

void Device::on_ack(const mqtt::Ack& ack) {
  if (ack.type == mqtt::PacketType::kPubrel) {
    return send_ack(mqtt::PacketType::kPubcomp, ack.packet_id);
  }
  Pending* const pending = find(ack.packet_id);
  if (pending == nullptr) return;
  const bool is_success = !mqtt::is_failure(ack.reason);
  if (is_success && ack.type != mqtt::PacketType::kPubcomp) {
    if (pending->said) {
      observer_.on_acknowledged(*pending->said);
    } else {
      observer_.on_trespass(index_, std::format("published to {}", pending->topic));
    }
  }
  if (is_success && ack.type == mqtt::PacketType::kPubrec) {
    pending->is_received = true;
    return send_ack(mqtt::PacketType::kPubrel, ack.packet_id);
  }
  pending_.erase(pending_.begin() + (pending - &pending_.front()));
}

void Device::on_publish(const mqtt::Publish& publish) {
  observer_.on_command(
      index_, publish.topic,
      {reinterpret_cast<const char*>(publish.payload.data()), publish.payload.size()});
  if (publish.qos == mqtt::Qos::kAtLeastOnce) {
    send_ack(mqtt::PacketType::kPuback, publish.packet_id);
  } else if (publish.qos == mqtt::Qos::kExactlyOnce) {
    send_ack(mqtt::PacketType::kPubrec, publish.packet_id);
  }
}

void Device::send_ack(mqtt::PacketType type, std::uint16_t packet_id) {
  mqtt::encode(mqtt::Ack{.type = type, .packet_id = packet_id}, version_, output_);
}

}  // namespace sluice::simulation
