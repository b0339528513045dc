#include "core/broker.h"

#include <utility>

// Connections that the server ends: for another front, for draining, by what the registry said of a
// device or a tenant.
namespace sluice::front {

void Broker::release(const SessionKey& key, Epoch epoch, Done<bool> done) {
  Client* const client = find(key);
  if (client == nullptr || client->epoch_ > epoch) return done(false);
  client->rare().release_waiters.push_back(std::move(done));
  if (!client->has_ended_) {
    client->disconnect(mqtt::ReasonCode::kSessionTakenOver, "taken over by another front");
  }
}

void Broker::fence(const SessionKey& key, Epoch epoch) {
  Client* const client = find(key);
  if (client == nullptr || !client->is_accepted_ || client->epoch_ > epoch) return;
  client->cut_off(mqtt::ReasonCode::kSessionTakenOver, "taken over by another front");
}

void Broker::drop_all(std::string_view reason) {
  is_dropping_ = true;
  for (std::size_t slot = 0; slot < slots_.size(); ++slot) {
    if (Client* const client = slots_[slot].get(); client != nullptr && !client->has_ended_) {
      client->cut_off(mqtt::ReasonCode::kServerUnavailable, reason);
    }
  }
  is_dropping_ = false;
}

bool Broker::drain_some(std::size_t count, std::string_view server_reference) {
  is_draining_ = true;
  server_reference_ = server_reference;
  for (std::size_t slot = 0; slot < slots_.size() && count > 0; ++slot) {
    Client* const client = slots_[slot].get();
    if (client == nullptr || client->has_ended_) continue;
    client->disconnect(mqtt::ReasonCode::kUseAnotherServer, "draining", server_reference);
    --count;
  }
  return count == 0;
}

void Broker::on_change(const DeviceChange& change) {
  if (change.scope == DeviceChange::Scope::kDevice) {
    const SessionKey key = session_key(change.tenant, change.name);
    const auto waiting = waiting_.find(key);
    Client* const next = waiting == waiting_.end() ? nullptr : waiting->second;
    if (Client* const client = find(key); client != nullptr) apply(change, *client);
    if (next != nullptr) apply(change, *next);
    return;
  }
  for (std::size_t slot = 0; slot < slots_.size(); ++slot) {
    if (Client* const client = slots_[slot].get(); client != nullptr) apply(change, *client);
  }
}

void Broker::apply(const DeviceChange& change, Client& client) {
  if (client.has_ended_ || client.identity_ == nullptr) return;
  const SessionEffect effect = effect_on_session(change, *client.identity_);
  if (effect.action == SessionEffect::Action::kKeep) return;
  // Rights are not exchanged under a live connection: what was subscribed or is under way by the
  // old ones would have to be judged anew one by one. The device connects again and has the new.
  const bool is_over = effect.action == SessionEffect::Action::kEnd;
  // Who is sent away may be long in coming back, if ever: what others of its groups can do is
  // theirs, [MQTT5-4.8.2]. The client may be gone once it is disconnected.
  std::vector<mqtt::Delivery> shared;
  if (is_over && client.is_accepted_) {
    shared = client.session_.take_shared(mqtt::Session::Take::kUnacknowledged);
  }
  const SessionKey key = client.key();
  const Epoch epoch = client.epoch_;
  const bool is_in_store = client.is_in_store_;
  client.disconnect(mqtt::ReasonCode::kAdministrativeAction,
                    is_over ? effect.reason : "rights_changed");
  give_on_taken(key, epoch, is_in_store, std::move(shared));
}

Result<> Broker::on_limit(std::string_view tenant, const limits::v1::LimitChange* change) {
  if (change != nullptr) {
    return tenant_limits_.apply(*change, ports_.clock.wall(), ports_.clock.mono());
  }
  tenant_limits_.clear(tenant);
  return {};
}

}  // namespace sluice::front
