#include "core/tenant_limits.h"

#include <algorithm>
#include <cmath>
#include <format>

#include <sluice/limits/v1/limit_change.pb.h>

namespace sluice::front {

namespace {

/// Smallest size at which tables look for what nobody needs any more.
constexpr std::size_t kSweepAtLeast = 64;

Result<Rate> to_rate(double per_second, const Rate& configured, std::string_view field) {
  if (!std::isfinite(per_second) || per_second < 0) {
    return fail(ErrorCode::kInvalidArgument, std::format("{} is no rate", field));
  }
  if (per_second == 0) return configured;
  // Rounded up: a fraction of a token is still not "no limit".
  const double bounded = std::min(std::ceil(per_second), static_cast<double>(Rate::kMaxPerSecond));
  return Rate(static_cast<std::uint64_t>(bounded));
}

/// Longest reason kept: it ends up in metric labels and logs.
constexpr std::size_t kMaxReasonSize = 64;

}  // namespace

std::shared_ptr<TenantBuckets> TenantBucketTable::of(const std::string& tenant) {
  const std::lock_guard lock(mutex_);
  if (buckets_.size() >= sweep_at_) {
    std::erase_if(buckets_, [](const auto& entry) { return entry.second.expired(); });
    sweep_at_ = std::max(kSweepAtLeast, 2 * buckets_.size());
  }
  std::weak_ptr<TenantBuckets>& known = buckets_[tenant];
  auto buckets = known.lock();
  if (buckets == nullptr) {
    buckets = std::make_shared<TenantBuckets>();
    known = buckets;
  }
  return buckets;
}

std::size_t TenantBucketTable::size() const {
  const std::lock_guard lock(mutex_);
  return buckets_.size();
}

TenantLimits::TenantLimits(Settings settings, TenantBucketTable& buckets)
    : settings_(std::move(settings)), buckets_(buckets) {}

const TenantRates& TenantLimits::configured(const std::string& tenant) const {
  const auto found = settings_.of_tenants.find(tenant);
  return found == settings_.of_tenants.end() ? settings_.default_rates : found->second;
}

std::shared_ptr<TenantMeter> TenantLimits::meter_of(const TenantId& tenant) {
  const std::string& name = tenant.value();
  if (const auto found = meters_.find(name); found != meters_.end()) return found->second;
  forget_unused();
  auto meter = std::make_shared<TenantMeter>(buckets_.of(name), configured(name));
  if (const auto change = changes_.find(name); change != changes_.end()) {
    meter->change_ = change->second.rates;
    meter->change_expires_at_ = change->second.expires_at;
  }
  meters_.emplace(name, meter);
  return meter;
}

Result<> TenantLimits::apply(const limits::v1::LimitChange& change, WallTime wall, MonoTime now) {
  SLUICE_TRY(check_id(change.tenant(), "tenant"));
  const WallTime expires_at{std::chrono::milliseconds(change.expires_at_ms())};
  if (expires_at <= wall) {
    clear(change.tenant());
    return {};
  }
  const TenantRates& base = configured(change.tenant());
  Change applied;
  SLUICE_TRY_ASSIGN(applied.rates.messages,
                    to_rate(change.messages_per_second(), base.messages, "messages_per_second"));
  SLUICE_TRY_ASSIGN(applied.rates.bytes,
                    to_rate(change.bytes_per_second(), base.bytes, "bytes_per_second"));
  SLUICE_TRY_ASSIGN(applied.rates.connections, to_rate(change.connections_per_second(),
                                                       base.connections, "connections_per_second"));
  applied.rates.sheds_low_priority = change.shed_low_priority() || base.sheds_low_priority;
  applied.rates.reason = change.reason().substr(0, kMaxReasonSize);
  const auto longest = wall + settings_.max_change_duration;
  applied.expires_at = now + (std::min<WallTime>(expires_at, longest) - wall);

  if (!changes_.contains(change.tenant()) && changes_.size() >= settings_.max_changes) {
    forget_expired(now);
    if (changes_.size() >= settings_.max_changes) {
      return fail(ErrorCode::kResourceExhausted,
                  std::format("limits of {} tenants are kept, no more", settings_.max_changes));
    }
  }
  const Change& kept = changes_.insert_or_assign(change.tenant(), std::move(applied)).first->second;
  if (const auto meter = meters_.find(change.tenant()); meter != meters_.end()) {
    meter->second->change_ = kept.rates;
    meter->second->change_expires_at_ = kept.expires_at;
  }
  return {};
}

void TenantLimits::clear(std::string_view tenant) {
  const std::string name(tenant);
  changes_.erase(name);
  if (const auto meter = meters_.find(name); meter != meters_.end()) {
    meter->second->change_expires_at_ = MonoTime::min();
  }
}

void TenantLimits::forget_unused() {
  if (meters_.size() < sweep_at_) return;
  // All owners of a meter are on this loop, so that the count is exact.
  std::erase_if(meters_, [](const auto& entry) { return entry.second.use_count() == 1; });
  sweep_at_ = std::max(kSweepAtLeast, 2 * meters_.size());
}

void TenantLimits::forget_expired(MonoTime now) {
  std::erase_if(changes_, [&](const auto& entry) { return entry.second.expires_at <= now; });
}

}  // namespace sluice::front
