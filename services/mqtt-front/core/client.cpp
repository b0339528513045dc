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
  end(reason, true);
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
  end(close.by_client ? kClientDisconnect : mqtt::to_string(close.reason), close.publishes_will);
}

void Client::disconnect(mqtt::ReasonCode reason, std::string_view reason_string,
                        std::string_view server_reference) {
  if (has_ended_) return;
  if (!is_accepted_ && connection_.state() == mqtt::Connection::State::kConnecting) {
    return refuse(connack_reason(reason), reason_string);
  }
  connection_.disconnect(reason, reason_string, server_reference, output_);
  if (link_ != nullptr) link_->close_soon();
  // A device that may no longer connect does not speak through its will either.
  end(mqtt::to_string(reason), reason != mqtt::ReasonCode::kAdministrativeAction &&
                                   reason != mqtt::ReasonCode::kNotAuthorized);
}

void Client::cut_off(mqtt::ReasonCode reason, std::string_view reason_string) {
  is_fenced_ = true;
  // A packet may be half sent, so its rest cannot be taken out from before a DISCONNECT.
  if (!has_ended_) must_be_silent_ = !output_.empty();
  disconnect(reason, reason_string);
}

void Client::end(std::string_view reason, bool publishes_will) {
  if (std::exchange(has_ended_, true)) return;
  if (!publishes_will) will_.reset();
  if (is_accepted_) {
    broker_.ports_.metrics.connections.add(-1);
    broker_.ports_.metrics.count_ended(reason);
    broker_.ports_.observer.on_ended(*this, epoch_.value(), reason);
    // A device that says goodbye is no flapping one: how often it may come is
    // connects_per_client's to say.
    const bool is_clean =
        reason == kClientDisconnect && !SLUICE_PLANTED_BUG("front_bans_the_polite");
    if (tenant_ && !is_clean && !broker_.is_draining_ && !broker_.is_dropping_) {
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

void Client::on_publish_released(std::uint16_t packet_id) {
  if (!broker_.ports_.store.is_durable() || !outlives_connection()) {
    return connection_.release_done(packet_id, output_);
  }
  ++in_flight_, ++qos2_in_flight_;  // the session is not let go of before the store has done it
  forget_inbound(packet_id);
  if (SLUICE_PLANTED_BUG("front_completes_unforgotten")) {
    connection_.release_done(packet_id, output_);
  }
}

// A packet id that the store still took for half done would swallow the next message that has it,
// in a later connection: acknowledged, and in Kafka never. Hence the client is told, and may use it
// again, only once the store has forgotten it, and the store is asked until it has. One that cannot
// be reached answers when its commands run out of time, so this is no busy loop.
void Client::forget_inbound(std::uint16_t packet_id) {
  broker_.ports_.store.remove_inbound(
      key_, epoch_, packet_id, [this, packet_id](const Result<>& done) {
        if (!done && is_retryable(done.error().code()) && done.error().reason() != "fenced") {
          return forget_inbound(packet_id);
        }
        --qos2_in_flight_;
        if (broker_.came_back(*this, done) && done && link_ != nullptr && !has_ended_) {
          connection_.release_done(packet_id, output_);
          link_->send_soon();
        }
        broker_.settle(*this);
      });
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
  broker_.ports_.store.remove_delivery(key_, epoch_, delivery.sequence);
}

}  // namespace sluice::front
