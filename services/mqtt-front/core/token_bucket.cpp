#include "core/token_bucket.h"

#include <algorithm>

namespace sluice::front {

namespace {

constexpr std::uint64_t kNanosPerSecond = 1'000'000'000;

constexpr std::int64_t divide_up(std::uint64_t value, std::uint64_t by) {
  return static_cast<std::int64_t>((value + by - 1) / by);
}

/// When a bucket that would be full at `full_at` is full: never before now (a rest fills it once,
/// not for as long as it lasts), and owing no more than kMaxDebt.
std::int64_t start_of(std::int64_t full_at, const Rate& rate, std::int64_t now) {
  return std::clamp(full_at, now, now + rate.burst_ns() + kMaxDebt.count());
}

std::int64_t wait_of(std::int64_t start, std::int64_t cost, const Rate& rate, std::int64_t now,
                     std::int64_t reserve_ns) {
  const std::int64_t reserve = std::min(reserve_ns, rate.burst_ns() - cost);
  return std::max<std::int64_t>(0, start + cost + reserve - (now + rate.burst_ns()));
}

std::int64_t to_ns(MonoTime time) { return time.time_since_epoch().count(); }

}  // namespace

Rate::Rate(std::uint64_t per_second, std::uint64_t burst)
    : per_second_(std::min(per_second, kMaxPerSecond)) {
  if (per_second_ == 0) return;
  burst_ = std::min(burst == 0 ? per_second_ : burst, kMaxBurst);
  token_ns_ = divide_up(kNanosPerSecond, per_second_);
  // Single tokens are rounded up, and so must a burst of them be, or the last would not fit.
  burst_ns_ = static_cast<std::int64_t>(burst_) * token_ns_;
}

std::int64_t Rate::cost_ns(std::uint64_t tokens) const {
  if (tokens == 1) return token_ns_;  // a message; spares it the division
  return std::min(divide_up(std::min(tokens, burst_) * kNanosPerSecond, per_second_), burst_ns_);
}

std::chrono::nanoseconds TokenBucket::wait(const Rate& rate, std::uint64_t tokens, MonoTime now,
                                           std::int64_t reserve_ns) const {
  if (!rate.is_limited()) return {};
  const std::int64_t at = to_ns(now);
  return std::chrono::nanoseconds(
      wait_of(start_of(full_at_ns_, rate, at), rate.cost_ns(tokens), rate, at, reserve_ns));
}

void TokenBucket::take(const Rate& rate, std::uint64_t tokens, MonoTime now) {
  if (!rate.is_limited()) return;
  full_at_ns_ = start_of(full_at_ns_, rate, to_ns(now)) + rate.cost_ns(tokens);
}

bool TokenBucket::try_take(const Rate& rate, std::uint64_t tokens, MonoTime now) {
  if (wait(rate, tokens, now).count() > 0) return false;
  take(rate, tokens, now);
  return true;
}

std::chrono::nanoseconds SharedTokenBucket::try_take(const Rate& rate, std::uint64_t tokens,
                                                     MonoTime now, std::int64_t reserve_ns) {
  if (!rate.is_limited()) return {};
  const std::int64_t at = to_ns(now);
  const std::int64_t cost = rate.cost_ns(tokens);
  // Relaxed: the bucket guards no other memory.
  std::int64_t full_at = full_at_ns_.load(std::memory_order_relaxed);
  while (true) {
    const std::int64_t start = start_of(full_at, rate, at);
    const std::int64_t wait = wait_of(start, cost, rate, at, reserve_ns);
    if (wait > 0) return std::chrono::nanoseconds(wait);
    if (full_at_ns_.compare_exchange_weak(full_at, start + cost, std::memory_order_relaxed)) {
      return {};
    }
  }
}

void SharedTokenBucket::take(const Rate& rate, std::uint64_t tokens, MonoTime now) {
  if (!rate.is_limited()) return;
  const std::int64_t cost = rate.cost_ns(tokens);
  std::int64_t full_at = full_at_ns_.load(std::memory_order_relaxed);
  while (!full_at_ns_.compare_exchange_weak(full_at, start_of(full_at, rate, to_ns(now)) + cost,
                                            std::memory_order_relaxed)) {
  }
}

void SharedTokenBucket::give_back(const Rate& rate, std::uint64_t tokens) {
  if (!rate.is_limited()) return;
  full_at_ns_.fetch_sub(rate.cost_ns(tokens), std::memory_order_relaxed);
}

}  // namespace sluice::front
