#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include <sluice/base/result.h>

namespace sluice::series {

/// Quantiles of any number of values in bounded memory, after DDSketch (Masson, Rim, Lee 2019): a
/// histogram whose buckets grow by a constant factor, so that every quantile is within
/// kRelativeError of the exact one, from 10^-308 to 10^308, negative values and zero included.
///
/// Merging adds the buckets: it is exactly associative and commutative, and merging the parts
/// gives the same bytes as adding all values to one sketch, in any order.
///
/// Bounded: per sign kMaxSpan neighbouring buckets, the largest magnitudes'. Values of a magnitude
/// under about 10^-17 of the largest of their sign are counted in the smallest bucket that is kept.
///
/// NaN and infinities are not taken. A value type; no thread rule of its own.
class QuantileSketch {
 public:
  static constexpr double kRelativeError = 0.01;
  /// 58 powers of two at one per cent; 2 * 2048 buckets of 16 bytes are 64 KiB at the very most.
  static constexpr std::int32_t kMaxSpan = 2048;
  /// What decode() reads at most: two signs, each bucket at most 5 + 10 bytes.
  static constexpr std::size_t kMaxEncodedBytes = 2 * kMaxSpan * 15 + 32;

  /// False and nothing changed for NaN and infinities.
  bool add(double value, std::uint64_t times = 1);
  void merge(const QuantileSketch& other);

  std::uint64_t count() const { return count_; }
  bool is_empty() const { return count_ == 0; }

  /// The value at rank floor(q * (count - 1)) of the sorted values, within kRelativeError; `q` is
  /// clamped to [0, 1]. Nothing for an empty sketch.
  std::optional<double> quantile(double q) const;

  /// Appends the bytes, which describe themselves only together with their length. Equal sketches
  /// have equal bytes: one value takes 5 or so, six values about 16.
  void encode(std::vector<std::byte>& out) const;
  /// kDataLoss for anything that encode() does not write.
  [[nodiscard]] static Result<QuantileSketch> decode(std::span<const std::byte> bytes);

  std::size_t bucket_count() const { return positive_.size() + negative_.size(); }

  bool operator==(const QuantileSketch&) const = default;

 private:
  struct Bucket {
    std::int32_t index;
    std::uint64_t count;
    bool operator==(const Bucket&) const = default;
  };
  /// Sorted by index; counts are above zero. Most sketches are of a few values: no dense array.
  using Buckets = std::vector<Bucket>;

  static void add_to(Buckets& buckets, std::int32_t index, std::uint64_t times);
  static void merge_into(Buckets& buckets, const Buckets& others);
  static void collapse(Buckets& buckets);
  static void encode_buckets(const Buckets& buckets, bool with_counts, std::vector<std::byte>& out);
  static Result<Buckets> decode_buckets(class Cursor& cursor, bool with_counts);

  std::uint64_t count_ = 0;
  std::uint64_t zeros_ = 0;
  Buckets positive_;
  Buckets negative_;  // by magnitude
};

}  // namespace sluice::series
