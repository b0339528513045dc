#pragma once

#include "adapters/session_store_config.h"
#include "adapters/session_store_metrics.h"

#include <atomic>
#include <functional>
#include <mutex>
#include <string>

#include <sluice/base/clock.h>
#include <sluice/log/logger.h>
#include <sluice/redis/client.h>

namespace sluice::front {

/// A front's sign of life: a key in Redis that runs out unless it is renewed, and the front's own
/// idea of how long that key is certain to be there, by its monotonic clock from the moment the
/// renewal was *sent*. A process that was stopped finds that moment passed when it goes on, before
/// it could do anything as an owner.
///
/// Thread-safe; tick() is called by one thread. The hooks are called under its lock: they must only
/// hand on.
class FrontLease {
 public:
  struct Hooks {
    /// As SessionStoreListener::on_lease().
    std::move_only_function<void(bool is_valid, bool sessions_lost)> on_change{};
    /// The key was gone although this front was never silent: Redis lost it, or was away for
    /// longer. The sessions are still this front's, unless somebody claimed one meanwhile.
    std::move_only_function<void()> on_forgotten{};
  };

  FrontLease(const SessionStoreConfig& config, const Clock& clock, SessionStoreMetrics metrics,
             Logger log, redis::Client& client, std::string lease_key, std::string fronts_key,
             std::string front, std::string address, Hooks hooks);

  bool is_valid(MonoTime now) const {
    return now.time_since_epoch().count() < valid_until_.load(std::memory_order_acquire);
  }
  /// Whether a lease that is missing says that its front is dead. Not after an outage: the leases
  /// of fronts that live may have run out in it as well, and each has some time to renew its own
  /// before anybody takes its sessions, of which it may know what Redis does not.
  bool may_judge_others(MonoTime now) const;
  void tick();

 private:
  void send(MonoTime now);
  void on_answer(MonoTime sent_at, bool was_renewal, const Result<redis::Reply>& reply);
  void on_missing(MonoTime now);
  void set_valid_until(MonoTime time);
  void begin_outage();

  const std::chrono::milliseconds lease_;
  const bool keeps_in_outage_;
  const Clock& clock_;
  SessionStoreMetrics metrics_;
  Logger log_;
  redis::Client& client_;
  const std::string lease_key_;
  const std::string fronts_key_;
  const std::string front_;
  const std::string address_;
  std::atomic<std::int64_t> valid_until_{};  // nanoseconds of MonoTime
  std::atomic<std::int64_t> steady_since_;   // the same: since then every renewal was answered

  std::mutex mutex_{};  // guards what follows
  Hooks hooks_;
  bool is_told_valid_ = false;
  bool is_registered_ = false;
  bool is_in_flight_ = false;
  bool is_outage_ = false;  // the last renewal failed, or is not answered
  MonoTime sent_at_{};
  MonoTime next_at_{};
};

}  // namespace sluice::front
