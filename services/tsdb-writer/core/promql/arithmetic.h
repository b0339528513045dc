#pragma once

#include "core/promql/evaluator.h"

#include <vector>

namespace sluice::tsdb::promql {

/// The result of an operator; of a comparison 1 or 0.
double apply(BinaryOp op, double left, double right);

/// Applies an operator to each value of a vector and the scalar of its step. A comparison without
/// `bool` keeps the values for which it holds.
void with_scalar(const Expr& expr, const std::vector<double>& scalar, bool is_scalar_left,
                 std::vector<Line>& lines);

/// Applies an operator to the pairs of two vectors that agree in the labels they are matched by.
/// kInvalidArgument where more than one of a side fit.
Result<std::vector<Line>> match(const Expr& expr, const std::vector<Line>& left,
                                const std::vector<Line>& right);

}  // namespace sluice::tsdb::promql
