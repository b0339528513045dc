#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <limits>

#include <sluice/base/clock.h>

namespace sluice::front {

/// How fast, and how much at once. Immutable; shared by all buckets that it rules.
class Rate {
 public:
  /// No limit.
  Rate() = default;
  /// `burst` tokens may go at once after a rest; 0: what goes in a second. per_second 0: no limit.
  explicit Rate(std::uint64_t per_second, std::uint64_t burst = 0);

  bool is_limited() const { return per_second_ != 0; }
  std::uint64_t per_second() const { return per_second_; }
  std::uint64_t burst() const { return burst_; }
  /// Time that `tokens` take, rounded up; never more than a whole burst's, so that one message
  /// which is larger than the burst waits for a full bucket instead of for ever.
  std::int64_t cost_ns(std::uint64_t tokens) const;
  std::int64_t burst_ns() const { return burst_ns_; }

  bool operator==(const Rate&) const = default;

  /// Keeps all products within 63 bits.
  static constexpr std::uint64_t kMaxPerSecond = 1'000'000'000;
  static constexpr std::uint64_t kMaxBurst = 4'000'000'000;

 private:
  std::uint64_t per_second_ = 0;
  std::uint64_t burst_ = 0;
  std::int64_t token_ns_ = 0;
  std::int64_t burst_ns_ = 0;
};

/// Most that can be owed by taking on credit: bounds what a change of rates or a fault can cost.
inline constexpr std::chrono::nanoseconds kMaxDebt = std::chrono::minutes(5);

/// A token bucket in eight bytes: the moment at which it will be full again (GCRA's theoretical
/// arrival time). Refilling is the passing of time; a bucket in the past is full and no fuller,
/// however long it rested. One owner thread.
class TokenBucket {
 public:
  /// How long until `tokens` can be taken and `reserve_ns` of the burst is left; 0: now.
  std::chrono::nanoseconds wait(const Rate& rate, std::uint64_t tokens, MonoTime now,
                                std::int64_t reserve_ns = 0) const;
  /// Takes without asking: after wait() was 0, or on credit, which later ones wait for.
  void take(const Rate& rate, std::uint64_t tokens, MonoTime now);
  bool try_take(const Rate& rate, std::uint64_t tokens, MonoTime now);

 private:
  std::int64_t full_at_ns_ = std::numeric_limits<std::int64_t>::min();
};

/// The same for all threads at once: one compare-and-swap.
class SharedTokenBucket {
 public:
  /// Takes them (0), or nothing and says how long until it can.
  std::chrono::nanoseconds try_take(const Rate& rate, std::uint64_t tokens, MonoTime now,
                                    std::int64_t reserve_ns = 0);
  /// Takes without asking, on credit.
  void take(const Rate& rate, std::uint64_t tokens, MonoTime now);
  /// Gives back what was taken, where another bucket then refused.
  void give_back(const Rate& rate, std::uint64_t tokens);

 private:
  std::atomic<std::int64_t> full_at_ns_{std::numeric_limits<std::int64_t>::min() /
                                        2};  // may be given back to
};

}  // namespace sluice::front
