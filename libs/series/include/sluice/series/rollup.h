#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include <sluice/base/result.h>
#include <sluice/series/quantile_sketch.h>

namespace sluice::series {

/// A sum that does not depend on the order of its terms: three doubles that do not overlap hold 159
/// bits, so nothing is lost as long as the terms and the total fit into that (magnitudes within a
/// factor of about 10^30 of each other). Beyond, the smallest parts are dropped and orders may
/// differ in the last bit. value() is the total rounded once.
class ExactSum {
 public:
  void add(double value);
  void merge(const ExactSum& other);
  double value() const { return parts_[0]; }

  /// Largest first; canonical: equal totals have equal parts.
  const std::array<double, 3>& parts() const { return parts_; }
  /// Of parts(); anything else is brought into that form.
  static ExactSum of_parts(const std::array<double, 3>& parts);

  bool operator==(const ExactSum&) const = default;

 private:
  void normalise(std::array<double, 4> parts);

  std::array<double, 3> parts_{};
};

/// What is kept of one metric in one window. merge() is commutative and associative to the bit
/// (the sum within ExactSum's range), so windows may be rolled up in any order, and again when late
/// values come. NaN and infinities are only counted, in not_finite(). Integers past 2^53 are
/// rounded before they come here. A value type; no thread rule of its own.
class Rollup {
 public:
  static constexpr std::size_t kMaxEncodedBytes = QuantileSketch::kMaxEncodedBytes + 128;

  struct Stamped {
    std::int64_t timestamp = 0;
    double value = 0;
    bool operator==(const Stamped&) const = default;
  };

  /// `timestamp` in milliseconds decides what is first and last; of two finite values of one time
  /// the greater one counts as last and the smaller one as first.
  void add(std::int64_t timestamp, double value);
  void merge(const Rollup& other);

  /// Finite values. While it is 0, the values below are 0 and quantile() is nothing.
  std::uint64_t count() const { return sketch_.count(); }
  std::uint64_t not_finite() const { return not_finite_; }
  double sum() const { return sum_.value(); }
  double average() const { return count() == 0 ? 0 : sum() / static_cast<double>(count()); }
  double min() const { return min_; }
  double max() const { return max_; }
  const Stamped& first() const { return first_; }
  const Stamped& last() const { return last_; }
  /// As QuantileSketch, and never outside of min() and max().
  std::optional<double> quantile(double q) const;
  const QuantileSketch& sketch() const { return sketch_; }

  /// Appends the bytes; equal roll-ups have equal bytes. Six values of a decimal take about 55.
  void encode(std::vector<std::byte>& out) const;
  /// kDataLoss for anything that encode() does not write.
  [[nodiscard]] static Result<Rollup> decode(std::span<const std::byte> bytes);

  bool operator==(const Rollup&) const = default;

 private:
  std::uint64_t not_finite_ = 0;
  double min_ = 0;
  double max_ = 0;
  Stamped first_;
  Stamped last_;
  ExactSum sum_;
  QuantileSketch sketch_;
};

}  // namespace sluice::series
