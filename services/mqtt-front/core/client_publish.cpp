#include "core/broker.h"
#include "core/client.h"
#include "core/device_records.h"
#include "core/own_delivery.h"
#include "core/topic_route.h"

#include <algorithm>
#include <optional>
#include <utility>

#include <sluice/base/utf8.h>
#include <sluice/mqtt/encoder.h>
#include <sluice/mqtt/topic.h>

namespace sluice::front {
namespace {

using ingest::TopicKind;
using mqtt::Qos;
using mqtt::ReasonCode;

}  // namespace

void Client::prefetch_for_bytes(PrefetchStep step) const {
  if (step == PrefetchStep::kObject) return prefetch(this, sizeof(*this));
  connection_.prefetch(step);
  if (step == PrefetchStep::kPointees) {
    prefetch(route_.get(), sizeof(TopicRoute));
    prefetch(key_.value().data(), 1);
  } else if (route_) {
    prefetch(route_->topic.data(), route_->topic.size());
    prefetch(route_->prefix.bytes().data(), route_->prefix.bytes().size());
  }
}

void Client::prefetch_for_answer(PrefetchStep step) const {
  if (step == PrefetchStep::kObject) return prefetch(this, sizeof(*this));
  connection_.prefetch(step);
  if (step != PrefetchStep::kPointees) return;
  prefetch(link_, kPrefetchedLink);
  prefetch(output_.data(), 1);
}

void Client::on_publish(const mqtt::Publish& publish, mqtt::PublishId id) {
  FrontMetrics& metrics = broker_.ports_.metrics;
  (publish.qos == Qos::kAtMostOnce    ? metrics.received_qos0
   : publish.qos == Qos::kAtLeastOnce ? metrics.received_qos1
                                      : metrics.received_qos2)
      .add();
  metrics.received_bytes.add(publish.payload.size());

  const Options& options = broker_.options_;
  if (options.is_conformance_profile && publish.topic == kResetTopic) {
    return reset_profile(publish, id);
  }
  TopicRoute& route = route_for(publish.topic);
  if (!options.is_conformance_profile) {
    // An identity and its rights never change under a connection, so one answer holds for all.
    const unsigned variant = 2U * static_cast<unsigned>(publish.qos) + (publish.retain ? 1U : 0U);
    if ((unsigned{route.allowed} >> variant & 1U) == 0) {
      const auto allowed =
          identity_->policy.may_publish(publish.topic, publish.qos, publish.retain);
      if (!allowed.is_allowed()) {
        return refuse_publish(publish, id, ReasonCode::kNotAuthorized, allowed.reason);
      }
      route.allowed |= static_cast<std::uint8_t>(1U << variant);
    }
  }
  if (tenant_ && !admit(publish, id, route)) return;
  if (publish.retain) {
    const std::string_view bound = keep_retained(publish);
    if (!bound.empty()) return refuse_publish(publish, id, ReasonCode::kQuotaExceeded, bound);
  }
  switch (route.kind) {
    case TopicKind::kTelemetry:
    case TopicKind::kEvent:
      if (route.has_subscribers || !routes_->is_empty()) fan_out(publish, 0, route);
      return ingest(publish, route, id);
    case TopicKind::kShadowRequest:
    case TopicKind::kCommandAnswer:
    case TopicKind::kJobs:
      return request(publish, route, id);
    case TopicKind::kOther:
    case TopicKind::kCommand:
    case TopicKind::kShadowAnswer:
    case TopicKind::kCertificates:
      return fan_out(publish, id, route);
  }
}

bool Client::admit(const mqtt::Publish& publish, mqtt::PublishId id, const TopicRoute& route) {
  const MonoTime now = broker_.ports_.clock.mono();
  ingest::DeclaredFields declared;
  publish.properties.user.for_each([&](std::string_view name, std::string_view value) {
    ingest::read_declared(name, value, declared);
  });
  const auto verdict = admit_read_message({.qos = publish.qos,
                                           .payload_bytes = publish.payload.size(),
                                           .bytes = encoded_size(publish, connection_.version()),
                                           .is_buffered = declared.buffered},
                                          route.rates, meter_, *tenant_, now);
  switch (verdict.action) {
    case MessageVerdict::Action::kAdmit:
      return true;
    case MessageVerdict::Action::kWait:
      broker_.ports_.metrics.count_slowed(verdict.limit.name);
      if (link_ != nullptr) link_->pause_until(verdict.until);
      return true;
    case MessageVerdict::Action::kShed:
      broker_.ports_.metrics.count_dropped(verdict.limit.name);
      return false;
    case MessageVerdict::Action::kRefuse:
      break;
  }
  refuse_publish(publish, id, verdict.reason, verdict.limit.name);
  return false;
}

TopicRoute& Client::route_for(std::string_view topic) {
  if (route_ && route_->topic == topic) return *route_;
  if (!route_) route_ = std::make_unique<TopicRoute>();
  TopicRoute& route = *route_;
  route = {.topic = std::string(topic)};
  route.has_subscribers = std::ranges::any_of(subscriptions_, [&](const auto& subscription) {
    return !subscription.is_wide && mqtt::matches(subscription.filter, topic);
  });
  if (broker_.options_.is_conformance_profile) return route;
  route.rates = DeviceRates(identity_->limits);
  const ingest::TopicInfo info = broker_.topics_.classify(identity_->names(), topic);
  // What names another device is an ordinary topic to this one: its policy let it through.
  if (!info.is_own) return route;
  route.kind = info.kind;
  if (!is_ingested(info.kind)) return route;
  route.prefix = envelope_prefix({.names = identity_->names(),
                                  .schema_id = identity_->schema_id,
                                  .region = broker_.options_.region},
                                 info, topic);
  return route;
}

void Client::ingest(const mqtt::Publish& publish, TopicRoute& route, mqtt::PublishId id) {
  RecordSink& sink = broker_.ports_.sink;
  if (route.partition < 0)
    route.partition = sink.partition_of(broker_.options_.raw_topic, key_.value());
  std::string& value = broker_.value_;
  value.clear();
  append_raw_message(route.prefix, publish, broker_.stamp(), value);
  broker_.append(*this, publish, id,
                 {.topic = broker_.options_.raw_topic,
                  .key = key_.value(),
                  .value = value,
                  .partition = route.partition});
}

void Client::request(const mqtt::Publish& publish, const TopicRoute& route, mqtt::PublishId id) {
  const ingest::TopicInfo info = broker_.topics_.classify(identity_->names(), route.topic);
  broker_.value_.clear();
  append_request(identity_->names(), info, publish, broker_.stamp(), broker_.value_);
  broker_.append(
      *this, publish, id,
      {.topic = broker_.options_.shadow_topic, .key = key_.value(), .value = broker_.value_});
}

void Client::fan_out(const mqtt::Publish& publish, mqtt::PublishId id, const TopicRoute& route) {
  mqtt::MessagePtr message = std::make_shared<const mqtt::Message>(
      mqtt::to_message(publish, 0, broker_.ports_.clock.mono()));
  std::optional<mqtt::Delivery> own;
  if (route.has_subscribers) {
    own = own_delivery(subscriptions_, broker_.topics_, identity_->names(), message,
                       OwnFilters::kWithoutNoLocal);
  }
  if (id != 0) expect_stored(publish, id);
  broker_.publish(key_, tenant_of(key_), std::move(message), std::move(own),
                  [this, id, qos = publish.qos](Result<FanOutCounts> counts) {
                    if (id == 0) return;  // the client may be gone
                    on_fanned_out(id, qos, counts);
                    broker_.settle(*this);
                  });
}

void Client::on_fanned_out(mqtt::PublishId id, Qos qos, const Result<FanOutCounts>& counts) {
  const bool is_qos2 = qos == Qos::kExactlyOnce;
  if (!counts || counts->failed > 0) {
    return on_stored(id, is_qos2, ReasonCode::kUnspecifiedError, "not_stored");
  }
  // One receiver that does not read must not make others do without; a publisher of MQTT 3 could
  // not even be told but by ending its connection.
  const bool nobody_had_room = counts->dropped > 0 && counts->delivered == 0 && counts->queued == 0;
  if (nobody_had_room && connection_.version() == mqtt::Version::kV5) {
    return on_stored(id, is_qos2, ReasonCode::kQuotaExceeded, "subscriber_queue_full");
  }
  // [MQTT5-3.4.2.1] lets us tell; in production whether others listen is not the device's to know.
  // Not in a PUBREC: clients are about that take whatever is not 0 there for a refusal.
  const bool is_nobodys = counts->delivered == 0 && counts->queued == 0 && counts->dropped == 0;
  if (is_nobodys && !is_qos2 && broker_.options_.is_conformance_profile) {
    return on_stored(id, is_qos2, ReasonCode::kNoMatchingSubscribers, "");
  }
  on_stored(id, is_qos2, ReasonCode::kSuccess, "");
}

void Client::expect_stored(const mqtt::Publish& publish, mqtt::PublishId id) {
  if (publish.retain && broker_.ports_.store.is_durable()) expect_retained(publish, id);
  ++in_flight_;
  if (publish.qos != Qos::kExactlyOnce) return;
  ++qos2_in_flight_;
  if (broker_.ports_.store.is_durable() && outlives_connection()) {
    rare().qos2_ids.push_back({id, publish.packet_id});
  }
}

void Client::on_stored(mqtt::PublishId id, bool is_qos2, ReasonCode reason, std::string_view why) {
  if (waits_for_retained(id, is_qos2, reason, why)) return;
  --in_flight_;
  if (is_qos2) --qos2_in_flight_;
  std::uint16_t packet_id = 0;
  if (is_qos2 && rare_ && !rare_->qos2_ids.empty()) {
    const auto found = std::ranges::find(rare_->qos2_ids, id, &Qos2Id::publish);
    if (found != rare_->qos2_ids.end()) {
      packet_id = found->packet;
      rare_->qos2_ids.erase(found);
    }
  }
  if (packet_id == 0 || mqtt::is_failure(reason)) return answer_publish(id, reason, why);
  // The store must know the packet id before the client may count on it.
  ++in_flight_, ++qos2_in_flight_;
  broker_.ports_.store.put_inbound(key_, epoch_, packet_id, [this, id, packet_id](Result<> done) {
    --qos2_in_flight_;
    if (broker_.came_back(*this, done)) {
      // A store that cannot be reached is no reason to refuse what Kafka has: the client would send
      // it once more, and it would be there twice.
      if (!done) keep_unsaved(packet_id);
      answer_publish(id, ReasonCode::kSuccess, "");
    }
    broker_.settle(*this);
  });
}

void Client::refuse_publish(const mqtt::Publish& publish, mqtt::PublishId id, ReasonCode reason,
                            std::string_view why) {
  broker_.ports_.metrics.count_dropped(why);
  if (publish.qos == Qos::kAtMostOnce) return;
  // MQTT 3 cannot say no. An acknowledgement would be a lie, so there the connection ends.
  answer_publish(id, reason, why);
}

void Client::answer_publish(mqtt::PublishId id, ReasonCode reason, std::string_view why) {
  const bool was_full = !connection_.wants_bytes();
  const bool is_open = connection_.publish_done(id, reason, why, output_);
  if (has_ended_) return;
  if (!is_open) {  // an MQTT 3 client, which cannot be told no
    if (link_ != nullptr) link_->close_soon();
    // What could not be stored is no fault of the device, which sends it again when it is back.
    return end(why, true, reason == ReasonCode::kUnspecifiedError ? Flaps::kNo : Flaps::kYes);
  }
  if (link_ == nullptr) return;
  link_->send_soon();
  if (was_full && connection_.wants_bytes()) link_->read_again();
}

}  // namespace sluice::front
