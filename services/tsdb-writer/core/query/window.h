#pragma once

#include "core/query/model.h"

#include <cstdint>
#include <optional>

#include <sluice/series/quantile_sketch.h>
#include <sluice/series/rollup.h>

namespace sluice::tsdb {

/// The numbers of one window, from samples, roll-ups and other windows, in any order. Like a
/// series::Rollup, but the sketch, nine tenths of its cost, is made only where a quantile is asked
/// for. NaN and infinities are left out.
class Window {
 public:
  explicit Window(bool with_quantiles) : with_quantiles_(with_quantiles) {}

  void add(std::int64_t timestamp, double value);
  void add(const series::Rollup& rollup);
  void add(const Window& other);
  void clear();

  /// Beside the window itself: of its sketch, whose buckets' vectors grow by doubling.
  std::size_t heap_bytes() const;

  std::uint64_t count() const { return count_; }
  bool is_empty() const { return count_ == 0; }
  const series::Rollup::Stamped& first() const { return first_; }
  const series::Rollup::Stamped& last() const { return last_; }
  /// Nothing for an empty window, but 0 for its count. A quantile that was not prepared for is a
  /// bug.
  std::optional<double> value(Aggregate aggregate) const;

 private:
  struct Extent {
    double min;
    double max;
    series::Rollup::Stamped first;
    series::Rollup::Stamped last;
  };
  void widen(const Extent& extent);

  bool with_quantiles_;
  std::uint64_t count_ = 0;
  double min_ = 0;
  double max_ = 0;
  series::Rollup::Stamped first_;
  series::Rollup::Stamped last_;
  series::ExactSum sum_;
  series::QuantileSketch sketch_;
};

}  // namespace sluice::tsdb
