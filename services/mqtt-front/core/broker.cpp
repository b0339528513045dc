#include "core/broker.h"

#include "core/topic_route.h"

#include <algorithm>
#include <utility>

#include <sluice/base/check.h>
#include <sluice/base/encoding.h>
#include <sluice/base/partition_hash.h>

namespace sluice::front {
std::size_t loop_of(const SessionKey& key, std::size_t loops) {
  return loops <= 1 ? 0 : partition_hash(key.value()) % loops;
}

std::size_t Broker::KeyOf::operator()(const Client* client) const {
  return std::hash<SessionKey>{}(client->key());
}
std::size_t Broker::KeyOf::operator()(const SessionKey& key) const {
  return std::hash<SessionKey>{}(key);
}
bool Broker::SameKey::operator()(const Client* a, const Client* b) const {
  return a->key() == b->key();
}
bool Broker::SameKey::operator()(const Client* a, const SessionKey& b) const {
  return a->key() == b;
}
bool Broker::SameKey::operator()(const SessionKey& a, const Client* b) const {
  return a == b->key();
}

Broker::Broker(const Options& options, const Ports& ports)
    : options_(options),
      ports_(ports),
      topics_(ports.topics),
      message_ids_(ports.random),
      tenant_limits_(ports.tenant_limits, ports.tenant_buckets),
      anybody_(std::make_shared<const Identity>()) {}

Broker::~Broker() = default;

Client& Broker::open(Link& link, Peer peer) {
  std::uint32_t slot = static_cast<std::uint32_t>(slots_.size());
  if (free_slots_.empty()) {
    slots_.emplace_back();
  } else {
    slot = free_slots_.back();
    free_slots_.pop_back();
  }
  slots_[slot] = std::make_unique<Client>(*this, link, std::move(peer), slot);
  return *slots_[slot];
}

Client* Broker::find(const SessionKey& key) {
  const auto found = clients_by_key_.find(key);
  return found == clients_by_key_.end() ? nullptr : *found;
}

std::string Broker::make_client_id() {
  const auto id = message_ids_.next(wall_now());
  return "auto-" + to_hex({reinterpret_cast<const char*>(id.data()), id.size()});
}

// Sessions: who holds one, who waits for it.

void Broker::claim(Client& client) {
  Client* const holder = find(client.key());
  if (holder == nullptr) {
    clients_by_key_.insert(&client);
    return ask_store(client);
  }
  // The last to come wins, [MQTT-3.1.4-3]; whoever waited until now has lost to it.
  Client*& waiting = waiting_[client.key()];
  Client* const loser = std::exchange(waiting, &client);
  if (loser != nullptr)
    loser->disconnect(mqtt::ReasonCode::kSessionTakenOver, "session_taken_over");
  client.arrival_->waits_since = ports_.clock.mono();
  if (!holder->has_ended_) {
    ports_.metrics.takeovers.add();
    holder->disconnect(mqtt::ReasonCode::kSessionTakenOver,
                       "another connection has this client id");
  }
}

void Broker::ask_store(Client& client, std::optional<SessionStore::Owned> not_held_by) {
  client.owns_session_ = true;
  ++client.in_flight_;
  ports_.store.claim(client.key(),
                     {.clean_start = client.arrival_->clean_start,
                      .expiry_seconds = client.arrival_->expiry_seconds,
                      .will = client.arrival_->will,
                      .not_held_by = std::move(not_held_by)},
                     [this, &client](Result<SessionStore::ClaimOutcome> outcome) {
                       --client.in_flight_;
                       on_claimed(client, std::move(outcome));
                     });
}

void Broker::on_claimed(Client& client, Result<SessionStore::ClaimOutcome> outcome) {
  if (!outcome) {
    if (!client.has_ended_) {
      client.refuse(mqtt::ReasonCode::kServerUnavailable, "session_store_unavailable");
    }
    client.is_released_ = true;  // nothing was claimed
    return on_released(client);
  }
  // From here on changes find it; one that came while it was between two loops, or waited for its
  // identity's answer to be carried here, found nobody.
  if (!client.has_ended_ &&
      ports_.authenticator.has_changed(*client.identity_, client.arrival_->proven_at) &&
      !SLUICE_PLANTED_BUG("front_trusts_an_identity_that_changed")) {
    client.refuse(mqtt::ReasonCode::kServerBusy, "identity_changed");
  }
  if (outcome->owned_by_other) {
    if (client.has_ended_) {
      client.is_released_ = true;
      return on_released(client);
    }
    ++client.in_flight_;
    if (!client.arrival_->waits_since) client.arrival_->waits_since = ports_.clock.mono();
    const SessionStore::Owned owned = *std::move(outcome->owned_by_other);
    ports_.neighbours.release(owned, client.key(),
                              [this, &client, owned](const Result<>& released) {
                                --client.in_flight_;
                                on_asked_owner(client, owned, released);
                              });
    return;
  }
  client.epoch_ = outcome->claim.epoch;
  if (client.has_ended_) {
    // It went away meanwhile: what was claimed goes back as it was.
    client.expiry_seconds_ = client.arrival_->expiry_seconds;
    client.is_in_store_ = ports_.store.is_durable() && client.expiry_seconds_ > 0;
    client.subscriptions_ = std::move(outcome->claim.session.subscriptions);
    client.session_.set_next_sequence(outcome->claim.session.next_sequence);
    for (auto& delivery : outcome->claim.session.deliveries) {
      client.session_.restore(std::move(delivery));
    }
    for (const auto id : outcome->claim.session.inbound_qos2) client.session_.restore_inbound(id);
    return release_session(client);
  }
  if (!ports_.store.is_durable() && client.arrival_->expiry_seconds == 0) {
    // It ends with this connection, which is ours alone: nothing of it is for a store that forgets
    // with us to keep, and clients without a session come by the ten thousands. What it hears at
    // the end of the connection, that there is none, is no news.
    ports_.store.release(client.key(), client.epoch_, {}, [](Result<>) {});
  }
  client.on_session(std::move(outcome->claim));
}

// Whatever the answer, the store knows best; Neighbours sees to it that this is no busy loop.
void Broker::on_asked_owner(Client& client, const SessionStore::Owned& owned,
                            const Result<>& released) {
  const std::string_view why = released ? std::string_view() : released.error().reason();
  if (!client.has_ended_ && why == kSessionBusy && has_waited_long(client)) {
    client.refuse(mqtt::ReasonCode::kServerBusy, kSessionBusy);
  }
  if (client.has_ended_) {
    client.is_released_ = true;
    return on_released(client);
  }
  // An owner that holds nothing cannot let go of it: what it told the store was lost.
  const bool is_not_held = why == "not_held" && !SLUICE_PLANTED_BUG("front_waits_for_who_let_go");
  ask_store(client, is_not_held ? std::optional(owned) : std::nullopt);
}

void Broker::on_ended(Client& client) {
  if (!client.owns_session_) {
    const auto waiting = waiting_.find(client.key());
    if (waiting != waiting_.end() && waiting->second == &client) waiting_.erase(waiting);
    return settle(client);
  }
  if (client.is_accepted_) {
    client.routes_->set_online(client.key(), false);
    // Of a session that is another front's by now the store has the will.
    const bool is_due = client.will_ && !client.is_fenced_ &&
                        (client.will_->delay.count() == 0 || !client.outlives_connection());
    if (is_due) fire_will(client);
    settle(client);
  }
  // Otherwise the store's answer to the claim is still to come, or a record's: they go on from
  // there.
}

void Broker::release_session(Client& client) {
  if (client.is_released_) return;
  client.store_again();
  client.is_released_ = true;
  if (!client.outlives_connection()) {
    for (const StoredSubscription& subscription : client.subscriptions_) {
      if (!subscription.is_wide) continue;
      ports_.routes.of(tenant_of(client.key()))
          .remove(client.key(), subscription.filter, subscription.group);
      if (ports_.store.is_durable()) {
        ports_.store.remove_wide(client.key(), subscription.filter, subscription.group,
                                 [](Result<>) {});
      }
    }
  }
  if (options_.is_conformance_profile && client.outlives_connection()) {
    left_sessions_.insert(client.key());
  }
  // Before the session is let go of, so that its messages go ahead of those to come.
  if (!client.outlives_connection() && !client.is_in_store_) give_on_rest(client);
  SessionStore::Release release{.expiry_seconds = client.expiry_seconds_};
  if (client.will_) release.will = std::move(*client.will_);
  if (!ports_.store.is_durable() && client.outlives_connection()) {
    release.session = client.snapshot();
  }
  ++client.in_flight_;
  ports_.store.release(client.key(), client.epoch_, std::move(release), [this, &client](Result<>) {
    --client.in_flight_;
    on_released(client);
  });
}

void Broker::on_released(Client& client) {
  clients_by_key_.erase(&client);
  client.owns_session_ = false;
  std::vector<Client::Waiting> parcels;
  if (client.rare_) {
    for (auto& waiter : std::exchange(client.rare_->release_waiters, {})) waiter.done(true);
    parcels = std::exchange(client.rare_->parcels, {});
  }
  const auto waiting = waiting_.find(client.key());
  if (waiting != waiting_.end()) {
    Client* const next = waiting->second;
    waiting_.erase(waiting);
    clients_by_key_.insert(next);
    ask_store(*next);
  }
  ++client.in_flight_;  // whoever hears of these may end, and must not take the client along
  for (Client::Waiting& parcel : parcels) deliver_waiting(client.key(), std::move(parcel));
  --client.in_flight_;
  settle(client);
}

bool Broker::came_back(Client& client, const Result<>& done) {
  --client.in_flight_;
  if (done || done.error().reason() != "fenced") return true;
  client.cut_off(mqtt::ReasonCode::kSessionTakenOver, "taken over by another front");
  return false;
}

void Broker::refuse_waiting(const SessionKey& key) {
  const auto waiting = waiting_.find(key);
  if (waiting == waiting_.end()) return;
  waiting->second->refuse(mqtt::ReasonCode::kServerUnavailable, "session_store_unavailable");
}

void Broker::settle(Client& client) {
  if (!client.has_ended_) return;
  if (client.owns_session_ && client.is_accepted_ && client.qos2_in_flight_ == 0) {
    client.save_unsaved();
    if (client.qos2_in_flight_ == 0) release_session(client);
  }
  if (client.in_flight_ > 0 || client.owns_session_) return;
  if (client.link_ != nullptr) return;  // the shell still sends its last bytes
  free_slots_.push_back(client.slot());
  slots_[client.slot()].reset();
}

Departure Broker::depart(Client& client) {
  SLUICE_CHECK(!client.is_accepted_ && !client.owns_session_ && client.in_flight_ == 0);
  Departure departure{.connection = std::move(client.connection_),
                      .output = std::move(client.output_),
                      .peer = std::move(*client.peer_),
                      .arrival = std::move(*client.arrival_),
                      .identity = std::move(client.identity_),
                      .key = client.key_};
  client.has_ended_ = true;
  client.link_ = nullptr;
  settle(client);
  return departure;
}

Client& Broker::arrive(Link& link, Departure departure) {
  Client& client = open(link, std::move(departure.peer));
  client.connection_ = std::move(departure.connection);
  client.output_ = std::move(departure.output);
  client.arrival_ = std::make_unique<Arrival>(std::move(departure.arrival));
  client.identity_ = std::move(departure.identity);
  client.key_ = std::move(departure.key);
  return client;
}

bool Broker::is_own_filter(const Identity& identity, std::string_view filter) const {
  std::string root;
  topics_.append_topic(identity.names(), "#", root);
  if (covers(root, filter)) return true;
  for (const auto& spelling : topics_.spellings_of(identity.names())) {
    if (filter == spelling.alias) return true;
    if (spelling.with_below && covers(spelling.alias + "/#", filter)) return true;
  }
  return false;
}

}  // namespace sluice::front
