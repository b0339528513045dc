#include "core/promql/selector.h"

#include <algorithm>
#include <memory>
#include <string_view>
#include <utility>

namespace sluice::tsdb::promql {
namespace {

bool is_label_name(std::string_view text) {
  return !text.empty() && !(text.front() >= '0' && text.front() <= '9') && !text.contains(':');
}

Result<MatchKind> match_kind(TokenCursor& cursor) {
  if (cursor.take_sign("=")) return MatchKind::kEqual;
  if (cursor.take_sign("!=")) return MatchKind::kNotEqual;
  if (cursor.take_sign("=~")) return MatchKind::kRegex;
  if (cursor.take_sign("!~")) return MatchKind::kNotRegex;
  return cursor.unexpected();
}

Result<> label_matchers(TokenCursor& cursor, Expr& node) {
  while (!cursor.take_sign("}")) {
    if (cursor.peek().kind == TokenKind::kText) {  // {"any.name"}
      SLUICE_TRY_ASSIGN(Matcher matcher, Matcher::make(std::string(kNameLabel), MatchKind::kEqual,
                                                       cursor.take().text));
      node.matchers.push_back(std::move(matcher));
    } else {
      if (cursor.peek().kind != TokenKind::kName || !is_label_name(cursor.peek().text))
        return cursor.unexpected();
      std::string label = cursor.take().text;
      SLUICE_TRY_ASSIGN(const MatchKind kind, match_kind(cursor));
      if (cursor.peek().kind != TokenKind::kText) return cursor.unexpected();
      SLUICE_TRY_ASSIGN(Matcher matcher, Matcher::make(std::move(label), kind, cursor.take().text));
      node.matchers.push_back(std::move(matcher));
    }
    if (!cursor.is_sign("}")) SLUICE_TRY(cursor.expect(","));
  }
  return {};
}

}  // namespace

Result<ExprPtr> parse_selector_at(TokenCursor& cursor, const std::string& name) {
  const std::size_t at = cursor.peek().at;
  auto node = std::make_unique<Expr>();
  node->kind = ExprKind::kVector;
  node->type = ValueType::kVector;
  if (!name.empty()) {
    SLUICE_TRY_ASSIGN(Matcher matcher,
                      Matcher::make(std::string(kNameLabel), MatchKind::kEqual, name));
    node->matchers.push_back(std::move(matcher));
  }
  if (cursor.take_sign("{")) SLUICE_TRY(label_matchers(cursor, *node));
  const bool selects_something = std::ranges::any_of(
      node->matchers, [](const Matcher& matcher) { return !matcher.matches(""); });
  if (!selects_something) {
    return parse_error(at, "vector selector must contain at least one non-empty matcher");
  }
  if (cursor.take_sign("[")) {
    if (cursor.peek().kind != TokenKind::kSpan) return cursor.unexpected();
    node->kind = ExprKind::kMatrix;
    node->type = ValueType::kMatrix;
    node->range_ms = cursor.take().span_ms;
    if (cursor.peek().kind != TokenKind::kSign || !cursor.take_sign("]")) {
      return parse_error(cursor.peek().at, "subqueries are not supported");
    }
  }
  if (cursor.take_name("offset")) {
    const bool is_negative = cursor.take_sign("-");
    if (cursor.peek().kind != TokenKind::kSpan) return cursor.unexpected();
    node->offset_ms = cursor.take().span_ms * (is_negative ? -1 : 1);
  }
  if (cursor.is_sign("@")) return parse_error(cursor.peek().at, "the @ modifier is not supported");
  return node;
}

Result<std::vector<std::string>> parse_label_list(TokenCursor& cursor) {
  std::vector<std::string> labels;
  SLUICE_TRY(cursor.expect("("));
  while (!cursor.take_sign(")")) {
    if (cursor.peek().kind != TokenKind::kName || !is_label_name(cursor.peek().text))
      return cursor.unexpected();
    labels.push_back(cursor.take().text);
    if (!cursor.is_sign(")")) SLUICE_TRY(cursor.expect(","));
  }
  return labels;
}

}  // namespace sluice::tsdb::promql
