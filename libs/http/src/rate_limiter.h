#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include <sluice/base/clock.h>

namespace sluice::http {

/// A token bucket per key. Thread-safe. Holds at most kMaxRateKeys buckets: full ones are
/// forgotten, as they are what a new key starts with; when none is full, all further keys share one
/// bucket, so that a flood of keys limits itself instead of the memory.
class RateLimiter {
 public:
  /// A rate of 0 limits nothing.
  RateLimiter(double per_second, std::int64_t burst, const Clock& clock);

  /// Takes one token, or says in how many seconds there will be one.
  std::optional<std::chrono::seconds> take(std::string_view key);

 private:
  struct Bucket {
    double tokens = 0;
    MonoTime at;
  };

  Bucket& bucket_of(const std::string& key, MonoTime now);
  void refill(Bucket& bucket, MonoTime now) const;

  const double per_second_;
  const double burst_;
  const Clock& clock_;
  std::mutex mutex_;
  std::unordered_map<std::string, Bucket> buckets_;
  Bucket overflow_;
  MonoTime next_sweep_;
};

/// About 10 MiB of buckets; a fleet's operators are a thousand times fewer.
inline constexpr std::size_t kMaxRateKeys = 65'536;

/// What the rate of an address is counted under: IPv6 hosts own a whole /64 to choose from.
std::string rate_key_of_ip(std::string_view ip);

}  // namespace sluice::http
