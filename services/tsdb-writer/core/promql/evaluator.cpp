#include "core/promql/evaluator.h"

#include "core/promql/aggregation.h"
#include "core/promql/arithmetic.h"
#include "core/promql/range_functions.h"

#include <algorithm>
#include <cmath>
#include <format>
#include <utility>

namespace sluice::tsdb::promql {
namespace {

class Evaluator {
 public:
  Evaluator(const Steps& steps, SeriesSource& source, const EvaluationLimits& limits)
      : steps_(steps), count_(steps.count()), source_(source), limits_(limits) {}

  Result<Evaluated> of(const Expr& expr) {
    switch (expr.kind) {
      case ExprKind::kNumber:
        return scalar([&](std::size_t) { return expr.number; });
      case ExprKind::kText:
        return Evaluated{.type = ValueType::kText, .scalar = {}, .lines = {}, .text = expr.text};
      case ExprKind::kVector:
        return latest(expr);
      case ExprKind::kNegative:
        return negative(expr);
      case ExprKind::kBinary:
        return binary(expr);
      case ExprKind::kCall:
        return call(expr);
      case ExprKind::kAggregate:
        return aggregated(expr);
      case ExprKind::kMatrix:
        break;
    }
    return fail(ErrorCode::kInvalidArgument, "a range vector needs a function around it");
  }

 private:
  template <typename Function>
  Evaluated scalar(Function value_at) const {
    Evaluated result;
    result.scalar.reserve(count_);
    for (std::size_t i = 0; i < count_; ++i) result.scalar.push_back(value_at(i));
    return result;
  }

  static Evaluated vector_of(std::vector<Line> lines) {
    return {.type = ValueType::kVector, .scalar = {}, .lines = std::move(lines), .text = {}};
  }

  Line empty_line(LabelSet labels) const {
    return {.labels = std::move(labels),
            .values = std::vector<double>(count_),
            .present = std::vector<std::uint8_t>(count_)};
  }

  Result<std::vector<StoredSeries>> select(const Expr& selector, std::int64_t back_ms) {
    SLUICE_TRY_ASSIGN(auto found,
                      source_.select(selector.matchers,
                                     {.from_ms = steps_.start_ms - selector.offset_ms - back_ms,
                                      .to_ms = steps_.at(count_ - 1) - selector.offset_ms,
                                      .step_ms = steps_.step_ms,
                                      .range_ms = selector.range_ms}));
    if (found.size() > limits_.max_points / count_) {
      return fail(Error(ErrorCode::kInvalidArgument,
                        std::format("the query has more than {} points (query_max_points)",
                                    limits_.max_points))
                      .with_reason("query_max_points"));
    }
    return found;
  }

  /// The latest value at each step, if it is not too old.
  Result<Evaluated> latest(const Expr& selector) {
    SLUICE_TRY_ASSIGN(auto found, select(selector, kLookbackMs));
    std::vector<Line> lines;
    for (StoredSeries& series : found) {
      // The first and last samples of a bucket are samples.
      for (const TimedRollup& bucket : series.rollups) {
        const auto& first = bucket.rollup.first();
        const auto& last = bucket.rollup.last();
        if (bucket.rollup.count() == 0) continue;
        series.samples.push_back({.time_ms = first.timestamp, .value = first.value});
        if (last.timestamp > first.timestamp) {
          series.samples.push_back({.time_ms = last.timestamp, .value = last.value});
        }
      }
      // Between the samples of wide buckets there would be nothing.
      const std::int64_t lookback = std::max(kLookbackMs, series.bucket_ms);
      Line line = empty_line(std::move(series.labels));
      std::size_t next = 0;
      for (std::size_t i = 0; i < count_; ++i) {
        const std::int64_t at = steps_.at(i) - selector.offset_ms;
        while (next < series.samples.size() && series.samples[next].time_ms <= at) ++next;
        if (next == 0 || series.samples[next - 1].time_ms <= at - lookback) continue;
        line.values[i] = series.samples[next - 1].value;
        line.present[i] = 1;
      }
      lines.push_back(std::move(line));
    }
    return vector_of(std::move(lines));
  }

