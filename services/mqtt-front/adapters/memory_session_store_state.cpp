#include "adapters/memory_session_store_state.h"

#include <algorithm>
#include <iterator>

namespace sluice::front {
namespace {

using std::chrono::seconds;

// The map's node with the entry and its timer, rounded up, for the bound on bytes.
constexpr std::size_t kBytesPerSession = 400;

Error fenced() {
  return Error(ErrorCode::kAborted, "the session has a later owner").with_reason("fenced");
}

std::size_t bytes_of(const mqtt::Delivery& delivery) {
  return sizeof delivery + (delivery.message ? delivery.message->size_bytes() : 0);
}
std::size_t queued_bytes_of(const mqtt::Delivery& delivery) {
  return delivery.message ? delivery.message->size_bytes() : 0;
}
std::size_t bytes_of(const StoredSession& session) {
  std::size_t bytes = kBytesPerSession;
  for (const auto& subscription : session.subscriptions) {
    bytes += sizeof subscription + subscription.filter.size() + subscription.group.size();
  }
  for (const auto& delivery : session.deliveries) bytes += bytes_of(delivery);
  return bytes;
}

std::vector<mqtt::Delivery> take_shared(StoredSession& session) {
  std::vector<mqtt::Delivery> shared;
  for (mqtt::Delivery& delivery : session.deliveries) {
    if (mqtt::may_be_given_on(delivery)) shared.push_back(std::move(delivery));
  }
  return shared;
}

/// What was never sent and has expired, with its bytes in the queue's count and in the store's.
struct Dropped {
  std::size_t messages = 0;
  std::size_t queued = 0;
  std::size_t stored = 0;
};

Dropped drop_expired(StoredSession& session, MonoTime now) {
  Dropped dropped;
  dropped.messages = std::erase_if(session.deliveries, [&](const mqtt::Delivery& delivery) {
    const bool drops = delivery.state == mqtt::Delivery::State::kWaiting && delivery.message &&
                       delivery.message->has_expired(now);
    if (drops) dropped.queued += queued_bytes_of(delivery), dropped.stored += bytes_of(delivery);
    return drops;
  });
  return dropped;
}

MonoTime will_time(MonoTime now, seconds delay, std::uint32_t expiry_seconds) {
  // The session's end publishes the will if the delay does not, [MQTT5-3.1.3.2.2].
  if (expiry_seconds == kSessionForever) return now + delay;
  return now + std::min(delay, seconds(expiry_seconds));
}

}  // namespace

void MemorySessionStore::State::remove_front(const FrontId& id) {
  const MemoryFrontPtr front = fronts_.remove(id);
  if (!front) return;
  const MonoTime now = clock_.mono();
  for (Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    for (auto& [key, entry] : shard.entries) {
      if (entry.owner != front) continue;
      // What the session was, only the front knew. The will is all that is left of it.
      entry.owner.reset();
      entry.exists = false;
      entry.will_at = entry.will ? will_time(now, entry.will->delay, entry.expiry_seconds) : now;
      entry.expires_at = entry.will_at;
      set_timer(shard, key, entry);
    }
  }
}

Result<SessionStore::ClaimOutcome> MemorySessionStore::State::claim(
    const MemoryFrontPtr& front, const SessionKey& key, SessionStore::ClaimRequest request) {
  if (!front) return fail(ErrorCode::kUnavailable, "no such front");
  Shard& shard = shard_of(key);
  const MonoTime now = clock_.mono();
  SessionStore::ClaimOutcome outcome;
  std::optional<DueWill> due;
  Ended ended{key, {}};
  {
    const std::lock_guard lock(shard.mutex);
    const auto found = shard.entries.find(key);
    if (found == shard.entries.end()) {
      if (sessions_.load() >= config_.max_sessions) return refuse(metrics_, "session_max_stored");
    } else if (const Entry& entry = found->second;
               entry.owner && entry.owner != front && entry.owner->is_alive.load()) {
      metrics_.claims_owned.add();
      outcome.owned_by_other = owned(entry);
      return outcome;
    }
    if (found == shard.entries.end()) sessions_.fetch_add(1);
    Entry& entry = shard.entries[key];
    const bool was_expired = entry.expires_at && *entry.expires_at <= now;
    const bool is_present =
        entry.exists && !request.clean_start && !was_expired && entry.expiry_seconds > 0;
    if (entry.will && entry.will_at &&
        (request.clean_start || *entry.will_at <= now || !entry.exists)) {
      due.emplace(key, *std::move(entry.will));
    }
    if (!is_present) ended.second = take_shared(entry.session);
    outcome.claim.session_present = is_present;
    if (is_present) outcome.claim.session = std::move(entry.session);
    outcome.claim.epoch = entry.epoch = Epoch(++last_epoch_);
    entry.session = {};
    entry.exists = true;
    entry.owner = front;
    entry.expiry_seconds = request.expiry_seconds;
    entry.will = std::move(request.will);
    entry.will_at.reset();
    entry.expires_at.reset();
    set_timer(shard, key, entry);
    set_bytes(entry, kBytesPerSession);
    (is_present ? metrics_.claims_resumed : metrics_.claims_new).add();
  }
  if (due) hand_out(*std::move(due));
  hand_out_ended(std::move(ended));
  show();
  return outcome;
}

Result<> MemorySessionStore::State::release(const SessionKey& key, Epoch epoch,
                                            SessionStore::Release release) {
  Shard& shard = shard_of(key);
  const MonoTime now = clock_.mono();
  std::optional<DueWill> due;
  Ended ended{key, {}};
  Result<> result;
  {
    const std::lock_guard lock(shard.mutex);
    const auto found = shard.entries.find(key);
    if (found == shard.entries.end() || found->second.epoch != epoch || !found->second.owner) {
      metrics_.fenced.add();
      return fail(fenced());
    }
    Entry& entry = found->second;
    entry.owner.reset();
    entry.expiry_seconds = release.expiry_seconds;
    entry.exists = release.expiry_seconds > 0;
    const std::size_t bytes = bytes_of(release.session);
    if (entry.exists && bytes_.load() + bytes > config_.max_session_store_bytes.count) {
      // Half a session would be worse than none: the next connection is told that it is gone.
      entry.exists = false;
      ended.second = take_shared(release.session);
      result = refuse(metrics_, "session_max_stored_bytes");
    }
    entry.will = std::move(release.will);
    entry.will_at.reset();
    if (entry.will) {
      entry.will_at = will_time(now, entry.will->delay, entry.exists ? entry.expiry_seconds : 0);
    }
    if (entry.exists) {
      entry.session = std::move(release.session);
      set_bytes(entry, bytes);
      entry.queued_bytes = 0;
      for (const mqtt::Delivery& delivery : entry.session.deliveries) {
        entry.queued_bytes += queued_bytes_of(delivery);
      }
      if (entry.expiry_seconds != kSessionForever) {
        entry.expires_at = now + seconds(entry.expiry_seconds);
      }
      set_timer(shard, key, entry);
    } else {
      if (entry.will) due.emplace(key, *std::move(entry.will));
      erase(shard, found);
    }
  }
  if (due) hand_out(*std::move(due));
  hand_out_ended(std::move(ended));
  show();
  return result;
}

SessionStore::Place MemorySessionStore::State::locate(const SessionKey& key) {
  Shard& shard = shard_of(key);
  const std::lock_guard lock(shard.mutex);
  SessionStore::Place place;
  const auto found = shard.entries.find(key);
  if (found == shard.entries.end() || !is_there(found->second)) return place;
  place.exists = true;
  if (found->second.owner) {
    place.owner = owned(found->second);
  } else {
    place.subscriptions = found->second.session.subscriptions;
  }
  return place;
}

Result<> MemorySessionStore::State::enqueue(const SessionKey& key, mqtt::Delivery delivery) {
  Shard& shard = shard_of(key);
  const std::lock_guard lock(shard.mutex);
  const auto found = shard.entries.find(key);
  if (found == shard.entries.end() || !is_there(found->second)) {
    return fail(Error(ErrorCode::kNotFound, "the session is gone"));
  }
  Entry& entry = found->second;
  if (entry.owner) {
    return fail(
        Error(ErrorCode::kFailedPrecondition, "the session is connected").with_reason("owned"));
  }
  StoredSession& session = entry.session;
  const std::size_t bytes = bytes_of(delivery);
  const auto max_queued = static_cast<std::size_t>(config_.max_queued);
  if (session.deliveries.size() >= max_queued ||
      entry.queued_bytes + queued_bytes_of(delivery) > config_.max_queued_bytes.count) {
    const Dropped dropped = drop_expired(session, clock_.mono());
    metrics_.dropped_expired.add(dropped.messages);
    entry.queued_bytes -= dropped.queued;
    set_bytes(entry, entry.bytes - dropped.stored);
  }
  if (session.deliveries.size() >= max_queued) return refuse(metrics_, "session_max_queued");
  const std::size_t queued_bytes = entry.queued_bytes + queued_bytes_of(delivery);
  // One message is taken whatever its size when nothing else waits, as mqtt::Session does.
  if (!session.deliveries.empty() && queued_bytes > config_.max_queued_bytes.count) {
    return refuse(metrics_, "session_max_queued_bytes");
  }
  if (bytes_.load() + bytes > config_.max_session_store_bytes.count) {
    return refuse(metrics_, "session_max_stored_bytes");
  }
  delivery.sequence = session.next_sequence++;
  session.deliveries.push_back(std::move(delivery));
  entry.queued_bytes = queued_bytes;
  set_bytes(entry, entry.bytes + bytes);
  return {};
}

void MemorySessionStore::State::tick(MonoTime now) {
  std::vector<DueWill> due;
  std::vector<Ended> ended;
  std::size_t left = kMaxExpiredPerTick;
  std::size_t overdue = 0;
  for (Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    for (; left > 0 && !shard.timers.empty() && shard.timers.begin()->first <= now; --left) {
      run_timer(shard, now, due, ended);
    }
    const auto end = shard.timers.upper_bound(now);
    overdue += static_cast<std::size_t>(std::distance(shard.timers.begin(), end));
  }
  for (DueWill& will : due) hand_out(std::move(will));
  for (Ended& one : ended) hand_out_ended(std::move(one));
  metrics_.overdue.set(static_cast<double>(overdue));
  show();
}

void MemorySessionStore::State::set_timer(Shard& shard, const SessionKey& key, Entry& entry) {
  if (entry.timer) shard.timers.erase(*std::exchange(entry.timer, std::nullopt));
  std::optional<MonoTime> next = entry.expires_at;
  if (entry.will && entry.will_at) next = next ? std::min(*next, *entry.will_at) : entry.will_at;
  if (next) entry.timer = shard.timers.emplace(*next, key);
}

void MemorySessionStore::State::run_timer(Shard& shard, MonoTime now, std::vector<DueWill>& due,
                                          std::vector<Ended>& ended) {
  const auto found = shard.entries.find(shard.timers.begin()->second);
  Entry& entry = found->second;
  const bool is_over = entry.expires_at && *entry.expires_at <= now;
  if (entry.will && entry.will_at && (is_over || *entry.will_at <= now)) {
    due.emplace_back(found->first, *std::move(entry.will));
    entry.will.reset();
  }
  if (is_over) {
    if (entry.exists) metrics_.expired.add();
    ended.emplace_back(found->first, take_shared(entry.session));
    erase(shard, found);
  } else {
    set_timer(shard, found->first, entry);
  }
}

void MemorySessionStore::State::erase(Shard& shard,
                                      std::unordered_map<SessionKey, Entry>::iterator found) {
  if (found->second.timer) shard.timers.erase(*found->second.timer);
  bytes_.fetch_sub(found->second.bytes);
  sessions_.fetch_sub(1);
  shard.entries.erase(found);
}

}  // namespace sluice::front
