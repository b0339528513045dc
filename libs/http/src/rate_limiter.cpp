#include "rate_limiter.h"

#include <algorithm>
#include <array>
#include <cmath>

#include <arpa/inet.h>

namespace sluice::http {
namespace {

// Looking at every bucket takes a millisecond or two; a flood of keys must not make each request do
// it.
constexpr std::chrono::seconds kSweepInterval{1};

}  // namespace

RateLimiter::RateLimiter(double per_second, std::int64_t burst, const Clock& clock)
    : per_second_(per_second),
      burst_(static_cast<double>(std::max<std::int64_t>(burst, 1))),
      clock_(clock),
      overflow_{.tokens = burst_, .at = clock.mono()},
      next_sweep_(clock.mono()) {}

void RateLimiter::refill(Bucket& bucket, MonoTime now) const {
  const double passed = std::chrono::duration<double>(now - bucket.at).count();
  bucket.tokens = std::min(burst_, bucket.tokens + std::max(passed, 0.0) * per_second_);
  bucket.at = now;
}

RateLimiter::Bucket& RateLimiter::bucket_of(const std::string& key, MonoTime now) {
  if (const auto found = buckets_.find(key); found != buckets_.end()) return found->second;
  if (buckets_.size() >= kMaxRateKeys && now >= next_sweep_) {
    next_sweep_ = now + kSweepInterval;
    std::erase_if(buckets_, [&](auto& entry) {
      refill(entry.second, now);
      return entry.second.tokens >= burst_;
    });
  }
  if (buckets_.size() >= kMaxRateKeys) return overflow_;
  return buckets_.emplace(key, Bucket{.tokens = burst_, .at = now}).first->second;
}

std::optional<std::chrono::seconds> RateLimiter::take(std::string_view key) {
  if (per_second_ <= 0) return std::nullopt;
  const MonoTime now = clock_.mono();
  std::lock_guard lock(mutex_);
  Bucket& bucket = bucket_of(std::string(key), now);
  refill(bucket, now);
  if (bucket.tokens >= 1) {
    bucket.tokens -= 1;
    return std::nullopt;
  }
  const double wait = std::ceil((1 - bucket.tokens) / per_second_);
  // A day is long enough to say, and keeps a tiny rate from overflowing.
  return std::chrono::seconds(static_cast<std::int64_t>(std::clamp(wait, 1.0, 86'400.0)));
}

std::string rate_key_of_ip(std::string_view ip) {
  std::array<unsigned char, 16> address{};
  const std::string text(ip);
  if (inet_pton(AF_INET6, text.c_str(), address.data()) != 1) return text;
  constexpr std::array<unsigned char, 12> kMappedV4{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  if (std::equal(kMappedV4.begin(), kMappedV4.end(), address.begin())) return text;
  return std::string(reinterpret_cast<const char*>(address.data()), 8);
}

}  // namespace sluice::http