  Result<Evaluated> call(const Expr& expr) {
    if (expr.function == Function::kTime) {
      return scalar([&](std::size_t i) { return static_cast<double>(steps_.at(i)) / 1000; });
    }
    const Expr& last = *expr.arguments.back();
    if (last.kind != ExprKind::kMatrix) return simple_call(expr);
    std::vector<double> parameters(count_);
    if (expr.arguments.size() == 2) {
      SLUICE_TRY_ASSIGN(Evaluated parameter, of(*expr.arguments.front()));
      parameters = std::move(parameter.scalar);
    }
    SLUICE_TRY_ASSIGN(auto found, select(last, last.range_ms));
    std::vector<Line> lines;
    for (StoredSeries& series : found) {
      std::erase_if(series.rollups,
                    [](const TimedRollup& bucket) { return bucket.rollup.count() == 0; });
      LabelSet labels = series.labels;
      if (expr.function != Function::kLastOverTime) labels.remove(kNameLabel);
      Line line = empty_line(std::move(labels));
      RangeFunction function(expr.function, series);
      for (std::size_t i = 0; i < count_; ++i) {
        const std::int64_t at = steps_.at(i) - last.offset_ms;
        const auto value = function.at({.from_ms = at - last.range_ms, .to_ms = at}, parameters[i]);
        if (!value) continue;
        line.values[i] = *value;
        line.present[i] = 1;
      }
      lines.push_back(std::move(line));
    }
    return checked(vector_of(std::move(lines)));
  }

  Result<Evaluated> simple_call(const Expr& expr) {
    SLUICE_TRY_ASSIGN(Evaluated argument, of(*expr.arguments.front()));
    if (expr.function == Function::kVector) {
      Line line = empty_line({});
      line.values = std::move(argument.scalar);
      line.present.assign(count_, 1);
      std::vector<Line> lines;
      lines.push_back(std::move(line));
      return vector_of(std::move(lines));
    }
    const auto change = [&](double value) {
      if (expr.function == Function::kAbs) return std::abs(value);
      return expr.function == Function::kCeil ? std::ceil(value) : std::floor(value);
    };
    for (Line& line : argument.lines) {
      line.labels.remove(kNameLabel);
      for (double& value : line.values) value = change(value);
    }
    return checked(std::move(argument));
  }

  Result<Evaluated> negative(const Expr& expr) {
    SLUICE_TRY_ASSIGN(Evaluated operand, of(*expr.arguments.front()));
    for (double& value : operand.scalar) value = -value;
    for (Line& line : operand.lines) {
      line.labels.remove(kNameLabel);
      for (double& value : line.values) value = -value;
    }
    return checked(std::move(operand));
  }

  Result<Evaluated> binary(const Expr& expr) {
    SLUICE_TRY_ASSIGN(Evaluated left, of(*expr.arguments[0]));
    SLUICE_TRY_ASSIGN(Evaluated right, of(*expr.arguments[1]));
    if (expr.type == ValueType::kScalar) {
      return scalar([&](std::size_t i) { return apply(expr.op, left.scalar[i], right.scalar[i]); });
    }
    if (left.type == ValueType::kVector && right.type == ValueType::kVector) {
      SLUICE_TRY_ASSIGN(auto lines, match(expr, left.lines, right.lines));
      return vector_of(std::move(lines));
    }
    const bool is_scalar_left = left.type == ValueType::kScalar;
    Evaluated& vector = is_scalar_left ? right : left;
    with_scalar(expr, is_scalar_left ? left.scalar : right.scalar, is_scalar_left, vector.lines);
    return checked(std::move(vector));
  }

  Result<Evaluated> aggregated(const Expr& expr) {
    std::vector<double> parameters(count_);
    if (expr.arguments.size() == 2) {
      SLUICE_TRY_ASSIGN(Evaluated parameter, of(*expr.arguments.front()));
      parameters = std::move(parameter.scalar);
    }
    SLUICE_TRY_ASSIGN(Evaluated vector, of(*expr.arguments.back()));
    return vector_of(aggregate(expr, parameters, vector.lines));
  }

  /// Without their names two series may have become one.
  static Result<Evaluated> checked(Evaluated vector) {
    std::vector<const LabelSet*> all;
    for (const Line& line : vector.lines) all.push_back(&line.labels);
    std::ranges::sort(all, [](const LabelSet* a, const LabelSet* b) { return *a < *b; });
    const auto is_same = [](const LabelSet* a, const LabelSet* b) { return *a == *b; };
    if (std::ranges::adjacent_find(all, is_same) != all.end()) {
      return fail(
          Error(ErrorCode::kInvalidArgument, "vector cannot contain metrics with the same labelset")
              .with_reason("promql_matching"));
    }
    return vector;
  }

  const Steps& steps_;
  const std::size_t count_;
  SeriesSource& source_;
  const EvaluationLimits& limits_;
};

}  // namespace

Result<Evaluated> evaluate(const Expr& expr, const Steps& steps, SeriesSource& source,
                           const EvaluationLimits& limits) {
  SLUICE_TRY_ASSIGN(Evaluated result, Evaluator(steps, source, limits).of(expr));
  std::erase_if(result.lines, [](const Line& line) {
    return std::ranges::none_of(line.present, [](std::uint8_t is) { return is != 0; });
  });
  return result;
}

}  // namespace sluice::tsdb::promql
