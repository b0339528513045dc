#pragma once

#include "adapters/redis_session_record.h"
#include "adapters/redis_session_store.h"
#include "adapters/redis_session_store_fronts.h"
#include "adapters/redis_session_store_keys.h"
#include "adapters/redis_session_store_lease.h"
#include "adapters/redis_session_store_mirror.h"
#include "adapters/redis_session_store_scripts.h"
#include "adapters/redis_session_store_sweeper.h"
#include "adapters/redis_session_store_tables.h"
#include "adapters/session_store_metrics.h"
#include "adapters/stored_message.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

namespace sluice::front {

/// What is owned lives longer in Redis than its session's expiry by this, so that sessions of
/// fronts that died end although nobody released them.
inline constexpr std::chrono::milliseconds kOwnedSlack = std::chrono::hours(1);

/// What all loops' handles share. Every call is thread-safe; answers come on the Redis client's
/// thread, and the handles carry them to their loops.
class RedisSessionStore::Engine {
 public:
  Engine(const SessionStoreConfig& config, const Clock& clock, Registry& registry, Logger log,
         std::unique_ptr<redis::Client> client, Identity identity, SessionStoreListener& listener);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  bool lease_is_valid(MonoTime now) const { return lease_.is_valid(now); }
  bool is_loaded() const { return wide_.is_loaded() && retained_.is_loaded(); }
  void stop_threads();
  void stop_sweeping();

  void claim(const SessionKey& key, SessionStore::ClaimRequest request,
             Done<SessionStore::ClaimOutcome> done);
  void release(const SessionKey& key, Epoch epoch, SessionStore::Release release, Done<void> done);
  /// Runs a script whose first argument is the epoch.
  void write(const redis::Script& script, const SessionKey& key, Epoch epoch,
             std::vector<std::string> arguments, Done<void> done);
  void locate(const SessionKey& key, Done<SessionStore::Place> done);
  void enqueue(const SessionKey& key, const mqtt::Delivery& delivery, Done<void> done);
  void put_delivery(const SessionKey& key, Epoch epoch, const mqtt::Delivery& delivery,
                    Done<void> done);
  void remove_ended(const SessionKey& key, std::uint64_t sequence);
  void put_wide(const SessionKey& key, Epoch epoch, const StoredSubscription& subscription,
                Done<void> done);

  const SessionScripts& scripts() const { return scripts_; }
  Moment now() const { return Moment::of(clock_); }
  WideTable& wide() { return wide_; }
  RetainedTable& retained() { return retained_; }
  /// In the terms of the port.
  Error to_port_error(Error error);

 private:
  struct ClaimCall;
  struct WriteCall;
  struct LetGo {
    Epoch epoch{};  // 0: of a claim without an answer, which may have been made
    std::uint32_t expiry_seconds = 0;
    std::string will{};
    std::chrono::seconds will_delay{0};
    bool had_will = false;
    int looks = 0;  // for what such a claim made
  };
  using LetGoPtr = std::shared_ptr<LetGo>;  // shared with the commands under way
  struct Held {
    Epoch epoch{};
    std::uint32_t expiry_seconds = 0;
    bool has_will = false;
    bool is_listed = false;  // among the sessions that the sweeper looks at
  };

  void send_claim(const std::shared_ptr<ClaimCall>& call);
  void on_claim_answer(const std::shared_ptr<ClaimCall>& call);
  void on_claimed_by_other(const std::shared_ptr<ClaimCall>& call, SessionStore::Owned owned);
  SessionStore::Claim read_claim(const std::vector<redis::Reply>& items);
  void read_queue(const std::vector<redis::Reply>& queue, StoredSession& session);
  void run_release(const SessionKey& key, const std::shared_ptr<const LetGo>& let_go, bool is_again,
                   Done<void> done);
  void on_let_go(const SessionKey& key, const LetGo& let_go, const redis::Reply& reply,
                 Done<void> done);
  /// Redis may call this front the owner of a session that it does not hold: to be told again.
  void keep_unreleased(const SessionKey& key, LetGoPtr let_go);
  void forget_unreleased(const SessionKey& key);
  void settle_unreleased(const SessionKey& key, const LetGoPtr& let_go);
  bool is_unreleased(const SessionKey& key, const LetGoPtr& let_go);
  void release_again(MonoTime now);
  void look_for_claim(const SessionKey& key, const LetGoPtr& let_go);
  void on_write_missing(const std::shared_ptr<WriteCall>& call);
  Result<> read_write(Result<redis::Reply> reply);
  void on_located(const SessionKey& key, const std::string& record, Done<SessionStore::Place> done);
  void on_fenced(const SessionKey& key, Epoch epoch);

  void remember(const SessionKey& key, const Held& held);
  bool is_listed(const SessionKey& key);
  void set_listed(const SessionKey& key);
  std::optional<Held> forget(const SessionKey& key, Epoch epoch);
  void run_hold(const SessionKey& key, const Held& held, redis::Client::Callback done);
  /// The next part of what is owned; `all`: everything, in the steps to come.
  void hold_some(bool all, MonoTime now);

  void run_lease();
  void run_following();
  Result<bool> sweep(MonoTime now);
  std::optional<ListenerCalls::Call> call_with_will(const SessionKey& key,
                                                    const std::string& record);
  void hand_out_ended(const SessionKey& key, const SessionSweeper::Records& records);
  /// Has the sweeper look at the session soon.
  void list_ended(const SessionKey& key, Done<void> done);

  const SessionStoreConfig config_;
  const Clock& clock_;
  SessionStoreMetrics metrics_;
  Logger log_;
  const Identity identity_;
  SessionStoreListener& listener_;
  const SessionScripts scripts_{};
  const MirrorScripts mirror_scripts_{};
  const RedisKeys keys_;
  std::unique_ptr<redis::Client> owned_client_;
  redis::Client& client_;  // works for callbacks even while the client is being destroyed
  ListenerCalls calls_{};
  WideTable wide_;
  RetainedTable retained_;
  SessionSweeper sweeper_;
  FrontLease lease_;
  FrontDirectory fronts_;

  std::mutex held_mutex_{};  // guards what this front owns; also orders hold before release
  std::unordered_map<SessionKey, Held> held_{};
  std::size_t hold_cursor_ = 0;
  std::size_t hold_left_ = 0;  // buckets
  MonoTime hold_stepped_at_{};

  struct Retry {
    MonoTime at{};
    SessionKey key{};
    LetGoPtr let_go{};
  };
  std::mutex unreleased_mutex_{};  // guards what this front has let go of and Redis may not know of
  std::unordered_map<SessionKey, LetGoPtr> unreleased_{};
  std::deque<Retry> unreleased_due_{};  // of those, and of some that are settled by now

  std::mutex sweep_mutex_{};  // held for each slice
  std::atomic<bool> may_sweep_ = true;

  std::mutex stop_mutex_{};
  std::condition_variable stop_changed_{};
  bool is_stopping_ = false;
  bool is_forgotten_ = false;  // everything owned is to be put again soon
  std::thread lease_thread_{};
  std::thread following_thread_{};
};

}  // namespace sluice::front
