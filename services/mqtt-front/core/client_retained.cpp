#include "core/broker.h"
#include "core/client.h"
#include "core/device_records.h"
#include "core/topic_route.h"

#include <algorithm>
#include <memory>
#include <utility>

#include <sluice/base/planted_bug.h>

// Publishes to be retained.
//
// With a store that fronts share, their acknowledgement waits for it as well as for Kafka or the
// subscribers. Both are told at once: a publish that waited for the store would be overtaken by the
// client's next one. So the store may fail when the rest is done, and then the answer depends on
// what sending again would do:
//  - a message for subscribers is refused. They may get it twice, which QoS 1 allows.
//  - a message that Kafka has is acknowledged, since a refusal would have it there twice; the store
//    tries again by itself until it can.
// A bound is looked at before either is told, so that it refuses what nobody has yet.
namespace sluice::front {
namespace {

using mqtt::ReasonCode;

}  // namespace

std::string_view Client::keep_retained(const mqtt::Publish& publish) {
  const std::string_view tenant = tenant_of(key_);
  auto message = std::make_shared<const mqtt::Message>(
      mqtt::to_message(publish, 0, broker_.ports_.clock.mono()));
  if (!broker_.ports_.store.is_durable()) {
    return broker_.ports_.retained.put(tenant, std::move(message));
  }
  const std::string_view bound = broker_.ports_.retained.bound_reached(tenant, *message);
  if (bound.empty() && publish.qos == mqtt::Qos::kAtMostOnce) {
    broker_.retain(tenant, message, SessionStore::WhenAway::kTryAgain, [](const Result<>&) {});
  }
  return bound;
}

void Client::expect_retained(const mqtt::Publish& publish, mqtt::PublishId id) {
  const bool is_for_kafka = route_ && route_->topic == publish.topic && goes_to_kafka(route_->kind);
  rare().retaining.push_back({.id = id, .is_for_kafka = is_for_kafka});
  ++in_flight_;
  broker_.retain(tenant_of(key_),
                 std::make_shared<const mqtt::Message>(
                     mqtt::to_message(publish, 0, broker_.ports_.clock.mono())),
                 is_for_kafka ? SessionStore::WhenAway::kTryAgain : SessionStore::WhenAway::kFail,
                 [this, id](const Result<>& done) {
                   --in_flight_;
                   on_retained(id, done ? std::string_view() : retained_refusal(done.error()));
                   broker_.settle(*this);
                 });
}

void Client::on_retained(mqtt::PublishId id, std::string_view refusal) {
  const auto found = std::ranges::find(rare().retaining, id, &Retaining::id);
  if (found == rare().retaining.end()) return;
  found->is_answered = true;
  found->refusal = refusal;
  if (!found->is_stored) return;
  on_stored(id, found->is_qos2, found->reason, found->why);
}

bool Client::waits_for_retained(mqtt::PublishId id, bool is_qos2, ReasonCode& reason,
                                std::string_view& why) {
  if (!rare_ || rare_->retaining.empty()) return false;
  const auto found = std::ranges::find(rare_->retaining, id, &Retaining::id);
  if (found == rare_->retaining.end()) return false;
  if (!found->is_answered && !SLUICE_PLANTED_BUG("front_acks_unretained")) {
    found->is_stored = true;
    found->is_qos2 = is_qos2;
    found->reason = reason;
    found->why = why;
    return true;
  }
  if (!found->refusal.empty() && !mqtt::is_failure(reason)) {
    why = found->refusal;
    if (!found->is_for_kafka) {
      reason =
          why == kRetainedNotStored ? ReasonCode::kUnspecifiedError : ReasonCode::kQuotaExceeded;
    }
  }
  rare_->retaining.erase(found);
  return false;
}

}  // namespace sluice::front
