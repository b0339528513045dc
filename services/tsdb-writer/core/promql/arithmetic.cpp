#include "core/promql/arithmetic.h"

#include <cmath>
#include <map>
#include <utility>

namespace sluice::tsdb::promql {
namespace {

/// What two series of a pair have in common.
LabelSet signature_of(const Expr& expr, const LabelSet& labels) {
  if (expr.is_only_these) return labels.only(expr.labels);
  LabelSet rest = labels.without(expr.labels);
  rest.remove(kNameLabel);
  return rest;
}

LabelSet labels_of_pair(const Expr& expr, const LabelSet& left) {
  LabelSet labels = left;
  if (!is_comparison(expr.op) || expr.returns_bool) labels.remove(kNameLabel);
  return expr.is_only_these ? labels.only(expr.labels) : labels.without(expr.labels);
}

std::unexpected<Error> cannot_match(std::string message) {
  return fail(
      Error(ErrorCode::kInvalidArgument, std::move(message)).with_reason("promql_matching"));
}

struct Side {
  std::vector<const Line*> lines;

  /// The one that has a value at a step; false if two have.
  bool find(std::size_t step, const Line*& found) const {
    found = nullptr;
    for (const Line* line : lines) {
      if (line->present[step] == 0) continue;
      if (found != nullptr) return false;
      found = line;
    }
    return true;
  }
};

}  // namespace

double apply(BinaryOp op, double left, double right) {
  switch (op) {
    case BinaryOp::kAdd:
      return left + right;
    case BinaryOp::kSubtract:
      return left - right;
    case BinaryOp::kMultiply:
      return left * right;
    case BinaryOp::kDivide:
      return left / right;
    case BinaryOp::kModulo:
      return std::fmod(left, right);
    case BinaryOp::kPower:
      return std::pow(left, right);
    case BinaryOp::kEqual:
      return left == right ? 1 : 0;
    case BinaryOp::kNotEqual:
      return left != right ? 1 : 0;
    case BinaryOp::kGreater:
      return left > right ? 1 : 0;
    case BinaryOp::kLess:
      return left < right ? 1 : 0;
    case BinaryOp::kGreaterOrEqual:
      return left >= right ? 1 : 0;
    case BinaryOp::kLessOrEqual:
      return left <= right ? 1 : 0;
  }
  return 0;
}

void with_scalar(const Expr& expr, const std::vector<double>& scalar, bool is_scalar_left,
                 std::vector<Line>& lines) {
  const bool is_filter = is_comparison(expr.op) && !expr.returns_bool;
  for (Line& line : lines) {
    if (!is_filter) line.labels.remove(kNameLabel);
    for (std::size_t i = 0; i < line.values.size(); ++i) {
      if (line.present[i] == 0) continue;
      const double result = is_scalar_left ? apply(expr.op, scalar[i], line.values[i])
                                           : apply(expr.op, line.values[i], scalar[i]);
      if (!is_filter) {
        line.values[i] = result;
      } else if (result == 0) {
        line.present[i] = 0;
      }
    }
  }
}

Result<std::vector<Line>> match(const Expr& expr, const std::vector<Line>& left,
                                const std::vector<Line>& right) {
  std::map<LabelSet, std::pair<Side, Side>> pairs;
  for (const Line& line : right)
    pairs[signature_of(expr, line.labels)].second.lines.push_back(&line);
  for (const Line& line : left) {
    const auto found = pairs.find(signature_of(expr, line.labels));
    if (found != pairs.end()) found->second.first.lines.push_back(&line);
  }
  const bool is_filter = is_comparison(expr.op) && !expr.returns_bool;
  // By the labels of the result: two of the left side with different names may be one now.
  std::map<LabelSet, Line> results;
  for (const auto& [signature, sides] : pairs) {
    if (sides.first.lines.empty()) continue;
    const std::size_t steps = sides.first.lines.front()->values.size();
    for (std::size_t i = 0; i < steps; ++i) {
      const Line* one = nullptr;
      const Line* other = nullptr;
      if (!sides.second.find(i, other)) {
        return cannot_match(
            "found duplicate series for the match group on the right side of the operation; "
            "many-to-many matching not allowed");
      }
      if (other == nullptr) continue;
      if (!sides.first.find(i, one)) {
        return cannot_match(
            "multiple matches for labels on the left side of the operation; many-to-one matching "
            "is not supported");
      }
      if (one == nullptr) continue;
      const double result = apply(expr.op, one->values[i], other->values[i]);
      if (is_filter && result == 0) continue;
      LabelSet labels = labels_of_pair(expr, one->labels);
      auto [place, is_new] = results.try_emplace(labels);
      Line& line = place->second;
      if (is_new) {
        line.labels = std::move(labels);
        line.values.resize(steps);
        line.present.resize(steps);
      }
      line.values[i] = is_filter ? one->values[i] : result;
      line.present[i] = 1;
    }
  }
  std::vector<Line> lines;
  for (auto& [labels, line] : results) lines.push_back(std::move(line));
  return lines;
}

}  // namespace sluice::tsdb::promql
