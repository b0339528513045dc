#pragma once

#include <atomic>
#include <cstdint>

namespace sluice::rpc {

/// Lets retries be a tenth of the calls that succeed, and a few at once: enough for a lost
/// connection, never enough to double the load on a service that is down. Thread-safe.
class RetryBudget {
 public:
  void on_success() {
    std::int64_t now = tenths_.load(std::memory_order_relaxed);
    while (now < kMost && !tenths_.compare_exchange_weak(now, now + 1, std::memory_order_relaxed)) {
    }
  }

  /// Whether one more retry may be made; takes it from the budget.
  bool try_spend() {
    std::int64_t now = tenths_.load(std::memory_order_relaxed);
    do {
      if (now < kOneRetry) return false;
    } while (!tenths_.compare_exchange_weak(now, now - kOneRetry, std::memory_order_relaxed));
    return true;
  }

 private:
  static constexpr std::int64_t kOneRetry = 10;
  // Twenty retries from a full budget: a rolling restart cuts about that many calls of one caller.
  static constexpr std::int64_t kMost = 20 * kOneRetry;

  std::atomic<std::int64_t> tenths_ = kMost;
};

}  // namespace sluice::rpc
