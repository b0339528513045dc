#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/base/result.h>

namespace sluice::tsdb::promql {

enum class TokenKind : std::uint8_t { kEnd, kName, kNumber, kSpan, kText, kSign };

struct Token {
  TokenKind kind = TokenKind::kEnd;
  std::string text;  // a text without quotes and escapes
  double number = 0;
  std::int64_t span_ms = 0;
  std::size_t at = 0;  // byte in the query
};

/// The tokens of a query, kEnd last.
Result<std::vector<Token>> split_tokens(std::string_view text);

std::unexpected<Error> parse_error(std::size_t at, std::string_view what);

}  // namespace sluice::tsdb::promql
