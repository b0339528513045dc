#include "core/broker.h"

#include <algorithm>
#include <utility>

#include <sluice/base/planted_bug.h>

// Messages of shared subscriptions that the chosen member does not keep: one that has no room, or
// whose session ended. Another member of the group gets them.
namespace sluice::front {
namespace {

using Outcome = Neighbours::Outcome;

// How many members are asked for one message: as many full or vanished ones in a row mean that the
// group is in no state to take it, and each may cost a way to another front.
constexpr std::size_t kMaxMembersTried = 8;
// How often a message may outlive the session it was given to. One that ends whoever gets it, a
// consumer that crashes on it, must not go round a group for ever.
constexpr std::uint8_t kMaxGivenOn = 16;

bool is_kept(const Result<Outcome>& outcome) {
  return outcome && (*outcome == Outcome::kDelivered || *outcome == Outcome::kQueued);
}

std::string_view why_lost(const Result<Outcome>& outcome) {
  if (!outcome) return "shared_not_stored";
  return *outcome == Outcome::kFull ? "shared_no_room" : "shared_nobody_left";
}

}  // namespace

mqtt::Delivery Broker::delivery_to(Target& target, const mqtt::MessagePtr& message) {
  return {.message = message,
          .qos = std::min(message->qos, target.qos),
          .retain = target.retain_as_published && message->retain,
          .subscription_ids = std::move(target.subscription_ids),
          .share = std::move(target.share)};
}

void Broker::send_to_member(Target target, Passing passing) {
  mqtt::Delivery delivery = delivery_to(target, passing.message);
  delivery.given_on = passing.given_on;
  passing.qos = delivery.qos;
  passing.had.push_back(target.key);
  send_to(target.key, {.delivery = std::move(delivery), .only_connected = !passing.may_queue},
          [this, passing = std::move(passing)](Result<Outcome> outcome) mutable {
            on_member_answered(std::move(passing), std::move(outcome));
          });
}

void Broker::on_member_answered(Passing passing, Result<Outcome> outcome) {
  if (is_kept(outcome)) return passing.done(std::move(outcome));
  if (!outcome) {
    // It may have arrived, and may come twice at QoS 1 alone. Once: where the store does not
    // answer, no member is better than another.
    const bool may_repeat =
        passing.qos != mqtt::Qos::kExactlyOnce && !std::exchange(passing.has_failed, true);
    if (!may_repeat) return passing.done(std::move(outcome));
  }
  passing.was_full |= outcome && *outcome == Outcome::kFull;
  if (outcome && *outcome == Outcome::kAway) passing.away.push_back(passing.had.back());
  TenantRoutes& routes = ports_.routes.of(tenant_of(passing.had.front()));
  std::optional<Target> next;
  if (passing.had.size() < kMaxMembersTried) next = routes.next_member(passing.share, passing.had);
  if (!next && !passing.away.empty() && passing.message->qos != mqtt::Qos::kAtMostOnce) {
    // No member is connected anywhere, or none has room: one that is away keeps it.
    passing.may_queue = true;
    std::erase_if(passing.had,
                  [&](const SessionKey& key) { return std::ranges::contains(passing.away, key); });
    passing.away.clear();
    next = routes.next_member(passing.share, passing.had);
  }
  if (next) return send_to_member(*std::move(next), std::move(passing));
  if (!outcome) return passing.done(std::move(outcome));
  passing.done(passing.was_full ? Outcome::kFull : Outcome::kNobody);
}

void Broker::give_on(const SessionKey& from, const mqtt::Delivery& delivery, Done<Outcome> done) {
  auto next = ports_.routes.of(tenant_of(from)).next_member(delivery.share, {&from, 1});
  if (!next) return done(Outcome::kNobody);
  send_to_member(*std::move(next),
                 {.had = {from},
                  .message = delivery.message,
                  .share = delivery.share,
                  .given_on = static_cast<std::uint8_t>(delivery.given_on + 1),
                  .done = [this, done = std::move(done)](Result<Outcome> outcome) mutable {
                    if (is_kept(outcome)) ports_.metrics.given_on.add();
                    done(std::move(outcome));
                  }});
}

void Broker::give_on_ended(const SessionKey& from, const mqtt::Delivery& delivery,
                           std::function<void()> forget) {
  if (SLUICE_PLANTED_BUG("front_drops_shared_of_ended_session")) return;
  std::string_view why;
  if (delivery.message->has_expired(ports_.clock.mono())) why = "expired";
  if (delivery.given_on >= kMaxGivenOn) why = "shared_too_often";
  if (!why.empty()) {
    ports_.metrics.count_dropped(why);
    if (forget) forget();
    return;
  }
  // What the store keeps until it is told otherwise comes again when there may be room.
  const bool comes_again = forget && delivery.qos == mqtt::Qos::kAtLeastOnce;
  ++unattended_;
  give_on(from, delivery,
          [this, forget = std::move(forget), comes_again](const Result<Outcome>& outcome) {
            --unattended_;
            const bool is_nobodys = outcome && *outcome == Outcome::kNobody;
            if (!is_kept(outcome)) {
              if (comes_again && !is_nobodys) return;
              ports_.metrics.count_dropped(why_lost(outcome));
            }
            if (forget) forget();
          });
}

void Broker::on_session_ended(const SessionKey& key, const std::vector<mqtt::Delivery>& shared) {
  for (const mqtt::Delivery& delivery : shared) {
    std::function<void()> forget;
    if (ports_.store.is_durable()) {
      forget = [this, key, sequence = delivery.sequence] {
        ports_.store.remove_ended(key, sequence);
      };
    }
    give_on_ended(key, delivery, std::move(forget));
  }
}

void Broker::give_on_forbidden(const Client& client, const mqtt::Delivery& delivery) {
  const auto forget = [this, key = client.key(), epoch = client.epoch_,
                       sequence = delivery.sequence] {
    ports_.store.remove_delivery(key, epoch, sequence);
  };
  if (!client.is_in_store_) return give_on_ended(client.key(), delivery, {});
  if (delivery.qos == mqtt::Qos::kAtLeastOnce) return give_on_ended(client.key(), delivery, forget);
  forget();
  give_on_ended(client.key(), delivery, {});
}

void Broker::give_on_rest(Client& client) {
  client.session_.for_each_delivery([&](const mqtt::Delivery& delivery) {
    if (mqtt::may_be_given_on(delivery)) give_on_ended(client.key(), delivery, {});
  });
}

void Broker::give_on_taken(const SessionKey& from, Epoch epoch, bool store_has_it,
                           std::vector<mqtt::Delivery> taken) {
  for (mqtt::Delivery& delivery : taken) {
    const std::uint64_t sequence = delivery.sequence;
    const auto forget = [this, from, epoch, store_has_it, sequence] {
      if (store_has_it) ports_.store.remove_delivery(from, epoch, sequence);
    };
    // At QoS 2 first, so that nobody finds it a second time; at QoS 1 when another has it, so that
    // it is never nowhere.
    const bool is_first = delivery.qos == mqtt::Qos::kExactlyOnce;
    if (is_first) forget();
    delivery.sequence = 0;
    delivery.packet_id = 0;
    delivery.state = mqtt::Delivery::State::kWaiting;
    const mqtt::Delivery& offered = delivery;
    Done<Outcome> done = [this, from, epoch, forget, store_has_it, is_first,
                          delivery](Result<Outcome> outcome) mutable {
      if (is_kept(outcome)) {
        if (!is_first) forget();
        return;
      }
      const bool may_be_there = !outcome && is_first;
      if (may_be_there) return ports_.metrics.count_dropped(why_lost(outcome));
      // Nobody else can have it, so it stays with the session, as it may, [MQTT5-3.10.4]: in the
      // store, where it still is, or, where a connection has that session, as a new one.
      const Client* const client = find(from);
      const bool is_live = client != nullptr && client->epoch_ == epoch && !client->has_ended_;
      if (store_has_it && !is_first && !is_live) return;
      send_to(from, {.delivery = std::move(delivery)},
              [this, forget, is_first](const Result<Outcome>& back) {
                if (!is_kept(back)) return ports_.metrics.count_dropped(why_lost(back));
                if (!is_first) forget();
              });
    };
    give_on(from, offered, std::move(done));
  }
}

}  // namespace sluice::front
