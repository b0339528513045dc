#pragma once

#include <array>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace sluice::swarm {

/// Durations in fixed buckets: 64 per power of two, hence within 1.6 % of what was recorded, from
/// a nanosecond to about 18 minutes. Recording allocates nothing and takes a few nanoseconds.
class Histogram {
 public:
  void record(std::chrono::nanoseconds value) {
    const auto nanoseconds = value.count() < 0 ? 0U : static_cast<std::uint64_t>(value.count());
    ++buckets_[bucket_of(nanoseconds)];
    ++count_;
    if (nanoseconds > max_) max_ = nanoseconds;
  }
  void add(const Histogram& other);

  std::uint64_t count() const { return count_; }
  std::chrono::nanoseconds max() const {
    return std::chrono::nanoseconds(static_cast<std::int64_t>(max_));
  }
  /// The middle of the bucket that holds the value which `share` (0 to 1) of all do not exceed; 0
  /// when there is none.
  std::chrono::nanoseconds quantile(double share) const;

 private:
  static constexpr unsigned kSubBits = 6;
  static constexpr std::uint64_t kSubs = 1U << kSubBits;
  static constexpr unsigned kMaxBits = 40;  // 2^40 ns: 18 minutes; what is longer counts as that
  static constexpr std::size_t kBuckets = (kMaxBits - kSubBits + 1) * kSubs;

  static std::size_t bucket_of(std::uint64_t value) {
    if (value < kSubs) return value;
    const auto shift = static_cast<unsigned>(std::bit_width(value)) - kSubBits - 1;
    if (shift >= kMaxBits - kSubBits) return kBuckets - 1;
    return (shift + 1) * kSubs + ((value >> shift) - kSubs);
  }

  std::array<std::uint64_t, kBuckets> buckets_{};
  std::uint64_t count_ = 0;
  std::uint64_t max_ = 0;
};

}  // namespace sluice::swarm
