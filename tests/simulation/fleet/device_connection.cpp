// How a device comes in, and again; what it says then is in device.cpp.
#include "fleet/device.h"

#include <algorithm>
#include <utility>

#include <sluice/base/check.h>

namespace sluice::simulation {
namespace {

using namespace std::chrono_literals;

constexpr std::uint32_t kSessionExpirySeconds = 3600;

}  // namespace

void Device::connect() {
  auto stream = std::make_shared<Stream>(world_, 1000 * (index_ + 1) + connects_++ % 1000);
  const bool is_offline = traffic_.fleet().is_offline(index_, world_.elapsed());
  if (is_offline || !door_.accept(stream)) {
    const Duration most = std::min<Duration>(50ms * (1 << std::min(failures_++, 5)), 1s);
    world_.after(world_.between(1ms, most), [this] { connect(); });
    return;
  }
  stream_ = std::move(stream);
  stream_->attach(Stream::Side::kDevice, *this);
  stream_->watch(Stream::Side::kFront, [this, watched = stream_.get()](auto bytes) {
    if (watched == stream_.get()) look_ahead(bytes);
  });
  unread_.clear();
  output_.clear();
  const SimRegistry::Device& self = traffic_.device(index_);
  mqtt::encode(mqtt::Connect{.version = version_,
                             .clean_start = is_clean_,
                             .client_id = self.id,
                             .user_name = self.id,
                             .password = std::as_bytes(std::span(self.token)),
                             .session_expiry_seconds = is_clean_ ? 0 : kSessionExpirySeconds},
               output_);
  send();
}

void Device::on_gone(std::string_view /*reason*/) {
  stream_.reset();
  is_accepted_ = false;
  // What it may not say is not worth saying twice.
  std::erase_if(pending_, [](const Pending& pending) { return !pending.said; });
  const Duration most = std::min<Duration>(50ms * (1 << std::min(failures_++, 5)), 1s);
  world_.after(world_.between(1ms, most), [this] { connect(); });
}

void Device::on_bytes(std::span<const std::byte> bytes) {
  unread_.insert(unread_.end(), bytes.begin(), bytes.end());
  std::span<const std::byte> rest = unread_;
  while (!rest.empty()) {
    const auto frame = mqtt::next_frame(rest, mqtt::kMaxRemainingLength);
    SLUICE_CHECK(frame.has_value());
    if (!*frame) break;
    on_frame(**frame);
    rest = rest.subspan((*frame)->size);
  }
  unread_.erase(unread_.begin(), unread_.end() - static_cast<std::ptrdiff_t>(rest.size()));
  send();
  say();
}

void Device::on_frame(const mqtt::Frame& frame) {
  switch (frame.type) {
    case mqtt::PacketType::kConnack:
      return on_connack(mqtt::decode_connack(frame, version_).value());
    case mqtt::PacketType::kPublish:
      return on_publish(mqtt::decode_publish(frame, version_).value());
    case mqtt::PacketType::kPuback:
    case mqtt::PacketType::kPubrec:
    case mqtt::PacketType::kPubrel:
    case mqtt::PacketType::kPubcomp:
      return on_ack(mqtt::decode_ack(frame, version_).value());
    case mqtt::PacketType::kSuback: {
      const auto suback = mqtt::decode_filter_ack(frame, version_).value();
      if (suback.packet_id != trespass_subscribe_id_) return;
      for (const auto reason : suback.reasons) {
        if (!mqtt::is_failure(reason))
          observer_.on_trespass(index_, "subscribed to others' topics");
      }
      return;
    }
    default:
      return;  // DISCONNECT: the end of the stream follows
  }
}

void Device::on_connack(const mqtt::Connack& connack) {
  if (mqtt::is_failure(connack.reason)) return;  // the front closes
  is_accepted_ = true;
  failures_ = 0;
  if (!connack.session_present) subscribe();
  resend(connack.session_present);
}

/// In the order in which it was first said, [MQTT-4.6.0-1]. A server that knows nothing of the
/// session any more is told all of it as something new.
void Device::resend(bool session_present) {
  if (!session_present) {
    std::erase_if(pending_, [](const Pending& pending) { return pending.is_received; });
  }
  for (const Pending& pending : pending_) {
    if (pending.is_received) {
      send_ack(mqtt::PacketType::kPubrel, pending.packet_id);
    } else {
      publish(pending, session_present);
    }
  }
}

void Device::subscribe() {
  const auto ask = [&](std::vector<std::string> filters) {
    mqtt::FilterListBuilder list(true, version_);
    for (const std::string& filter : filters) {
      list.add({.filter = filter, .qos = mqtt::Qos::kAtLeastOnce});
    }
    const std::uint16_t packet_id = next_packet_id();
    mqtt::encode(mqtt::Subscribe{.packet_id = packet_id, .filters = list.view()}, version_,
                 output_);
    return packet_id;
  };
  ask({traffic_.topic(index_, "commands/#")});
  if (!trespasses_) return;
  trespass_subscribe_id_ =
      ask({traffic_.topic(1, "commands/#"), "tenant/+/device/+/telemetry", "#"});
}

void Device::send() {
  if (stream_ && !output_.empty()) stream_->send(Stream::Side::kDevice, output_);
  output_.clear();
}

}  // namespace sluice::simulation
