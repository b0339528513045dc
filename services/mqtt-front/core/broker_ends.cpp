#include "core/broker.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

// Connections that the server ends: for another front, for draining, by what the registry said of a
// device or a tenant.
namespace sluice::front {

namespace {

// Of one loop in Broker::kDueInterval. Those whose rights changed are back at once, together as
// many a second as a front of two loops lets in (connections_per_second); those that are sent away
// are refused before they cost much.
constexpr std::size_t kMayChange = 50;
constexpr std::size_t kMayEnd = 500;
// More changes than this do not wait for each other: the pace is lost, not a change.
constexpr std::size_t kMaxSweeps = 1000;

// How long a connection waits for an earlier one of its session to be over: most of
// connect_timeout, so that it is still there to be told.
constexpr std::chrono::seconds kMaxWait{3};

}  // namespace

// The holder has ended and waits, for Kafka or for the store: longer than a client waits for its
// CONNACK, or the shell for the client, it would end without a word.
bool Broker::has_waited_long(const Client& client) const {
  const auto since = client.arrival_->waits_since;
  return since && ports_.clock.mono() - *since >= kMaxWait;
}

void Broker::refuse_long_waiting() {
  std::vector<Client*> refused;
  for (const auto& [key, client] : waiting_) {
    if (has_waited_long(*client)) refused.push_back(client);
  }
  for (Client* const client : refused) {
    client->refuse(mqtt::ReasonCode::kServerBusy, kSessionBusy);
  }
}

void Broker::run_due() {
  if (!has_due()) return;
  const MonoTime now = ports_.clock.mono();
  if (now < next_due_) return;
  next_due_ = now + kDueInterval;
  for (auto& task : std::exchange(later_, {})) task();
  refuse_long_waiting();
  sweep();
}

void Broker::release(const SessionKey& key, Epoch epoch, Done<bool> done) {
  Client* const client = find(key);
  if (client == nullptr || client->epoch_ > epoch) return done(false);
  auto& waiters = client->rare().release_waiters;
  waiters.push_back({.since = ports_.clock.mono(), .done = std::move(done)});
  if (waiters.size() == 1 && !SLUICE_PLANTED_BUG("front_is_silent_while_busy")) {
    do_later([this, key] { answer_long_waiting(key); });
  }
  if (!client->has_ended_) {
    ports_.metrics.takeovers.add();
    client->disconnect(mqtt::ReasonCode::kSessionTakenOver, "taken over by another front");
  }
}

// The front that asks is to know why it has to wait, and to tell its client: a call that only runs
// out of time says that this front may be dead.
void Broker::answer_long_waiting(const SessionKey& key) {
  Client* const client = find(key);
  if (client == nullptr || !client->rare_) return;
  const MonoTime now = ports_.clock.mono();
  auto& waiters = client->rare_->release_waiters;
  const auto recent = std::ranges::find_if(waiters, [&](const Client::ReleaseWaiter& waiter) {
    return now - waiter.since < kMaxRelease;
  });
  for (auto waiter = waiters.begin(); waiter != recent; ++waiter) {
    waiter->done(fail(Error(ErrorCode::kFailedPrecondition, "what it published is not stored yet")
                          .with_reason(std::string(kSessionBusy))));
  }
  waiters.erase(waiters.begin(), recent);
  if (!waiters.empty()) do_later([this, key] { answer_long_waiting(key); });
}

void Broker::fence(const SessionKey& key, Epoch epoch) {
  Client* const client = find(key);
  if (client == nullptr || !client->is_accepted_ || client->epoch_ > epoch) return;
  client->cut_off(mqtt::ReasonCode::kSessionTakenOver, "taken over by another front");
}

void Broker::drop_all(std::string_view reason) {
  for (std::size_t slot = 0; slot < slots_.size(); ++slot) {
    if (Client* const client = slots_[slot].get(); client != nullptr && !client->has_ended_) {
      client->cut_off(mqtt::ReasonCode::kServerUnavailable, reason);
    }
  }
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
  // Who may not be connected does not wait for those who only are to connect again.
  const bool ends = !change.end_reason.empty();
  sweeps_.insert(ends ? sweeps_.begin() : sweeps_.end(), {.change = change});
  sweep();
}

void Broker::sweep() {
  if (sweeps_.empty()) return;
  const MonoTime now = ports_.clock.mono();
  if (now >= more_at_) {
    more_at_ = now + kDueInterval;
    may_end_ = kMayEnd;
    may_change_ = kMayChange;
  }
  for (; !sweeps_.empty(); sweeps_.pop_front()) {
    const bool is_paced = sweeps_.size() <= kMaxSweeps;
    Sweep& next = sweeps_.front();
    std::size_t& left = next.change.end_reason.empty() ? may_change_ : may_end_;
    for (; next.slot < slots_.size(); ++next.slot) {
      if (is_paced && left == 0) return;
      Client* const client = slots_[next.slot].get();
      if (client != nullptr && apply(next.change, *client) && left > 0) --left;
    }
  }
}

bool Broker::apply(const DeviceChange& change, Client& client) {
  if (client.has_ended_ || client.identity_ == nullptr) return false;
  const SessionEffect effect = effect_on_session(change, *client.identity_);
  if (effect.action == SessionEffect::Action::kKeep) return false;
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
  // One whose rights are others now is in good standing: if it does not come back, those who wait
  // for its will are to hear it.
  const bool publishes_will = !is_over;
  client.close(mqtt::ReasonCode::kAdministrativeAction, is_over ? effect.reason : "rights_changed",
               {}, publishes_will);
  give_on_taken(key, epoch, is_in_store, std::move(shared));
  return true;
}

Result<> Broker::on_limit(std::string_view tenant, const limits::v1::LimitChange* change) {
  if (change != nullptr) {
    return tenant_limits_.apply(*change, ports_.clock.wall(), ports_.clock.mono());
  }
  tenant_limits_.clear(tenant);
  return {};
}

}  // namespace sluice::front
