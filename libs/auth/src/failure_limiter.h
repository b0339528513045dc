#pragma once

#include "lru_map.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>

#include <sluice/base/clock.h>

namespace sluice::auth {

/// Counts failed logins by network address: `burst` at once, then one in `refill`. What it keeps
/// off is load (each guess asks a store), as a secret of 256 bits is not guessed. Thread-safe.
class FailureLimiter {
 public:
  struct Limits {
    std::int64_t burst;
    std::chrono::milliseconds refill;
    std::size_t peers;  // remembered
  };

  FailureLimiter(Limits limits, const Clock& clock);

  bool is_blocked(std::string_view peer);
  void on_failure(std::string_view peer);

  /// What is counted together: an IPv4 address without its port, or the /64 network of an IPv6
  /// address, as one customer has all 2^64 addresses of it.
  static std::string key_of(std::string_view peer);

 private:
  const Limits limits_;
  const Clock& clock_;
  std::mutex mutex_;
  LruMap<MonoTime> forgiven_at_;  // when the last of an address's failures will be
};

}  // namespace sluice::auth
