#include "core/client.h"

#include "core/broker.h"
#include "core/topic_route.h"

#include <algorithm>
#include <utility>

#include <sluice/base/check.h>
#include <sluice/base/planted_bug.h>

namespace sluice::front {
namespace {

constexpr std::string_view kClientDisconnect = "client_disconnect";

/// What comes nearest to it of the reasons that a CONNACK may give, [MQTT5-3.2.2.2].
mqtt::ReasonCode connack_reason(mqtt::ReasonCode reason) {
  switch (reason) {
    case mqtt::ReasonCode::kSessionTakenOver:
      return mqtt::ReasonCode::kServerBusy;
    case mqtt::ReasonCode::kServerShuttingDown:
    case mqtt::ReasonCode::kKeepAliveTimeout:
      return mqtt::ReasonCode::kServerUnavailable;
    case mqtt::ReasonCode::kAdministrativeAction:
      return mqtt::ReasonCode::kNotAuthorized;
    default:
      return reason;
  }
}

/// Of the reasons for which the server ends a connection those that are the device's doing: it came
/// again, here or at another front, since it had lost this one or shares its name with another; or
/// it fell silent. The others are changed rights, a drain and the like.
bool is_devices_doing(mqtt::ReasonCode reason) {
  return reason == mqtt::ReasonCode::kSessionTakenOver ||
         reason == mqtt::ReasonCode::kKeepAliveTimeout;
}

}  // namespace

Client::Client(Broker& broker, Link& link, Peer peer, std::uint32_t slot)
    : broker_(broker),
      link_(&link),
      connection_(broker.options_.connection),
      session_(broker.options_.session),
      peer_(std::make_unique<Peer>(std::move(peer))),
      slot_(slot) {}

Client::~Client() = default;

std::size_t Client::on_bytes(MonoTime now, std::span<const std::byte> bytes) {
  if (has_ended_) return bytes.size();
  const std::size_t taken = connection_.on_bytes(now, bytes, output_, *this);
  // Acknowledgements make room in the client's window, and some answers come without an event.
  if (is_accepted_ && !has_ended_) {
    send_more_retained();
    flush();
  } else if (link_ != nullptr && !output_.empty()) {
    link_->send_soon();
  }
  return taken;
}

std::chrono::milliseconds Client::keep_alive_limit() const {
  return std::chrono::milliseconds(1500) * connection_.keep_alive_seconds();
}

void Client::on_gone(std::string_view reason) {
  link_ = nullptr;
  if (has_ended_) return broker_.settle(*this);
  end(reason, true, Flaps::kYes);
}

void Client::on_close(const mqtt::Close& close) {
  if (close.session_expiry_seconds && expiry_seconds_ > 0) {
    expiry_seconds_ =
        std::min(*close.session_expiry_seconds, broker_.options_.max_session_expiry_seconds);
  }
  if (link_ != nullptr) link_->close_soon();
  if (!is_accepted_ && peer_) {
    broker_.ports_.observer.on_refused(*peer_, arrival_ ? arrival_->client_id : std::string_view(),
                                       close.reason, close.what);
  }
  const bool says_goodbye = close.by_client && !SLUICE_PLANTED_BUG("front_bans_the_polite");
  end(close.by_client ? kClientDisconnect : mqtt::to_string(close.reason), close.publishes_will,
      says_goodbye ? Flaps::kNo : Flaps::kYes);
}

void Client::disconnect(mqtt::ReasonCode reason, std::string_view reason_string,
                        std::string_view server_reference) {
  // A device that may no longer connect does not speak through its will either.
  close(reason, reason_string, server_reference,
        reason != mqtt::ReasonCode::kAdministrativeAction &&
            reason != mqtt::ReasonCode::kNotAuthorized);
}

void Client::close(mqtt::ReasonCode reason, std::string_view reason_string,
                   std::string_view server_reference, bool publishes_will) {
  if (has_ended_) return;
  if (!is_accepted_ && connection_.state() == mqtt::Connection::State::kConnecting) {
    return refuse(connack_reason(reason), reason_string);
  }
  connection_.disconnect(reason, reason_string, server_reference, output_);
  if (link_ != nullptr) link_->close_soon();
  // Fenced: its session has a later owner since this front was cut off or stood still.
  const bool flaps = (is_devices_doing(reason) && !is_fenced_) ||
                     SLUICE_PLANTED_BUG("front_bans_whom_it_sent_away");
  end(mqtt::to_string(reason), publishes_will, flaps ? Flaps::kYes : Flaps::kNo);
}

void Client::cut_off(mqtt::ReasonCode reason, std::string_view reason_string) {
  is_fenced_ = true;
  // A packet may be half sent, so its rest cannot be taken out from before a DISCONNECT.
  if (!has_ended_) {
    must_be_silent_ = !output_.empty() || (link_ != nullptr && link_->has_unsent());
  }
  disconnect(reason, reason_string);
}

void Client::end(std::string_view reason, bool publishes_will, Flaps flaps) {
  if (std::exchange(has_ended_, true)) return;
  if (!publishes_will) will_.reset();
  if (is_accepted_) {
    broker_.ports_.metrics.connections.add(-1);
    broker_.ports_.metrics.count_ended(reason);
    broker_.ports_.observer.on_ended(*this, epoch_.value(), reason);
    // How often the others may come is connects_per_client's to say.
    if (tenant_ && flaps == Flaps::kYes) {
      broker_.ports_.admission.on_disconnect(key_, broker_.ports_.clock.mono());
    }
  }
  broker_.on_ended(*this);
}

StoredSession Client::snapshot() const {
  StoredSession stored{.subscriptions = subscriptions_, .next_sequence = session_.next_sequence()};
  session_.for_each_delivery([&](const mqtt::Delivery& delivery) {
    if (delivery.qos != mqtt::Qos::kAtMostOnce) stored.deliveries.push_back(delivery);
  });
  const auto inbound = session_.inbound_qos2();
  stored.inbound_qos2.assign(inbound.begin(), inbound.end());
  return stored;
}

void Client::on_outbound_changed(const mqtt::Delivery& delivery) {
  if (!broker_.ports_.store.is_durable() || !outlives_connection()) return;
  if (delivery.qos == mqtt::Qos::kAtMostOnce) return;
  broker_.ports_.store.update_delivery(key_, epoch_, delivery);
}

void Client::on_outbound_done(const mqtt::Delivery& delivery, End end) {
  if (end == End::kTooLarge) broker_.ports_.metrics.count_dropped("larger_than_client_takes");
  if (end == End::kExpired) broker_.ports_.metrics.count_dropped("expired");
  if (!broker_.ports_.store.is_durable() || !outlives_connection()) return;
  if (delivery.qos == mqtt::Qos::kAtMostOnce) return;
  if (rare_) std::erase(rare_->unstored, delivery.sequence);
  broker_.ports_.store.remove_delivery(key_, epoch_, delivery.sequence);
}

}  // namespace sluice::front
