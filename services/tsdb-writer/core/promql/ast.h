#pragma once

#include "core/promql/labels.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace sluice::tsdb::promql {

enum class ExprKind : std::uint8_t {
  kNumber,
  kText,
  kVector,     // metric{…}
  kMatrix,     // metric{…}[5m]
  kNegative,   // -a
  kBinary,     // a + b
  kCall,       // rate(…)
  kAggregate,  // sum by (…) (…)
};

/// What an expression gives.
enum class ValueType : std::uint8_t { kScalar, kVector, kMatrix, kText };

enum class BinaryOp : std::uint8_t {
  kAdd,
  kSubtract,
  kMultiply,
  kDivide,
  kModulo,
  kPower,
  kEqual,
  kNotEqual,
  kGreater,
  kLess,
  kGreaterOrEqual,
  kLessOrEqual
};
constexpr bool is_comparison(BinaryOp op) { return op >= BinaryOp::kEqual; }

enum class Function : std::uint8_t {
  kRate,
  kIncrease,
  kDelta,
  kAvgOverTime,
  kMinOverTime,
  kMaxOverTime,
  kSumOverTime,
  kCountOverTime,
  kLastOverTime,
  kQuantileOverTime,
  kAbs,
  kCeil,
  kFloor,
  kTime,
  kVector
};

enum class Operator : std::uint8_t { kSum, kAvg, kMin, kMax, kCount, kTopK, kBottomK, kQuantile };

struct Expr;
using ExprPtr = std::unique_ptr<Expr>;

/// A node of a parsed query, which has been checked: types of arguments fit.
struct Expr {
  ExprKind kind = ExprKind::kNumber;
  ValueType type = ValueType::kScalar;

  double number = 0;
  std::string text;

  // Selectors.
  std::vector<Matcher> matchers;
  std::int64_t range_ms = 0;
  std::int64_t offset_ms = 0;

  BinaryOp op = BinaryOp::kAdd;
  bool returns_bool = false;
  Function function = Function::kRate;
  Operator aggregation = Operator::kSum;
  /// Of `by`, `on`: these labels; of `without`, `ignoring` and of nothing at all: all but these.
  bool is_only_these = false;
  std::vector<std::string> labels;

  /// Arguments; of an aggregation its parameter, if it has one, and then the vector.
  std::vector<ExprPtr> arguments;
};

}  // namespace sluice::tsdb::promql
