#include "core/broker.h"
#include "core/client.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace sluice::front {

using mqtt::Qos;

void Client::on_writable(MonoTime) {
  send_more_retained();
  flush();
}

void Client::release_memory() {
  connection_.release_memory();
  session_.release_memory();
  if (output_.empty()) mqtt::Output().swap(output_);
}

void Client::flush() {
  if (link_ == nullptr || !is_accepted_ || has_ended_) return;
  const std::size_t most = broker_.options_.max_output;
  if (output_.size() < most) {
    connection_.deliver(broker_.ports_.clock.mono(), most - output_.size(), output_, *this);
  }
  if (!output_.empty()) link_->send_soon();
}

bool Client::may_receive(const mqtt::Delivery& delivery) const {
  // Of a QoS 2 message whose PUBREC came there is nothing left to receive but its end.
  return broker_.options_.is_conformance_profile || delivery.message == nullptr ||
         identity_->policy.may_receive(delivery.message->topic);
}

void Client::receive(mqtt::Delivery delivery, Done<Outcome> done) {
  FrontMetrics& metrics = broker_.ports_.metrics;
  // Rights may have changed since it subscribed, or since the message was queued or retained.
  if (!may_receive(delivery)) {
    metrics.count_dropped("receive_not_allowed");
    return done(Outcome::kNobody);
  }
  if (delivery.qos == Qos::kAtMostOnce) {
    // What has no promise is lost first to a client that does not read.
    if (output_.size() >= broker_.options_.max_output) {
      metrics.count_dropped("slow_client");
      return done(Outcome::kNobody);
    }
    const bool is_sent = connection_.send(delivery, broker_.ports_.clock.mono(), output_);
    if (is_sent) metrics.sent.add();
    if (is_sent && link_ != nullptr) link_->send_soon();
    return done(is_sent ? Outcome::kDelivered : Outcome::kNobody);
  }
  using Queued = mqtt::Session::Queued;
  if (session_.enqueue(delivery) == Queued::kFull &&
      !(session_.drop_expired(broker_.ports_.clock.mono(), *this) &&
        session_.enqueue(delivery) == Queued::kQueued)) {
    metrics.count_dropped("session_queue_full");
    return done(Outcome::kFull);
  }
  metrics.sent.add();
  if (!broker_.ports_.store.is_durable() || !outlives_connection()) {
    flush();
    return done(Outcome::kDelivered);
  }
  ++in_flight_;
  broker_.ports_.store.put_delivery(
      key_, epoch_, delivery, [this, delivery, done = std::move(done)](Result<> stored) mutable {
        if (!broker_.came_back(*this, stored)) {
          delivery.sequence = 0;
          pass_on({.parcel = {.delivery = std::move(delivery)}, .done = std::move(done)});
        } else {
          done(stored ? Result<Outcome>(Outcome::kDelivered)
                      : settle_unstored(delivery, std::move(stored).error()));
        }
        broker_.settle(*this);
      });
  flush();
}

// What was sent is delivered, whatever the store says: who were told otherwise would send it again,
// or to another member of its group. What was not sent yet is not going to be.
Result<Client::Outcome> Client::settle_unstored(const mqtt::Delivery& delivery, Error why) {
  using Withdrawn = mqtt::Session::Withdrawn;
  const Withdrawn withdrawn = session_.withdraw(delivery.sequence);
  if (withdrawn == Withdrawn::kDone) return Outcome::kDelivered;
  if (withdrawn == Withdrawn::kWithdrawn) {
    // The answer alone may have been lost.
    broker_.ports_.store.remove_delivery(key_, epoch_, delivery.sequence);
    if (why.code() == ErrorCode::kResourceExhausted) return Outcome::kFull;
    return fail(std::move(why));
  }
  // The connection ended with it unacknowledged and the session is let go of without it: nobody
  // knows whether the client has it.
  if (is_released_) return fail(ErrorCode::kUnavailable, "sent, and not stored: " + why.message());
  rare().unstored.push_back(delivery.sequence);
  broker_.ports_.metrics.unstored_deliveries.add();
  return Outcome::kDelivered;
}

// Before the session is let go of, so that its next connection sends them again.
void Client::store_again() {
  if (!rare_ || !outlives_connection() || is_fenced_) return;
  const std::vector<std::uint64_t> unstored = std::exchange(rare_->unstored, {});
  if (unstored.empty()) return;
  SessionStore& store = broker_.ports_.store;
  session_.for_each_delivery([&](const mqtt::Delivery& delivery) {
    if (!std::ranges::contains(unstored, delivery.sequence)) return;
    store.put_delivery(key_, epoch_, delivery, [&broker = broker_](const Result<>& stored) {
      if (!stored) broker.ports_.metrics.count_dropped("delivery_not_stored");
    });
  });
}

// The session is another front's by now: the message goes there once this one has let go of it.
void Client::pass_on(Waiting waiting) {
  if (owns_session_) return rare().parcels.push_back(std::move(waiting));
  broker_.deliver_waiting(key_, std::move(waiting));
}

}  // namespace sluice::front
