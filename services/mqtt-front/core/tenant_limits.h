#pragma once

#include "core/token_bucket.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include <sluice/base/clock.h>
#include <sluice/base/ids.h>
#include <sluice/base/result.h>

namespace sluice::limits::v1 {
class LimitChange;
}

namespace sluice::front {

/// What the whole of a tenant may do on this front.
struct TenantRates {
  Rate messages{};
  Rate bytes{};
  Rate connections{};
  /// QoS 0 is shed and buffered messages are slowed while there is still room for the others.
  bool sheds_low_priority = false;
  std::string reason{};  // of the change they come from; empty: configured

  bool operator==(const TenantRates&) const = default;
};

/// A tenant's buckets, shared by all loops as atomics. A share per loop was rejected: the devices
/// of a tenant are never spread evenly, and what one loop leaves unused another would lack.
struct TenantBuckets {
  SharedTokenBucket messages{};
  SharedTokenBucket bytes{};
  SharedTokenBucket connections{};
};

/// Where the loops meet: one set of buckets per tenant for as long as anybody holds it.
/// Thread-safe; asked at connect at most, never per message.
class TenantBucketTable {
 public:
  std::shared_ptr<TenantBuckets> of(const std::string& tenant);
  std::size_t size() const;

 private:
  mutable std::mutex mutex_;  // guards the map
  std::unordered_map<std::string, std::weak_ptr<TenantBuckets>> buckets_;
  std::size_t sweep_at_ = 64;  // size at which tenants that nobody holds are forgotten
};

/// One loop's view of one tenant. Held by the loop's connections, so that no message looks it up.
class TenantMeter {
 public:
  TenantMeter(std::shared_ptr<TenantBuckets> buckets, const TenantRates& configured)
      : buckets_(std::move(buckets)), configured_(configured) {}

  TenantBuckets& buckets() { return *buckets_; }
  /// What holds now: a change until it expires, then what is configured.
  const TenantRates& rates(MonoTime now) const {
    return now < change_expires_at_ ? change_ : configured_;
  }

 private:
  friend class TenantLimits;
  std::shared_ptr<TenantBuckets> buckets_;  // owners: the meters of this tenant, one per loop
  TenantRates configured_;
  TenantRates change_{};
  MonoTime change_expires_at_{MonoTime::min()};
};

/// One loop's tenants and what control.limits says about them. One owner thread: records are posted
/// to every loop.
class TenantLimits {
 public:
  struct Settings {
    TenantRates default_rates{};                                // of tenants not named below
    std::unordered_map<std::string, TenantRates> of_tenants{};  // configured by name
    /// Changes kept for tenants; a controller that names more is ignored beyond it.
    std::size_t max_changes = 100'000;
    /// No change holds longer, whatever it says: a controller that died must not throttle for ever.
    std::chrono::seconds max_change_duration{3600};
  };
  TenantLimits(Settings settings, TenantBucketTable& buckets);

  /// Owners: this table and the connections of the tenant.
  std::shared_ptr<TenantMeter> meter_of(const TenantId& tenant);

  /// A record of control.limits. Fails on values that make no sense (negative, not finite), on a
  /// tenant that is no id, and when the table is full: the limits then stay as they were.
  Result<> apply(const limits::v1::LimitChange& change, WallTime wall, MonoTime now);
  /// A record without a value.
  void clear(std::string_view tenant);

  std::size_t meters() const { return meters_.size(); }
  std::size_t changes() const { return changes_.size(); }

 private:
  struct Change {
    TenantRates rates{};
    MonoTime expires_at{};
  };
  const TenantRates& configured(const std::string& tenant) const;
  void forget_unused();
  void forget_expired(MonoTime now);

  Settings settings_;
  TenantBucketTable& buckets_;
  std::unordered_map<std::string, std::shared_ptr<TenantMeter>> meters_;
  std::unordered_map<std::string, Change> changes_;
  std::size_t sweep_at_ = 64;
};

}  // namespace sluice::front
