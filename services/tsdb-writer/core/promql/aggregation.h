#pragma once

#include "core/promql/evaluator.h"

#include <vector>

namespace sluice::tsdb::promql {

/// Puts the series of a vector together, group by group and step by step. `parameters` are those of
/// topk, bottomk and quantile, one per step. Results are ordered by their labels.
std::vector<Line> aggregate(const Expr& expr, const std::vector<double>& parameters,
                            const std::vector<Line>& lines);

}  // namespace sluice::tsdb::promql
