#pragma once

#include "core/promql/ast.h"

#include <optional>
#include <string_view>
#include <vector>

namespace sluice::tsdb::promql {

/// A function of the language: what it takes and gives.
struct FunctionInfo {
  std::string_view name;
  Function function;
  ValueType result;
  std::vector<ValueType> arguments;
};
/// Null for one that is not supported.
const FunctionInfo* find_function(std::string_view name);

/// "sum", "topk" and their kin.
std::optional<Operator> find_aggregation(std::string_view name);

struct BinaryInfo {
  std::string_view sign;
  BinaryOp op;
  int precedence;
};
const BinaryInfo* find_binary(std::string_view sign);
inline constexpr int kUnaryPrecedence = 4;  // -1 ^ 2 is -1, -a * b is (-a) * b

/// As Prometheus calls it in errors.
std::string_view name_of(ValueType type);

}  // namespace sluice::tsdb::promql
