#include "core/promql/range_functions.h"

#include "core/query/window.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <vector>

namespace sluice::tsdb::promql {
namespace {

/// What rate() and its kin need of the values in a range.
struct Course {
  TimedValue first;
  TimedValue last;
  double change = 0;  // resets of a counter put right
  std::uint64_t count = 0;
};

/// The change, as if the values went on like that up to the ends of the range: unless those are
/// farther away than a pause between samples, and for a counter not below zero.
std::optional<double> extrapolated(Function function, const Course& course, Range range) {
  const double covered = static_cast<double>(course.last.time_ms - course.first.time_ms) / 1000;
  if (course.count < 2 || covered <= 0) return std::nullopt;
  const bool is_counter = function != Function::kDelta;
  const double pause = covered / static_cast<double>(course.count - 1);
  double before = static_cast<double>(course.first.time_ms - range.from_ms) / 1000;
  double after = static_cast<double>(range.to_ms - course.last.time_ms) / 1000;
  if (before >= pause * 1.1) before = pause / 2;
  if (is_counter && course.change > 0 && course.first.value >= 0) {
    before = std::min(before, covered * (course.first.value / course.change));
  }
  if (after >= pause * 1.1) after = pause / 2;
  double factor = (covered + before + after) / covered;
  if (function == Function::kRate) {
    factor /= static_cast<double>(range.to_ms - range.from_ms) / 1000;
  }
  return course.change * factor;
}

Course course_of(std::span<const TimedValue> samples, bool is_counter) {
  Course course{.first = samples.front(), .last = samples.back(), .count = samples.size()};
  course.change = course.last.value - course.first.value;
  if (!is_counter) return course;
  double before = course.first.value;
  for (const TimedValue& sample : samples) {
    if (sample.value < before) course.change += before;
    before = sample.value;
  }
  return course;
}

/// The first, highest and last value of each bucket stand for all: with the highest, one reset
/// within a bucket is seen and put right.
Course course_of(std::span<const TimedRollup> buckets, bool is_counter) {
  Course course;
  std::optional<double> before;
  const auto pass = [&](double value) {
    if (is_counter && before && value < *before) course.change += *before;
    before = value;
  };
  for (const TimedRollup& bucket : buckets) {
    const series::Rollup& rollup = bucket.rollup;
    if (course.count == 0) {
      course.first = {.time_ms = rollup.first().timestamp, .value = rollup.first().value};
    }
    course.last = {.time_ms = rollup.last().timestamp, .value = rollup.last().value};
    course.count += rollup.count();
    pass(rollup.first().value);
    pass(rollup.max());
    pass(rollup.last().value);
  }
  course.change += course.last.value - course.first.value;
  return course;
}

double sum_of(std::span<const TimedValue> samples) {
  // Kahan's sum, as Prometheus has it: a long range of small values loses nothing.
  double sum = 0;
  double lost = 0;
  for (const TimedValue& sample : samples) {
    const double total = sum + sample.value;
    if (std::isinf(total)) {
      lost = 0;
    } else if (std::abs(sum) >= std::abs(sample.value)) {
      lost += (sum - total) + sample.value;
    } else {
      lost += (sample.value - total) + sum;
    }
    sum = total;
  }
  return std::isinf(sum) ? sum : sum + lost;
}

template <typename Better>
double best_of(std::span<const TimedValue> samples, Better better) {
  double best = samples.front().value;
  for (const TimedValue& sample : samples) {
    if (better(sample.value, best) || std::isnan(best)) best = sample.value;
  }
  return best;
}

}  // namespace

double exact_quantile(double q, std::vector<double>& values) {
  if (values.empty() || std::isnan(q)) return std::numeric_limits<double>::quiet_NaN();
  if (q < 0) return -std::numeric_limits<double>::infinity();
  if (q > 1) return std::numeric_limits<double>::infinity();
  // NaN is the smallest.
  std::ranges::sort(values,
                    [](double a, double b) { return std::isnan(a) ? !std::isnan(b) : a < b; });
  const double rank = q * static_cast<double>(values.size() - 1);
  const auto lower = static_cast<std::size_t>(rank);
  const std::size_t upper = std::min(lower + 1, values.size() - 1);
  const double weight = rank - std::floor(rank);
  return values[lower] * (1 - weight) + values[upper] * weight;
}

std::optional<double> RangeFunction::at(Range range, double parameter) {
  return series_.bucket_ms == 0 ? of_samples(range, parameter) : of_rollups(range, parameter);
}

std::optional<double> RangeFunction::of_samples(Range range, double parameter) {
  const auto& all = series_.samples;
  while (begin_ < all.size() && all[begin_].time_ms <= range.from_ms) ++begin_;
  end_ = std::max(end_, begin_);
  while (end_ < all.size() && all[end_].time_ms <= range.to_ms) ++end_;
  const auto samples = std::span(all).subspan(begin_, end_ - begin_);
  if (samples.empty()) return std::nullopt;
  const auto count = static_cast<double>(samples.size());
  switch (function_) {
    case Function::kRate:
    case Function::kIncrease:
      return extrapolated(function_, course_of(samples, true), range);
    case Function::kDelta:
      return extrapolated(function_, course_of(samples, false), range);
    case Function::kAvgOverTime:
      return sum_of(samples) / count;
    case Function::kSumOverTime:
      return sum_of(samples);
    case Function::kMinOverTime:
      return best_of(samples, [](double a, double b) { return a < b; });
    case Function::kMaxOverTime:
      return best_of(samples, [](double a, double b) { return a > b; });
    case Function::kCountOverTime:
      return count;
    case Function::kLastOverTime:
      return samples.back().value;
    case Function::kQuantileOverTime: {
      std::vector<double> values;
      values.reserve(samples.size());
      for (const TimedValue& sample : samples) values.push_back(sample.value);
      return exact_quantile(parameter, values);
    }
    default:
      return std::nullopt;
  }
}

std::optional<double> RangeFunction::of_rollups(Range range, double parameter) {
  const auto& all = series_.rollups;
  while (begin_ < all.size() && all[begin_].rollup.first().timestamp <= range.from_ms) ++begin_;
  end_ = std::max(end_, begin_);
  while (end_ < all.size() && all[end_].rollup.last().timestamp <= range.to_ms) ++end_;
  const auto buckets = std::span(all).subspan(begin_, end_ - begin_);
  if (buckets.empty()) return std::nullopt;
  if (function_ == Function::kRate || function_ == Function::kIncrease) {
    return extrapolated(function_, course_of(buckets, true), range);
  }
  if (function_ == Function::kDelta) {
    return extrapolated(function_, course_of(buckets, false), range);
  }
  Window window(false);
  for (const TimedRollup& bucket : buckets) window.add(bucket.rollup);
  switch (function_) {
    case Function::kAvgOverTime:
      return window.value(Aggregate::kAvg);
    case Function::kSumOverTime:
      return window.value(Aggregate::kSum);
    case Function::kMinOverTime:
      return window.value(Aggregate::kMin);
    case Function::kMaxOverTime:
      return window.value(Aggregate::kMax);
    case Function::kCountOverTime:
      return window.value(Aggregate::kCount);
    case Function::kLastOverTime:
      return window.value(Aggregate::kLast);
    case Function::kQuantileOverTime: {
      if (std::isnan(parameter)) return parameter;
      if (parameter < 0) return -std::numeric_limits<double>::infinity();
      if (parameter > 1) return std::numeric_limits<double>::infinity();
      series::QuantileSketch sketch;
      for (const TimedRollup& bucket : buckets) sketch.merge(bucket.rollup.sketch());
      return sketch.quantile(parameter);
    }
    default:
      return std::nullopt;
  }
}

}  // namespace sluice::tsdb::promql
