#include "adapters/redis_session_store_tables.h"
#include "adapters/stored_message.h"

#include <utility>
#include <vector>

// What is done with retained messages whenever nothing is new: those that wait for Redis to be back
// are written, those that have expired are removed.
namespace sluice::front {
namespace {

// Of what waits: topics, and what a process can spare.
constexpr std::size_t kMaxHeld = 10'000;
constexpr std::size_t kMaxHeldBytes = std::size_t{16} << 20;
// One round trip each, between two looks at what others have changed.
constexpr std::size_t kHeldPerPoll = 100;
// All of a million in some minutes, at the usual session_follow_interval.
constexpr std::size_t kLookedAtPerPoll = 200;

std::size_t size_of(const std::string& topic, const mqtt::MessagePtr& held) {
  return topic.size() + (held ? held->size_bytes() : 0);
}

}  // namespace

bool RetainedTable::hold(const std::string& topic, const Held& held) {
  const std::lock_guard lock(held_mutex_);
  const auto old = held_.find(topic);
  const std::size_t old_size = old == held_.end() ? 0 : size_of(topic, old->second);
  const std::size_t bytes = held_bytes_ - old_size + size_of(topic, held);
  if (bytes > kMaxHeldBytes || (old == held_.end() && held_.size() >= kMaxHeld)) return false;
  held_bytes_ = bytes;
  held_[topic] = held;
  metrics_.retained_waiting.set(static_cast<double>(held_.size()));
  return true;
}

void RetainedTable::drop_held(const std::string& topic, const Held* held) {
  const std::lock_guard lock(held_mutex_);
  const auto found = held_.find(topic);
  if (found == held_.end() || (held != nullptr && found->second != *held)) return;
  held_bytes_ -= size_of(topic, found->second);
  held_.erase(found);
  metrics_.retained_waiting.set(static_cast<double>(held_.size()));
}

Result<> RetainedTable::write_held() {
  std::vector<std::pair<std::string, Held>> next;
  {
    const std::lock_guard lock(held_mutex_);
    for (const auto& one : held_) {
      if (next.size() >= kHeldPerPoll) break;
      next.push_back(one);
    }
  }
  for (const auto& [topic, held] : next) {
    const Moment now = Moment::of(clock_);
    if (held && held->has_expired(now.mono)) {
      drop_held(topic, &held);
      continue;
    }
    const Condition condition{.unless_changed_since_followed = true};
    auto reply = held ? call_put(topic, encode_message(*held, now), condition)
                      : call_remove(topic, condition);
    if (!reply && is_retryable(reply.error().code())) return fail(std::move(reply).error());
    if (reply && reply->integer() < 0) return {};  // once the log was followed further
    drop_held(topic, &held);
    if (!reply) {
      metrics_.refused(reply.error().reason());
      continue;
    }
    tell_own(topic, held, *reply, [](const Result<>&) {});
  }
  return {};
}

Result<> RetainedTable::on_caught_up() {
  SLUICE_TRY(write_held());
  return remove_expired();
}

Result<> RetainedTable::remove_expired() {
  const MonoTime now = clock_.mono();
  auto at = known_.upper_bound(looked_at_);
  for (std::size_t i = 0; i < kLookedAtPerPoll && at != known_.end(); ++i, ++at) {
    looked_at_ = at->first;
    if (!at->second.message || !at->second.message->has_expired(now)) continue;
    SLUICE_TRY(call_remove(at->first, {.unless_changed_since_followed = true}));
  }
  if (at == known_.end()) looked_at_.clear();
  return {};
}

}  // namespace sluice::front
