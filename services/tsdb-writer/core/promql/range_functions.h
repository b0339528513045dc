#pragma once

#include "core/promql/evaluator.h"

#include <cstdint>
#include <optional>

namespace sluice::tsdb::promql {

/// The range of one step: after from, up to and including to.
struct Range {
  std::int64_t from_ms = 0;
  std::int64_t to_ms = 0;
};

/// Gives the values of one function over ranges of one series, which must move forward only.
class RangeFunction {
 public:
  /// `parameter` is quantile_over_time's. The series must outlive it.
  RangeFunction(Function function, const StoredSeries& series)
      : function_(function), series_(series) {}

  std::optional<double> at(Range range, double parameter);

 private:
  std::optional<double> of_samples(Range range, double parameter);
  std::optional<double> of_rollups(Range range, double parameter);

  Function function_;
  const StoredSeries& series_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

/// The quantile of Prometheus: linear between neighbours, infinities outside of [0, 1]. Reorders.
double exact_quantile(double q, std::vector<double>& values);

}  // namespace sluice::tsdb::promql
