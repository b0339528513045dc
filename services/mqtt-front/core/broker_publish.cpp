#include "core/broker.h"
#include "core/own_delivery.h"

#include <memory>
#include <utility>

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

void Broker::publish(std::string_view tenant, mqtt::MessagePtr message, Done<FanOutCounts> done) {
  if (message->retain) retain(tenant, message);
  publish(SessionKey(), tenant, std::move(message), std::nullopt, std::move(done));
}

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
      if (target.share && message->qos != mqtt::Qos::kAtMostOnce) {
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
    if (!place) return done(fail(std::move(place).error()));
    if (find(key) != nullptr) return deliver(key, std::move(parcel), std::move(done));
    if (!place->exists) {
      // It has expired: its wide subscriptions go with it. A session that several fronts may hold
      // could be claimed elsewhere by now, so there this is left to whoever claims it.
      if (!ports_.store.is_durable()) ports_.routes.of(tenant_of(key)).remove_all(key);
      return done(Outcome::kNobody);
    }
    if (place->owner) {
      return forward(*place->owner, key, std::move(parcel), std::move(done));
    }
    enqueue_offline(key, *place, std::move(parcel), std::move(done));
  });
}

// A session may move while a message is on its way to it: the front that no longer holds it says
// so, and the store knows where it went.
void Broker::forward(const SessionStore::Owned& owner, const SessionKey& key, Parcel parcel,
                     Done<Outcome> done) {
  Parcel again = parcel;
  ports_.neighbours.forward(
      owner, key, std::move(parcel),
      [this, key, again = std::move(again),
       done = std::move(done)](Result<Outcome> outcome) mutable {
        if (outcome || outcome.error().reason() != "not_here" || again.moves >= kMaxMoves) {
          return done(std::move(outcome));
        }
        ++again.moves;
        deliver(key, std::move(again), std::move(done));
      });
}

void Broker::enqueue_offline(const SessionKey& key, const SessionStore::Place& place, Parcel parcel,
                             Done<Outcome> done) {
  if (parcel.by_own_filters) {
    auto delivery =
        own_delivery(place.subscriptions, topics_, names_of(key, place.subscriptions, topics_),
                     parcel.delivery.message);
    if (!delivery) return done(Outcome::kNobody);
    parcel = {.delivery = *std::move(delivery)};
  }
  // QoS 0 is not kept for those who are away, [MQTT-3.1.2-5].
  if (parcel.delivery.qos == mqtt::Qos::kAtMostOnce) return done(Outcome::kNobody);
  const mqtt::Delivery delivery = parcel.delivery;
  ports_.store.enqueue(
      key, delivery,
      [this, key, parcel = std::move(parcel), done = std::move(done)](Result<> queued) mutable {
        if (queued) return done(Outcome::kQueued);
        if (queued.error().reason() == "owned") {
          return deliver(key, std::move(parcel), std::move(done));
        }
        if (queued.error().code() == ErrorCode::kNotFound) return done(Outcome::kNobody);
        if (queued.error().code() == ErrorCode::kResourceExhausted) {
          ports_.metrics.count_dropped("session_queue_full");
          return done(Outcome::kFull);
        }
        done(fail(std::move(queued).error()));
      });
}

}  // namespace sluice::front
