#pragma once

#include "adapters/memory_session_store.h"
#include "adapters/memory_session_store_fronts.h"
#include "adapters/session_store_metrics.h"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

namespace sluice::front {

/// The sessions themselves, in shards that loops rarely meet in. Thread-safe.
class MemorySessionStore::State {
 public:
  State(const SessionStoreConfig& config, const Clock& clock, Registry& registry)
      : config_(config), clock_(clock), metrics_(registry), fronts_(config, metrics_) {
    metrics_.lease_valid.set(1);
  }

  MemoryFronts& fronts() { return fronts_; }

  void remove_front(const FrontId& id);
  Result<SessionStore::ClaimOutcome> claim(const MemoryFrontPtr& front, const SessionKey& key,
                                           SessionStore::ClaimRequest request);
  Result<> release(const SessionKey& key, Epoch epoch, SessionStore::Release release);
  SessionStore::Place locate(const SessionKey& key);
  Result<> enqueue(const SessionKey& key, mqtt::Delivery delivery);
  void tick(MonoTime now);

 private:
  // Some times the number of loops, so that they rarely meet.
  static constexpr std::size_t kShards = 32;
  using Timers = std::multimap<MonoTime, SessionKey>;

  struct Entry {
    MemoryFrontPtr owner{};
    Epoch epoch{};
    std::uint32_t expiry_seconds = 0;
    bool exists = false;  // false: only a will is left
    StoredSession session{};
    std::optional<StoredWill> will{};
    std::optional<MonoTime> will_at{};     // nullopt: while the connection lasts
    std::optional<MonoTime> expires_at{};  // nullopt: owned, or forever
    std::optional<Timers::iterator> timer{};
    std::size_t bytes = 0;         // all of it, for the store's bound
    std::size_t queued_bytes = 0;  // as mqtt::Session counts them, for the queue's
  };

  struct Shard {
    std::mutex mutex{};
    std::unordered_map<SessionKey, Entry> entries{};
    Timers timers{};  // one for each entry that has something to come
  };
  using DueWill = std::pair<SessionKey, StoredWill>;
  /// Of a session that has ended, what other members of its share groups may get.
  using Ended = std::pair<SessionKey, std::vector<mqtt::Delivery>>;

  Shard& shard_of(const SessionKey& key) {
    return shards_[std::hash<SessionKey>{}(key) % shards_.size()];
  }
  static SessionStore::Owned owned(const Entry& entry) {
    return {.owner = entry.owner->id, .address = entry.owner->address, .epoch = entry.epoch};
  }
  bool is_there(const Entry& entry) const {
    return entry.exists && !(entry.expires_at && *entry.expires_at <= clock_.mono());
  }

  static std::uint64_t first_epoch(const Clock& clock) {
    const std::chrono::microseconds since = clock.wall().time_since_epoch();
    return static_cast<std::uint64_t>(since.count());
  }
  static void set_timer(Shard& shard, const SessionKey& key, Entry& entry);
  void run_timer(Shard& shard, MonoTime now, std::vector<DueWill>& due, std::vector<Ended>& ended);
  void erase(Shard& shard, std::unordered_map<SessionKey, Entry>::iterator found);
  void set_bytes(Entry& entry, std::size_t bytes) {
    bytes_.fetch_add(bytes - entry.bytes);  // wraps back to the right sum
    entry.bytes = bytes;
  }
  void show() {
    metrics_.sessions.set(static_cast<double>(sessions_.load()));
    metrics_.bytes.set(static_cast<double>(bytes_.load()));
  }
  void hand_out(DueWill will) { fronts_.hand_out(will.first, std::move(will.second)); }
  void hand_out_ended(Ended ended) {
    if (!ended.second.empty()) fronts_.hand_out_ended(ended.first, std::move(ended.second));
  }

  const SessionStoreConfig config_;
  const Clock& clock_;
  SessionStoreMetrics metrics_;
  MemoryFronts fronts_;
  std::array<Shard, kShards> shards_{};
  std::atomic<std::int64_t> sessions_ = 0;
  std::atomic<std::size_t> bytes_ = 0;
  /// From the time of the process' start on: who follows presence must not take the sessions of a
  /// front that was started again for older ones than those before.
  std::atomic<std::uint64_t> last_epoch_ = first_epoch(clock_);
};

}  // namespace sluice::front
