#include "core/promql/parser.h"

#include "core/promql/lexer.h"

#include <algorithm>
#include <array>
#include <format>
#include <limits>
#include <optional>
#include <utility>

namespace sluice::tsdb::promql {
namespace {

struct FunctionInfo {
  std::string_view name;
  Function function;
  ValueType result;
  std::vector<ValueType> arguments;
};

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

struct BinaryInfo {
  std::string_view sign;
  BinaryOp op;
  int precedence;
};
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
constexpr int kUnaryPrecedence = 4;  // -1 ^ 2 is -1, -a * b is (-a) * b

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

template <typename Value, std::size_t N>
std::optional<Value> find_in(const std::array<std::pair<std::string_view, Value>, N>& all,
                             std::string_view name) {
  for (const auto& [each, value] : all) {
    if (each == name) return value;
  }
  return std::nullopt;
}

bool is_label_name(std::string_view text) {
  return !text.empty() && !(text.front() >= '0' && text.front() <= '9') && !text.contains(':');
}

class Parser {
 public:
  explicit Parser(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  Result<ExprPtr> query() {
    SLUICE_TRY_ASSIGN(ExprPtr expr, expression(0));
    if (peek().kind != TokenKind::kEnd) return unexpected();
    if (expr->type == ValueType::kMatrix) {
      return parse_error(0, "a range vector needs a function around it");
    }
    return expr;
  }

  Result<std::vector<Matcher>> selector_alone() {
    SLUICE_TRY_ASSIGN(ExprPtr expr, primary());
    if (expr->kind != ExprKind::kVector || peek().kind != TokenKind::kEnd) {
      return parse_error(0, "must be a series selector");
    }
    return std::move(expr->matchers);
  }

 private:
  const Token& peek() const { return tokens_[next_]; }
  const Token& take() { return tokens_[next_ + 1 < tokens_.size() ? next_++ : next_]; }
  bool is_sign(std::string_view sign) const {
    return peek().kind == TokenKind::kSign && peek().text == sign;
  }
  bool is_name(std::string_view name) const {
    return peek().kind == TokenKind::kName && peek().text == name;
  }
  bool take_sign(std::string_view sign) {
    if (!is_sign(sign)) return false;
    take();
    return true;
  }
  bool take_name(std::string_view name) {
    if (!is_name(name)) return false;
    take();
    return true;
  }
  std::unexpected<Error> unexpected() const {
    const Token& token = peek();
    if (token.kind == TokenKind::kEnd) return parse_error(token.at, "unexpected end of input");
    return parse_error(token.at, std::format("unexpected \"{}\"", token.text));
  }
  Result<> expect(std::string_view sign) {
    if (take_sign(sign)) return {};
    return unexpected();
  }

  const BinaryInfo* binary_here() const {
    if (peek().kind != TokenKind::kSign) return nullptr;
    const auto* found =
        std::ranges::find(kBinary, std::string_view(peek().text), &BinaryInfo::sign);
    return found == kBinary.end() ? nullptr : found;
  }

  Result<ExprPtr> expression(int min_precedence) {
    if (++depth_ > kMaxDepth) return parse_error(peek().at, "nested too deep");
    SLUICE_TRY_ASSIGN(ExprPtr left, unary());
    while (const BinaryInfo* info = binary_here()) {
      if (info->precedence < min_precedence) break;
      // A chain of a thousand sums is as deep a tree as a thousand brackets.
      if (++chain_ > kMaxDepth * 4) return parse_error(peek().at, "too many operators");
      const std::size_t at = take().at;
      auto node = std::make_unique<Expr>();
      node->kind = ExprKind::kBinary;
      node->op = info->op;
      SLUICE_TRY(binary_modifiers(*node));
      const bool is_right_associative = info->op == BinaryOp::kPower;
      SLUICE_TRY_ASSIGN(ExprPtr right,
                        expression(is_right_associative ? info->precedence : info->precedence + 1));
      node->arguments.push_back(std::move(left));
      node->arguments.push_back(std::move(right));
      SLUICE_TRY(check_binary(*node, at));
      left = std::move(node);
    }
    for (const std::string_view set_op : {"and", "or", "unless", "atan2"}) {
      if (is_name(set_op)) {
        return parse_error(peek().at, std::format("{} is not supported", set_op));
      }
    }
    --depth_;
    return left;
  }

  Result<> binary_modifiers(Expr& node) {
    node.returns_bool = take_name("bool");
    if (node.returns_bool && !is_comparison(node.op)) {
      return parse_error(peek().at, "bool modifier can only be used on comparison operators");
    }
    if (is_name("on") || is_name("ignoring")) {
      node.is_only_these = take().text == "on";
      SLUICE_TRY_ASSIGN(node.labels, label_list());
      if (is_name("group_left") || is_name("group_right")) {
        return parse_error(peek().at, "many-to-one matching is not supported");
      }
    }
    return {};
  }

  Result<> check_binary(Expr& node, std::size_t at) {
    const ValueType left = node.arguments[0]->type;
    const ValueType right = node.arguments[1]->type;
    for (const ValueType type : {left, right}) {
      if (type != ValueType::kScalar && type != ValueType::kVector) {
        return parse_error(at,
                           "binary expression must contain only scalar and instant vector types");
      }
    }
    const bool are_scalars = left == ValueType::kScalar && right == ValueType::kScalar;
    if (are_scalars && is_comparison(node.op) && !node.returns_bool) {
      return parse_error(at, "comparisons between scalars must use BOOL modifier");
    }
    const bool are_vectors = left == ValueType::kVector && right == ValueType::kVector;
    if (!are_vectors && (node.is_only_these || !node.labels.empty())) {
      return parse_error(at, "vector matching only allowed between instant vectors");
    }
    node.type = are_scalars ? ValueType::kScalar : ValueType::kVector;
    return {};
  }

  Result<ExprPtr> unary() {
    if (take_sign("+")) return unary_operand();
    const std::size_t at = peek().at;
    if (!take_sign("-")) return primary();
    SLUICE_TRY_ASSIGN(ExprPtr operand, unary_operand());
    if (operand->type != ValueType::kScalar && operand->type != ValueType::kVector) {
      return parse_error(at, "unary expression only allowed on scalars and instant vectors");
    }
    auto node = std::make_unique<Expr>();
    node->kind = ExprKind::kNegative;
    node->type = operand->type;
    node->arguments.push_back(std::move(operand));
    return node;
  }

  Result<ExprPtr> unary_operand() { return expression(kUnaryPrecedence); }

  Result<ExprPtr> primary() {
    const Token& token = peek();
    if (token.kind == TokenKind::kNumber) return number(take().number);
    if (token.kind == TokenKind::kText) {
      auto node = std::make_unique<Expr>();
      node->kind = ExprKind::kText;
      node->type = ValueType::kText;
      node->text = take().text;
      return node;
    }
    if (take_sign("(")) {
      SLUICE_TRY_ASSIGN(ExprPtr inner, expression(0));
      SLUICE_TRY(expect(")"));
      return inner;
    }
    if (is_sign("{")) return selector("");
    if (token.kind != TokenKind::kName) return unexpected();
    return named();
  }

  static Result<ExprPtr> number(double value) {
    auto node = std::make_unique<Expr>();
    node->number = value;
    return node;
  }

  Result<ExprPtr> named() {
    const Token& token = take();
    std::string lower = token.text;
    std::ranges::transform(lower, lower.begin(), [](char c) {
      return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
    });
    const bool is_call = is_sign("(");
    if (const auto op = find_in(kOperators, lower);
        op && (is_call || is_name("by") || is_name("without"))) {
      return aggregate(*op, token.at);
    }
    if (is_call) return call(lower, token.at);
    if (lower == "inf") return number(std::numeric_limits<double>::infinity());
    if (lower == "nan") return number(std::numeric_limits<double>::quiet_NaN());
    return selector(token.text);
  }

  Result<ExprPtr> call(const std::string& name, std::size_t at) {
    const auto found = std::ranges::find(functions(), name, &FunctionInfo::name);
    if (found == functions().end()) {
      return parse_error(at, std::format("unknown or unsupported function \"{}\"", name));
    }
    auto node = std::make_unique<Expr>();
    node->kind = ExprKind::kCall;
    node->type = found->result;
    node->function = found->function;
    SLUICE_TRY_ASSIGN(node->arguments, arguments());
    if (node->arguments.size() != found->arguments.size()) {
      return parse_error(at, std::format("expected {} argument(s) in call to \"{}\", got {}",
                                         found->arguments.size(), name, node->arguments.size()));
    }
    for (std::size_t i = 0; i < node->arguments.size(); ++i) {
      if (node->arguments[i]->type != found->arguments[i]) {
        return parse_error(
            at, std::format("expected type {} in call to function \"{}\", got {}",
                            name_of(found->arguments[i]), name, name_of(node->arguments[i]->type)));
      }
    }
    return node;
  }

  Result<std::vector<ExprPtr>> arguments() {
    std::vector<ExprPtr> all;
    SLUICE_TRY(expect("("));
    if (take_sign(")")) return all;
    do {
      SLUICE_TRY_ASSIGN(ExprPtr argument, expression(0));
      all.push_back(std::move(argument));
    } while (take_sign(","));
    SLUICE_TRY(expect(")"));
    return all;
  }

  Result<ExprPtr> aggregate(Operator op, std::size_t at) {
    auto node = std::make_unique<Expr>();
    node->kind = ExprKind::kAggregate;
    node->type = ValueType::kVector;
    node->aggregation = op;
    // `sum(x)` is over all, like `sum by () (x)`.
    node->is_only_these = true;
    const bool is_before = is_name("by") || is_name("without");
    if (is_before) SLUICE_TRY(grouping(*node));
    SLUICE_TRY_ASSIGN(node->arguments, arguments());
    if (!is_before && (is_name("by") || is_name("without"))) SLUICE_TRY(grouping(*node));
    const bool has_parameter =
        op == Operator::kTopK || op == Operator::kBottomK || op == Operator::kQuantile;
    if (node->arguments.size() != (has_parameter ? 2U : 1U)) {
      return parse_error(at, "wrong number of arguments for aggregate expression");
    }
    if (has_parameter && node->arguments.front()->type != ValueType::kScalar) {
      return parse_error(at, "the parameter of an aggregation must be a scalar");
    }
    if (node->arguments.back()->type != ValueType::kVector) {
      return parse_error(at, "aggregations take an instant vector");
    }
    return node;
  }

  Result<> grouping(Expr& node) {
    node.is_only_these = take().text == "by";
    SLUICE_TRY_ASSIGN(node.labels, label_list());
    return {};
  }

  Result<std::vector<std::string>> label_list() {
    std::vector<std::string> labels;
    SLUICE_TRY(expect("("));
    while (!take_sign(")")) {
      if (peek().kind != TokenKind::kName || !is_label_name(peek().text)) return unexpected();
      labels.push_back(take().text);
      if (!is_sign(")")) SLUICE_TRY(expect(","));
    }
    return labels;
  }

  Result<ExprPtr> selector(const std::string& name) {
    const std::size_t at = peek().at;
    auto node = std::make_unique<Expr>();
    node->kind = ExprKind::kVector;
    node->type = ValueType::kVector;
    if (!name.empty()) {
      SLUICE_TRY_ASSIGN(Matcher matcher,
                        Matcher::make(std::string(kNameLabel), MatchKind::kEqual, name));
      node->matchers.push_back(std::move(matcher));
    }
    if (take_sign("{")) SLUICE_TRY(label_matchers(*node));
    const bool selects_something = std::ranges::any_of(
        node->matchers, [](const Matcher& matcher) { return !matcher.matches(""); });
    if (!selects_something) {
      return parse_error(at, "vector selector must contain at least one non-empty matcher");
    }
    if (take_sign("[")) {
      if (peek().kind != TokenKind::kSpan) return unexpected();
      node->kind = ExprKind::kMatrix;
      node->type = ValueType::kMatrix;
      node->range_ms = take().span_ms;
      if (peek().kind != TokenKind::kSign || !take_sign("]")) {
        return parse_error(peek().at, "subqueries are not supported");
      }
    }
    if (take_name("offset")) {
      const bool is_negative = take_sign("-");
      if (peek().kind != TokenKind::kSpan) return unexpected();
      node->offset_ms = take().span_ms * (is_negative ? -1 : 1);
    }
    if (is_sign("@")) return parse_error(peek().at, "the @ modifier is not supported");
    return node;
  }

  Result<> label_matchers(Expr& node) {
    while (!take_sign("}")) {
      if (peek().kind == TokenKind::kText) {  // {"any.name"}
        SLUICE_TRY_ASSIGN(Matcher matcher,
                          Matcher::make(std::string(kNameLabel), MatchKind::kEqual, take().text));
        node.matchers.push_back(std::move(matcher));
      } else {
        if (peek().kind != TokenKind::kName || !is_label_name(peek().text)) return unexpected();
        std::string label = take().text;
        SLUICE_TRY_ASSIGN(const MatchKind kind, match_kind());
        if (peek().kind != TokenKind::kText) return unexpected();
        SLUICE_TRY_ASSIGN(Matcher matcher, Matcher::make(std::move(label), kind, take().text));
        node.matchers.push_back(std::move(matcher));
      }
      if (!is_sign("}")) SLUICE_TRY(expect(","));
    }
    return {};
  }

  Result<MatchKind> match_kind() {
    if (take_sign("=")) return MatchKind::kEqual;
    if (take_sign("!=")) return MatchKind::kNotEqual;
    if (take_sign("=~")) return MatchKind::kRegex;
    if (take_sign("!~")) return MatchKind::kNotRegex;
    return unexpected();
  }

  std::vector<Token> tokens_;
  std::size_t next_ = 0;
  int depth_ = 0;
  int chain_ = 0;
};

Result<std::vector<Token>> tokens_of(std::string_view text) {
  if (text.size() > kMaxQueryBytes) {
    return fail(ErrorCode::kInvalidArgument,
                std::format("the query is longer than {} bytes", kMaxQueryBytes));
  }
  return split_tokens(text);
}

}  // namespace

Result<ExprPtr> parse_query(std::string_view text) {
  SLUICE_TRY_ASSIGN(auto tokens, tokens_of(text));
  return Parser(std::move(tokens)).query();
}

Result<std::vector<Matcher>> parse_selector(std::string_view text) {
  SLUICE_TRY_ASSIGN(auto tokens, tokens_of(text));
  return Parser(std::move(tokens)).selector_alone();
}

}  // namespace sluice::tsdb::promql
