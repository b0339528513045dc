#include "core/promql/parser.h"

#include "core/promql/grammar.h"
#include "core/promql/lexer.h"
#include "core/promql/selector.h"
#include "core/promql/token_cursor.h"

#include <algorithm>
#include <format>
#include <limits>
#include <utility>

namespace sluice::tsdb::promql {
namespace {

class Parser {
 public:
  explicit Parser(std::vector<Token> tokens) : cursor_(std::move(tokens)) {}

  Result<ExprPtr> query() {
    SLUICE_TRY_ASSIGN(ExprPtr expr, expression(0));
    if (cursor_.peek().kind != TokenKind::kEnd) return cursor_.unexpected();
    if (expr->type == ValueType::kMatrix) {
      return parse_error(0, "a range vector needs a function around it");
    }
    return expr;
  }

  Result<std::vector<Matcher>> selector_alone() {
    SLUICE_TRY_ASSIGN(ExprPtr expr, primary());
    if (expr->kind != ExprKind::kVector || cursor_.peek().kind != TokenKind::kEnd) {
      return parse_error(0, "must be a series selector");
    }
    return std::move(expr->matchers);
  }

 private:
  const BinaryInfo* binary_here() const {
    if (cursor_.peek().kind != TokenKind::kSign) return nullptr;
    return find_binary(cursor_.peek().text);
  }

  Result<ExprPtr> expression(int min_precedence) {
    if (++depth_ > kMaxDepth) return parse_error(cursor_.peek().at, "nested too deep");
    SLUICE_TRY_ASSIGN(ExprPtr left, unary());
    while (const BinaryInfo* info = binary_here()) {
      if (info->precedence < min_precedence) break;
      // A chain of a thousand sums is as deep a tree as a thousand brackets.
      if (++chain_ > kMaxDepth * 4) return parse_error(cursor_.peek().at, "too many operators");
      const std::size_t at = cursor_.take().at;
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
      if (cursor_.is_name(set_op)) {
        return parse_error(cursor_.peek().at, std::format("{} is not supported", set_op));
      }
    }
    --depth_;
    return left;
  }

  Result<> binary_modifiers(Expr& node) {
    node.returns_bool = cursor_.take_name("bool");
    if (node.returns_bool && !is_comparison(node.op)) {
      return parse_error(cursor_.peek().at,
                         "bool modifier can only be used on comparison operators");
    }
    if (cursor_.is_name("on") || cursor_.is_name("ignoring")) {
      node.is_only_these = cursor_.take().text == "on";
      SLUICE_TRY_ASSIGN(node.labels, parse_label_list(cursor_));
      if (cursor_.is_name("group_left") || cursor_.is_name("group_right")) {
        return parse_error(cursor_.peek().at, "many-to-one matching is not supported");
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
    if (cursor_.take_sign("+")) return unary_operand();
    const std::size_t at = cursor_.peek().at;
    if (!cursor_.take_sign("-")) return primary();
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
    const Token& token = cursor_.peek();
    if (token.kind == TokenKind::kNumber) return number(cursor_.take().number);
    if (token.kind == TokenKind::kText) {
      auto node = std::make_unique<Expr>();
      node->kind = ExprKind::kText;
      node->type = ValueType::kText;
      node->text = cursor_.take().text;
      return node;
    }
    if (cursor_.take_sign("(")) {
      SLUICE_TRY_ASSIGN(ExprPtr inner, expression(0));
      SLUICE_TRY(cursor_.expect(")"));
      return inner;
    }
    if (cursor_.is_sign("{")) return parse_selector_at(cursor_, "");
    if (token.kind != TokenKind::kName) return cursor_.unexpected();
    return named();
  }

  static Result<ExprPtr> number(double value) {
    auto node = std::make_unique<Expr>();
    node->number = value;
    return node;
  }

  Result<ExprPtr> named() {
    const Token& token = cursor_.take();
    std::string lower = token.text;
    std::ranges::transform(lower, lower.begin(), [](char c) {
      return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
    });
    const bool is_call = cursor_.is_sign("(");
    if (const auto op = find_aggregation(lower);
        op && (is_call || cursor_.is_name("by") || cursor_.is_name("without"))) {
      return aggregate(*op, token.at);
    }
    if (is_call) return call(lower, token.at);
    if (lower == "inf") return number(std::numeric_limits<double>::infinity());
    if (lower == "nan") return number(std::numeric_limits<double>::quiet_NaN());
    return parse_selector_at(cursor_, token.text);
  }

  Result<ExprPtr> call(const std::string& name, std::size_t at) {
    const FunctionInfo* found = find_function(name);
    if (found == nullptr) {
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
    SLUICE_TRY(cursor_.expect("("));
    if (cursor_.take_sign(")")) return all;
    do {
      SLUICE_TRY_ASSIGN(ExprPtr argument, expression(0));
      all.push_back(std::move(argument));
    } while (cursor_.take_sign(","));
    SLUICE_TRY(cursor_.expect(")"));
    return all;
  }

  Result<ExprPtr> aggregate(Operator op, std::size_t at) {
    auto node = std::make_unique<Expr>();
    node->kind = ExprKind::kAggregate;
    node->type = ValueType::kVector;
    node->aggregation = op;
    // `sum(x)` is over all, like `sum by () (x)`.
    node->is_only_these = true;
    const bool is_before = cursor_.is_name("by") || cursor_.is_name("without");
    if (is_before) SLUICE_TRY(grouping(*node));
    SLUICE_TRY_ASSIGN(node->arguments, arguments());
    if (!is_before && (cursor_.is_name("by") || cursor_.is_name("without")))
      SLUICE_TRY(grouping(*node));
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
    node.is_only_these = cursor_.take().text == "by";
    SLUICE_TRY_ASSIGN(node.labels, parse_label_list(cursor_));
    return {};
  }

  TokenCursor cursor_;
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
