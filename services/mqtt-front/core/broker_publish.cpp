#include "core/broker.h"
#include "core/own_delivery.h"

#include <memory>
#include <utility>
#include <vector>

namespace sluice::front {
namespace {

using Outcome = Neighbours::Outcome;

// How often a message follows a session that moves between fronts.
constexpr std::uint8_t kMaxMoves = 3;

/// Counts what becomes of a message at each of its receivers and answers when all are known.
class FanOut {
 public:
  explicit FanOut(Done<FanOutCounts> done) : done_(std::move(done)) {}

  void expect() { ++outstanding_; }
  void add(const Result<Outcome>& outcome) {
    if (!outcome) {
      ++counts_.dropped;
      ++counts_.failed;
    } else if (*outcome == Outcome::kDelivered) {
      ++counts_.delivered;
    } else if (*outcome == Outcome::kQueued) {
      ++counts_.queued;
    } else if (*outcome == Outcome::kFull) {
      ++counts_.dropped;
    }
    finish();
  }
  void finish() {
    if (--outstanding_ == 0) done_(counts_);
  }

 private:
  std::size_t outstanding_ = 1;  // one for the publisher, which is still finding receivers
  FanOutCounts counts_{};
  Done<FanOutCounts> done_;
};

}  // namespace

void Broker::publish(const SessionKey& publisher, std::string_view tenant, mqtt::MessagePtr message,
                     std::optional<mqtt::Delivery> own, Done<FanOutCounts> done) {
  auto fan_out = std::make_shared<FanOut>(std::move(done));  // owned by the deliveries under way
  if (own) {
    fan_out->expect();
    send_to(publisher, {.delivery = *std::move(own)},
            [fan_out](Result<Outcome> outcome) { fan_out->add(outcome); });
  }
  TenantRoutes& routes = ports_.routes.of(tenant);
  if (!routes.is_empty()) {
    for (Target& target : routes.match(message->topic, publisher)) {
      fan_out->expect();
      auto counted = [fan_out](Result<Outcome> outcome) { fan_out->add(outcome); };
      // At QoS 0 only where the one that was chosen may be away.
      if (target.share && (message->qos != mqtt::Qos::kAtMostOnce || !target.is_online)) {
        mqtt::SharePtr share = target.share;
        send_to_member(std::move(target),
                       {.message = message, .share = std::move(share), .done = std::move(counted)});
        continue;
      }
      const SessionKey key = target.key;
      send_to(key, {.delivery = delivery_to(target, message)}, std::move(counted));
    }
  }
  // The device whose topic it is, by its own subscriptions; its own publishes were seen to already.
  const auto owner =
      options_.is_conformance_profile ? std::nullopt : topics_.owner_of(message->topic);
  if (owner && !owner->may_be_external_id && (owner->tenant.empty() || owner->tenant == tenant)) {
    const SessionKey key = session_key(tenant, owner->device);
    if (key != publisher) {
      fan_out->expect();
      send_to(key, {.delivery = {.message = message}, .by_own_filters = true},
              [fan_out](Result<Outcome> outcome) { fan_out->add(outcome); });
    }
  }
  fan_out->finish();
}

void Broker::send_to(const SessionKey& key, Parcel parcel, Done<Outcome> done) {
  if (loop_of(key, ports_.loops) == ports_.loop) {
    return deliver(key, std::move(parcel), std::move(done));
  }
  ports_.neighbours.deliver(key, std::move(parcel), std::move(done));
}

void Broker::deliver(const SessionKey& key, Parcel parcel, Done<Outcome> done) {
  Client* const client = find(key);
  if (client != nullptr && client->is_accepted_ && !client->has_ended_) {
    if (!parcel.by_own_filters) return client->receive(std::move(parcel.delivery), std::move(done));
    auto delivery = own_delivery(client->subscriptions_, topics_, client->identity_->names(),
                                 parcel.delivery.message);
    if (!delivery) return done(Outcome::kNobody);
    return client->receive(*std::move(delivery), std::move(done));
  }
  if (client != nullptr) {
    // Between two connections: what comes now waits until it is settled where the session is.
    return wait_for_session(*client, {.parcel = std::move(parcel), .done = std::move(done)});
  }
  deliver_elsewhere(key, std::move(parcel), std::move(done));
}

void Broker::deliver_here(const SessionKey& key, Parcel parcel, Done<Outcome> done) {
  Client* const client = find(key);
  if (client == nullptr) {
    return done(fail(Error(ErrorCode::kUnavailable, "the session is not held by this front")
                         .with_reason("not_here")));
  }
  if (client->is_accepted_ && !client->has_ended_) {
    return deliver(key, std::move(parcel), std::move(done));
  }
  wait_for_session(*client,
                   {.parcel = std::move(parcel), .done = std::move(done), .only_here = true});
}

void Broker::wait_for_session(Client& client, Client::Waiting waiting) {
  auto& parcels = client.rare().parcels;
  if (parcels.size() >= options_.session.max_queued) {
    ports_.metrics.count_dropped("session_queue_full");
    return waiting.done(Outcome::kFull);
  }
  parcels.push_back(std::move(waiting));
}

void Broker::deliver_waiting(const SessionKey& key, Client::Waiting waiting) {
  if (waiting.only_here) {
    return deliver_here(key, std::move(waiting.parcel), std::move(waiting.done));
  }
  deliver(key, std::move(waiting.parcel), std::move(waiting.done));
}

void Broker::deliver_elsewhere(const SessionKey& key, Parcel parcel, Done<Outcome> done) {
  ports_.store.locate(key, [this, key, parcel = std::move(parcel),
                            done = std::move(done)](Result<SessionStore::Place> place) mutable {
    const bool was_sent = std::exchange(parcel.was_sent, false);
    if (!place) {
      done(fail(std::move(place).error()));
    } else if (find(key) != nullptr) {
      deliver(key, std::move(parcel), std::move(done));
    } else if (!place->exists) {
      // It has expired: its wide subscriptions go with it. A session that several fronts may hold
      // could be claimed elsewhere by now, so there this is left to whoever claims it.
      if (!ports_.store.is_durable()) ports_.routes.of(tenant_of(key)).remove_all(key);
      done(Outcome::kNobody);
    } else if (!place->owner && parcel.only_connected &&
               ports_.routes.of(tenant_of(key)).next_member(parcel.delivery.share, {&key, 1})) {
      done(Outcome::kAway);
    } else {
      parcel.was_sent = was_sent;
      return send_on(key, *place, std::move(parcel), std::move(done));
    }
    if (was_sent) end_way(key);
  });
}

// A session may move while a message is on its way to it: whoever no longer has it says so, and the
// store knows where it went.
void Broker::send_on(const SessionKey& key, const SessionStore::Place& place, Parcel parcel,
                     Done<Outcome> done) {
  const auto owner = place.owner ? std::optional(place.owner->epoch) : std::nullopt;
  Way& way = ways_[key];
  if (!parcel.was_sent) {
    const bool is_behind = !way.held.empty() || (way.under_way > 0 && way.owner != owner);
    if (is_behind && way.held.size() >= options_.session.max_queued) {
      ports_.metrics.count_dropped("session_queue_full");
      return done(Outcome::kFull);
    }
    if (is_behind) {
      return way.held.push_back({.parcel = std::move(parcel), .done = std::move(done)});
    }
    ++way.under_way;
  }
  way.owner = owner;
  Parcel again = parcel;
  again.was_sent = true;
  ++again.moves;
  auto answered = [this, key, again = std::move(again),
                   done = std::move(done)](Result<Outcome> outcome) mutable {
    const std::string_view reason = outcome ? std::string_view() : outcome.error().reason();
    if ((reason == "not_here" || reason == "owned") && again.moves <= kMaxMoves) {
      return deliver_elsewhere(key, std::move(again), std::move(done));
    }
    done(std::move(outcome));
    end_way(key);
  };
  if (place.owner) {
    return ports_.neighbours.forward(*place.owner, key, std::move(parcel), std::move(answered));
  }
  enqueue_offline(key, place, std::move(parcel), std::move(answered));
}

void Broker::end_way(const SessionKey& key) {
  const auto way = ways_.find(key);
  if (--way->second.under_way > 0) return;
  std::vector<Client::Waiting> held = std::move(way->second.held);
  ways_.erase(way);
  for (Client::Waiting& waiting : held) deliver_waiting(key, std::move(waiting));
}

void Broker::enqueue_offline(const SessionKey& key, const SessionStore::Place& place, Parcel parcel,
                             Done<Outcome> done) {
  if (parcel.by_own_filters) {
    auto delivery =
        own_delivery(place.subscriptions, topics_, names_of(key, place.subscriptions, topics_),
                     parcel.delivery.message);
    if (!delivery) return done(Outcome::kNobody);
    parcel.delivery = *std::move(delivery);
  }
  // QoS 0 is not kept for those who are away, [MQTT-3.1.2-5].
  if (parcel.delivery.qos == mqtt::Qos::kAtMostOnce) return done(Outcome::kNobody);
  ports_.store.enqueue(key, parcel.delivery,
                       [this, done = std::move(done)](Result<> queued) mutable {
                         if (queued) return done(Outcome::kQueued);
                         if (queued.error().code() == ErrorCode::kNotFound)
                           return done(Outcome::kNobody);
                         if (queued.error().code() == ErrorCode::kResourceExhausted) {
                           ports_.metrics.count_dropped("session_queue_full");
                           return done(Outcome::kFull);
                         }
                         done(fail(std::move(queued).error()));
                       });
}

}  // namespace sluice::front
