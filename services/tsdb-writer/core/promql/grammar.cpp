#include "core/promql/grammar.h"

#include <algorithm>
#include <array>
#include <utility>

namespace sluice::tsdb::promql {
namespace {

const std::vector<FunctionInfo>& functions() {
  using enum ValueType;
  static const std::vector<FunctionInfo> all = {
      {"rate", Function::kRate, kVector, {kMatrix}},
      {"increase", Function::kIncrease, kVector, {kMatrix}},
      {"delta", Function::kDelta, kVector, {kMatrix}},
      {"avg_over_time", Function::kAvgOverTime, kVector, {kMatrix}},
      {"min_over_time", Function::kMinOverTime, kVector, {kMatrix}},
      {"max_over_time", Function::kMaxOverTime, kVector, {kMatrix}},
      {"sum_over_time", Function::kSumOverTime, kVector, {kMatrix}},
      {"count_over_time", Function::kCountOverTime, kVector, {kMatrix}},
      {"last_over_time", Function::kLastOverTime, kVector, {kMatrix}},
      {"quantile_over_time", Function::kQuantileOverTime, kVector, {kScalar, kMatrix}},
      {"abs", Function::kAbs, kVector, {kVector}},
      {"ceil", Function::kCeil, kVector, {kVector}},
      {"floor", Function::kFloor, kVector, {kVector}},
      {"time", Function::kTime, kScalar, {}},
      {"vector", Function::kVector, kVector, {kScalar}}};
  return all;
}

constexpr std::array<std::pair<std::string_view, Operator>, 8> kOperators = {
    {{"sum", Operator::kSum},
     {"avg", Operator::kAvg},
     {"min", Operator::kMin},
     {"max", Operator::kMax},
     {"count", Operator::kCount},
     {"topk", Operator::kTopK},
     {"bottomk", Operator::kBottomK},
     {"quantile", Operator::kQuantile}}};

constexpr std::array<BinaryInfo, 12> kBinary = {{{"==", BinaryOp::kEqual, 1},
                                                 {"!=", BinaryOp::kNotEqual, 1},
                                                 {">", BinaryOp::kGreater, 1},
                                                 {"<", BinaryOp::kLess, 1},
                                                 {">=", BinaryOp::kGreaterOrEqual, 1},
                                                 {"<=", BinaryOp::kLessOrEqual, 1},
                                                 {"+", BinaryOp::kAdd, 2},
                                                 {"-", BinaryOp::kSubtract, 2},
                                                 {"*", BinaryOp::kMultiply, 3},
                                                 {"/", BinaryOp::kDivide, 3},
                                                 {"%", BinaryOp::kModulo, 3},
                                                 {"^", BinaryOp::kPower, 5}}};

}  // namespace

const FunctionInfo* find_function(std::string_view name) {
  const auto found = std::ranges::find(functions(), name, &FunctionInfo::name);
  return found == functions().end() ? nullptr : &*found;
}

std::optional<Operator> find_aggregation(std::string_view name) {
  for (const auto& [each, aggregation] : kOperators) {
    if (each == name) return aggregation;
  }
  return std::nullopt;
}

const BinaryInfo* find_binary(std::string_view sign) {
  const auto* found = std::ranges::find(kBinary, sign, &BinaryInfo::sign);
  return found == kBinary.end() ? nullptr : found;
}

std::string_view name_of(ValueType type) {
  switch (type) {
    case ValueType::kScalar:
      return "scalar";
    case ValueType::kVector:
      return "instant vector";
    case ValueType::kMatrix:
      return "range vector";
    case ValueType::kText:
      return "string";
  }
  return "";
}

}  // namespace sluice::tsdb::promql
