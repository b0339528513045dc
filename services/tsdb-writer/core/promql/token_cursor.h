#pragma once

#include "core/promql/lexer.h"

#include <cstddef>
#include <format>
#include <string_view>
#include <utility>
#include <vector>

#include <sluice/base/result.h>

namespace sluice::tsdb::promql {

/// The tokens of a query, read from the first to the last; kEnd, which is last, stays. One thread.
class TokenCursor {
 public:
  explicit TokenCursor(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

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

 private:
  std::vector<Token> tokens_;
  std::size_t next_ = 0;
};

}  // namespace sluice::tsdb::promql
