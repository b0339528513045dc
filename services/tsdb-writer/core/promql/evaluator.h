#pragma once

#include "core/promql/ast.h"
#include "core/query/slice.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <sluice/base/result.h>

namespace sluice::tsdb::promql {

/// When a query is evaluated: at start, start + step, … up to and including end. One moment: start
/// and end are the same.
struct Steps {
  std::int64_t start_ms = 0;
  std::int64_t end_ms = 0;
  std::int64_t step_ms = 1;

  std::size_t count() const { return static_cast<std::size_t>((end_ms - start_ms) / step_ms) + 1; }
  std::int64_t at(std::size_t index) const {
    return start_ms + static_cast<std::int64_t>(index) * step_ms;
  }
};

/// How long a sample counts as the present value: Prometheus' default.
inline constexpr std::int64_t kLookbackMs = 5 * 60 * 1000;

struct TimedValue {
  std::int64_t time_ms = 0;
  double value = 0;
};

/// What is stored of one series: samples, or the buckets of a roll-up.
struct StoredSeries {
  LabelSet labels;
  std::vector<TimedValue> samples;
  std::vector<TimedRollup> rollups;
  /// Width of a bucket; 0 for samples.
  std::int64_t bucket_ms = 0;
};

/// What a selector wants.
struct Selection {
  std::int64_t from_ms = 0;  // after this
  std::int64_t to_ms = 0;    // up to and including
  std::int64_t step_ms = 0;
  /// Of a range selector; 0: only the latest values matter.
  std::int64_t range_ms = 0;
};

/// Port: the series that all matchers fit, all of their values within. Errors name the limit met.
class SeriesSource {
 public:
  virtual ~SeriesSource() = default;
  virtual Result<std::vector<StoredSeries>> select(const std::vector<Matcher>& matchers,
                                                   const Selection& selection) = 0;
};

/// A series over the steps; `present` is 1 where there is a value.
struct Line {
  LabelSet labels;
  std::vector<double> values;
  std::vector<std::uint8_t> present;
};

struct Evaluated {
  ValueType type = ValueType::kScalar;
  std::vector<double> scalar;  // a value per step
  std::vector<Line> lines;     // of a vector
  std::string text;
};

struct EvaluationLimits {
  /// Steps times series of any part of a query.
  std::size_t max_points = 1'000'000;
};

/// Evaluates as Prometheus does (ranges and look-back without their left end, as since version 3),
/// over every step at once. On roll-ups a range function takes the buckets whose samples are all
/// within the range: averages, extremes, sums and counts of them are exact, quantiles within one
/// per cent, rates as good as one reset of a counter per bucket lets.
Result<Evaluated> evaluate(const Expr& expr, const Steps& steps, SeriesSource& source,
                           const EvaluationLimits& limits);

}  // namespace sluice::tsdb::promql
