#include "testing/fake_ports.h"

#include <algorithm>
#include <format>
#include <utility>

namespace sluice::front::testing {

void Tasks::run() {
  while (run_one()) {
  }
}

bool Tasks::run_one() {
  if (tasks_.empty()) return false;
  auto task = std::move(tasks_.front());
  tasks_.pop_front();
  task();
  return true;
}

Result<> FakeSink::try_append(const Record& record, std::uint64_t token) {
  if (refuses) return fail(*refuses, "refused");
  if (room == 0) return fail(ErrorCode::kResourceExhausted, "full");
  --room;
  records.push_back({.topic = std::string(record.topic),
                     .key = std::string(record.key),
                     .value = std::string(record.value),
                     .token = token});
  return {};
}

void FakeAuthenticator::authenticate(device::v1::AuthenticateRequest request, Done<Verdict> done) {
  requests.push_back(request);
  tasks_.post([this, name = request.claimed_device(), done = std::move(done)]() mutable {
    if (is_unavailable) return done(fail(ErrorCode::kUnavailable, "nobody answers"));
    const auto found = identities.find(name);
    if (found == identities.end()) return done(Verdict{.refusal = "unknown_credential"});
    done(Verdict{.identity = found->second, .position = position});
  });
}

template <typename T>
void FakeStore::answer(const std::string& call, Done<T> done, std::function<Result<T>()> work) {
  calls.push_back(call);
  const std::string name = call.substr(0, call.find(' '));
  ++answers_due;
  // What is written is written in the order of the calls; only the answer waits.
  Result<T> result = [&]() -> Result<T> {
    const auto failure = failures.find(name);
    if (failure == failures.end()) return work();
    if (does_what_fails) static_cast<void>(work());
    return fail(Error(failure->second));
  }();
  tasks_.post([this, done = std::move(done), result = std::move(result)]() mutable {
    --answers_due;
    done(std::move(result));
  });
}

Result<FakeStore::Entry*> FakeStore::owned_entry(const SessionKey& key, Epoch epoch) {
  const auto found = entries.find(key);
  if (found == entries.end() || !found->second.is_owned || found->second.epoch != epoch) {
    return fail(Error(ErrorCode::kAborted, "a later owner").with_reason("fenced"));
  }
  return &found->second;
}

void FakeStore::claim(const SessionKey& key, ClaimRequest request, Done<ClaimOutcome> done) {
  answer<ClaimOutcome>("claim " + key.value(), std::move(done), [&]() -> Result<ClaimOutcome> {
    ClaimOutcome outcome;
    const bool exists = entries.contains(key);
    Entry& entry = entries[key];
    if (entry.foreign_owner) {
      const auto& let_go = request.not_held_by;
      const bool is_let_go = let_go && let_go->owner == entry.foreign_owner->owner &&
                             let_go->epoch == entry.foreign_owner->epoch;
      if (!is_let_go) {
        outcome.owned_by_other = entry.foreign_owner;
        return outcome;
      }
      entry.foreign_owner.reset();
    }
    outcome.claim.session_present = exists && !request.clean_start && entry.expiry_seconds > 0;
    if (!outcome.claim.session_present) give_up(key, std::exchange(entry.session, {}));
    entry.is_owned = true;
    entry.epoch = Epoch(++last_epoch_);
    entry.expiry_seconds = request.expiry_seconds;
    entry.will = std::move(request.will);
    outcome.claim.epoch = entry.epoch;
    outcome.claim.session = entry.session;
    if (durable && request.expiry_seconds == 0) entry.session.deliveries.clear();
    return outcome;
  });
}

void FakeStore::release(const SessionKey& key, Epoch epoch, Release release, Done<void> done) {
  answer<void>("release " + key.value(), std::move(done), [&]() -> Result<> {
    SLUICE_TRY_ASSIGN(Entry* const entry, owned_entry(key, epoch));
    entry->is_owned = false;
    entry->expiry_seconds = release.expiry_seconds;
    entry->will = std::move(release.will);
    if (!durable) entry->session = std::move(release.session);
    if (release.expiry_seconds > 0) return {};
    give_up(key, std::move(entry->session));
    entries.erase(key);
    return {};
  });
}

void FakeStore::put_subscription(const SessionKey& key, Epoch epoch,
                                 const StoredSubscription& subscription, Done<void> done) {
  answer<void>("put_subscription " + subscription.filter, std::move(done), [&]() -> Result<> {
    SLUICE_TRY_ASSIGN(Entry* const entry, owned_entry(key, epoch));
    std::erase_if(entry->session.subscriptions, [&](const StoredSubscription& other) {
      return other.filter == subscription.filter && other.group == subscription.group;
    });
    entry->session.subscriptions.push_back(subscription);
    return {};
  });
}

void FakeStore::remove_subscription(const SessionKey& key, Epoch epoch, std::string_view filter,
                                    std::string_view group, Done<void> done) {
  answer<void>("remove_subscription " + std::string(filter), std::move(done), [&]() -> Result<> {
    SLUICE_TRY_ASSIGN(Entry* const entry, owned_entry(key, epoch));
    std::erase_if(entry->session.subscriptions, [&](const StoredSubscription& other) {
      return other.filter == filter && other.group == group;
    });
    return {};
  });
}

void FakeStore::put_delivery(const SessionKey& key, Epoch epoch, const mqtt::Delivery& delivery,
                             Done<void> done) {
  answer<void>(
      std::format("put_delivery {}", delivery.sequence), std::move(done), [&]() -> Result<> {
        SLUICE_TRY_ASSIGN(Entry* const entry, owned_entry(key, epoch));
        auto& kept = entry->session.deliveries;
        const auto same = std::ranges::find(kept, delivery.sequence, &mqtt::Delivery::sequence);
        if (same != kept.end()) {
          *same = delivery;
          return {};
        }
        kept.push_back(delivery);
        entry->session.next_sequence =
            std::max(entry->session.next_sequence, delivery.sequence + 1);
        return {};
      });
}

void FakeStore::update_delivery(const SessionKey& key, Epoch epoch,
                                const mqtt::Delivery& delivery) {
  const auto entry = owned_entry(key, epoch);
  if (!entry) return;
  for (mqtt::Delivery& kept : (*entry)->session.deliveries) {
    if (kept.sequence == delivery.sequence) kept = delivery;
  }
}

void FakeStore::remove_delivery(const SessionKey& key, Epoch epoch, std::uint64_t sequence) {
  const auto entry = entries.find(key);
  if (entry == entries.end() || entry->second.epoch != epoch) return;
  std::erase_if(entry->second.session.deliveries,
                [&](const mqtt::Delivery& kept) { return kept.sequence == sequence; });
}

void FakeStore::put_inbound(const SessionKey& key, Epoch epoch, std::uint16_t packet_id,
                            Done<void> done) {
  answer<void>(std::format("put_inbound {}", packet_id), std::move(done), [&]() -> Result<> {
    SLUICE_TRY_ASSIGN(Entry* const entry, owned_entry(key, epoch));
    std::erase(entry->session.inbound_qos2, packet_id);
    entry->session.inbound_qos2.push_back(packet_id);
    return {};
  });
}

void FakeStore::remove_inbound(const SessionKey& key, Epoch epoch, std::uint16_t packet_id,
                               Done<void> done) {
  answer<void>(std::format("remove_inbound {}", packet_id), std::move(done), [&]() -> Result<> {
    SLUICE_TRY_ASSIGN(Entry* const entry, owned_entry(key, epoch));
    std::erase(entry->session.inbound_qos2, packet_id);
    return {};
  });
}

void FakeStore::locate(const SessionKey& key, Done<Place> done) {
  answer<Place>("locate " + key.value(), std::move(done), [&]() -> Result<Place> {
    Place place;
    const auto found = entries.find(key);
    if (found == entries.end()) return place;
    place.exists = true;
    if (found->second.foreign_owner) {
      place.owner = found->second.foreign_owner;
    } else if (found->second.is_owned) {
      place.owner = Owned{.owner = FrontId("this"), .epoch = found->second.epoch};
    } else {
      place.subscriptions = found->second.session.subscriptions;
    }
    return place;
  });
}

void FakeStore::enqueue(const SessionKey& key, const mqtt::Delivery& delivery, Done<void> done) {
  answer<void>("enqueue " + delivery.message->topic, std::move(done), [&]() -> Result<> {
    const auto found = entries.find(key);
    if (found == entries.end()) return fail(ErrorCode::kNotFound, "no such session");
    Entry& entry = found->second;
    if (entry.is_owned || entry.foreign_owner) {
      return fail(Error(ErrorCode::kFailedPrecondition, "claimed meanwhile").with_reason("owned"));
    }
    if (entry.session.deliveries.size() >= max_queued) {
      return fail(ErrorCode::kResourceExhausted, "the queue is full");
    }
    mqtt::Delivery kept = delivery;
    kept.sequence = entry.session.next_sequence++;
    entry.session.deliveries.push_back(std::move(kept));
    return {};
  });
}

void FakeStore::put_wide(const SessionKey& key, Epoch, const StoredSubscription& subscription,
                         Done<void> done) {
  answer<void>("put_wide " + subscription.filter, std::move(done), [&]() -> Result<> {
    wide[key.value() + " " + subscription.filter] = subscription.group;
    return {};
  });
}

void FakeStore::remove_wide(const SessionKey& key, std::string_view filter, std::string_view,
                            Done<void> done) {
  answer<void>("remove_wide " + std::string(filter), std::move(done), [&]() -> Result<> {
    wide.erase(key.value() + " " + std::string(filter));
    return {};
  });
}

void FakeStore::put_retained(const mqtt::MessagePtr& message, WhenAway when_away, Done<void> done) {
  answer<void>("put_retained " + message->topic,
               later_if(when_away, message->topic, std::move(done)), [&]() -> Result<> {
                 retained[message->topic] = message->payload;
                 if (on_retained_put) tasks_.post([this, message] { on_retained_put(message); });
                 return {};
               });
}

void FakeStore::remove_retained(std::string_view topic, WhenAway when_away, Done<void> done) {
  std::string name(topic);
  answer<void>("remove_retained " + name, later_if(when_away, name, std::move(done)),
               [&]() -> Result<> {
                 retained.erase(name);
                 if (on_retained_removed) tasks_.post([this, name] { on_retained_removed(name); });
                 return {};
               });
}

Done<void> FakeStore::later_if(WhenAway when_away, const std::string& topic, Done<void> done) {
  if (when_away == WhenAway::kFail) return done;
  return [this, topic, done = std::move(done)](Result<> result) mutable {
    const bool is_away = !result && result.error().code() == ErrorCode::kUnavailable;
    if (is_away) retained_later.push_back(topic);
    done(is_away ? Result<>() : std::move(result));
  };
}

void FakeStore::give_up(const SessionKey& key, StoredSession session) {
  std::vector<mqtt::Delivery> shared;
  for (const mqtt::Delivery& delivery : session.deliveries) {
    if (mqtt::may_be_given_on(delivery)) shared.push_back(delivery);
  }
  if (shared.empty() || !on_ended) return;
  tasks_.post([this, key, shared = std::move(shared)] { on_ended(key, shared); });
}

void FakeStore::expire(const SessionKey& key) {
  give_up(key, std::move(entries.at(key).session));
  entries.erase(key);
}

StoredWill FakeStore::take_will(const SessionKey& key) {
  return *std::exchange(entries.at(key).will, std::nullopt);
}

void FakeStore::remove_ended(const SessionKey& key, std::uint64_t sequence) {
  calls.push_back(std::format("remove_ended {} {}", key.value(), sequence));
}

void FakeStore::foreign_claim(const SessionKey& key) {
  Entry& entry = entries[key];
  entry.is_owned = false;
  entry.epoch = Epoch(++last_epoch_);
  entry.expiry_seconds = std::max(entry.expiry_seconds, 100U);
  entry.foreign_owner =
      Owned{.owner = FrontId("other"), .address = "other:1", .epoch = entry.epoch};
}

void FakeStore::foreign_release(const SessionKey& key) { entries[key].foreign_owner.reset(); }

void FakeNeighbours::deliver(const SessionKey& key, Parcel parcel, Done<Outcome> done) {
  delivered.emplace_back(key, std::move(parcel));
  const Outcome outcome = answers.value_or(Outcome::kDelivered);
  tasks_.post([outcome, done = std::move(done)]() mutable { done(outcome); });
}

void FakeNeighbours::forward(const SessionStore::Owned&, const SessionKey& key, Parcel parcel,
                             Done<Outcome> done) {
  forwarded.emplace_back(key, std::move(parcel));
  if (not_here > 0) {
    --not_here;
    return tasks_.post([done = std::move(done)]() mutable {
      done(fail(Error(ErrorCode::kUnavailable, "moved").with_reason("not_here")));
    });
  }
  tasks_.post([done = std::move(done)]() mutable { done(Outcome::kDelivered); });
}

void FakeNeighbours::release(const SessionStore::Owned&, const SessionKey& key, Done<void> done) {
  released.push_back(key);
  tasks_.post([this, key, done = std::move(done)]() mutable {
    if (on_release) on_release(key);
    if (!holds_sessions) {
      return done(fail(Error(ErrorCode::kFailedPrecondition, "not held").with_reason("not_held")));
    }
    if (is_busy) {
      return done(fail(Error(ErrorCode::kFailedPrecondition, "not stored yet")
                           .with_reason(std::string(kSessionBusy))));
    }
    done({});
  });
}

void FakeNeighbours::reset_profile(Done<void> done) {
  ++resets;
  tasks_.post([done = std::move(done)]() mutable { done({}); });
}

void FakeObserver::on_opened(const Client& client, std::uint64_t, std::string_view protocol) {
  events.push_back(std::format("opened {} {}", client.key().value(), protocol));
}

void FakeObserver::on_ended(const Client& client, std::uint64_t, std::string_view reason) {
  events.push_back(std::format("ended {} {}", client.key().value(), reason));
}

void FakeObserver::on_refused(const Peer&, std::string_view client_id, mqtt::ReasonCode reason,
                              std::string_view what) {
  events.push_back(std::format("refused {} {} {}", client_id, mqtt::to_string(reason), what));
}

}  // namespace sluice::front::testing
