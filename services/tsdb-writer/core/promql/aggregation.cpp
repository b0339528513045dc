#include "core/promql/aggregation.h"

#include "core/promql/range_functions.h"

#include <algorithm>
#include <cmath>
#include <map>

namespace sluice::tsdb::promql {
namespace {

using Group = std::vector<const Line*>;

LabelSet group_labels(const Expr& expr, const LabelSet& labels) {
  if (expr.is_only_these) return labels.only(expr.labels);
  LabelSet rest = labels.without(expr.labels);
  rest.remove(kNameLabel);
  return rest;
}

double combine(const Expr& expr, double parameter, std::vector<double>& values) {
  const auto count = static_cast<double>(values.size());
  double sum = 0;
  for (const double value : values) sum += value;
  const auto best = [&](auto better) {
    double found = values.front();
    for (const double value : values) {
      if (better(value, found) || std::isnan(found)) found = value;
    }
    return found;
  };
  switch (expr.aggregation) {
    case Operator::kSum:
      return sum;
    case Operator::kAvg:
      return sum / count;
    case Operator::kMin:
      return best([](double a, double b) { return a < b; });
    case Operator::kMax:
      return best([](double a, double b) { return a > b; });
    case Operator::kCount:
      return count;
    case Operator::kQuantile:
      return exact_quantile(parameter, values);
    case Operator::kTopK:
    case Operator::kBottomK:
      break;
  }
  return 0;
}

Line combined(const Expr& expr, const std::vector<double>& parameters, const LabelSet& labels,
              const Group& group) {
  const std::size_t steps = parameters.size();
  Line line{.labels = labels,
            .values = std::vector<double>(steps),
            .present = std::vector<std::uint8_t>(steps)};
  std::vector<double> values;
  for (std::size_t i = 0; i < steps; ++i) {
    values.clear();
    for (const Line* each : group) {
      if (each->present[i] != 0) values.push_back(each->values[i]);
    }
    if (values.empty()) continue;
    line.values[i] = combine(expr, parameters[i], values);
    line.present[i] = 1;
  }
  return line;
}

/// The members themselves, where they are among the k highest or lowest; NaN comes last.
void add_ranked(const Expr& expr, const std::vector<double>& parameters, const Group& group,
                std::vector<Line>& out) {
  std::vector<Line> kept;
  for (const Line* each : group) {
    kept.push_back(*each);
    std::ranges::fill(kept.back().present, std::uint8_t{0});
  }
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    order.clear();
    for (std::size_t place = 0; place < group.size(); ++place) {
      if (group[place]->present[i] != 0) order.push_back(place);
    }
    std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) {
      const double left = group[a]->values[i];
      const double right = group[b]->values[i];
      if (std::isnan(left) || std::isnan(right)) return !std::isnan(left) && std::isnan(right);
      return expr.aggregation == Operator::kTopK ? left > right : left < right;
    });
    const double wanted = parameters[i];
    const std::size_t count =
        wanted >= 1 ? static_cast<std::size_t>(std::min(wanted, static_cast<double>(order.size())))
                    : 0;
    for (std::size_t place = 0; place < count; ++place) kept[order[place]].present[i] = 1;
  }
  std::ranges::move(kept, std::back_inserter(out));
}

}  // namespace

std::vector<Line> aggregate(const Expr& expr, const std::vector<double>& parameters,
                            const std::vector<Line>& lines) {
  std::map<LabelSet, Group> groups;
  for (const Line& line : lines) groups[group_labels(expr, line.labels)].push_back(&line);
  std::vector<Line> results;
  for (const auto& [labels, group] : groups) {
    if (expr.aggregation == Operator::kTopK || expr.aggregation == Operator::kBottomK) {
      add_ranked(expr, parameters, group, results);
    } else {
      results.push_back(combined(expr, parameters, labels, group));
    }
  }
  return results;
}

}  // namespace sluice::tsdb::promql
