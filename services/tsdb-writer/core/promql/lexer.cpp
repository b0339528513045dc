#include "core/promql/lexer.h"

#include "core/query/parse.h"

#include <array>
#include <charconv>
#include <cmath>
#include <format>
#include <limits>
#include <optional>

namespace sluice::tsdb::promql {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_name_start(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == ':';
}
bool is_name_part(char c) { return is_name_start(c) || is_digit(c); }
bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

void append_utf8(std::string& out, std::uint32_t code) {
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xc0U | (code >> 6U));
    out += static_cast<char>(0x80U | (code & 0x3fU));
  } else if (code < 0x10000) {
    out += static_cast<char>(0xe0U | (code >> 12U));
    out += static_cast<char>(0x80U | ((code >> 6U) & 0x3fU));
    out += static_cast<char>(0x80U | (code & 0x3fU));
  } else {
    out += static_cast<char>(0xf0U | (code >> 18U));
    out += static_cast<char>(0x80U | ((code >> 12U) & 0x3fU));
    out += static_cast<char>(0x80U | ((code >> 6U) & 0x3fU));
    out += static_cast<char>(0x80U | (code & 0x3fU));
  }
}

class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) {}

  Result<std::vector<Token>> split() {
    std::vector<Token> tokens;
    while (true) {
      skip_blanks();
      Token token;
      token.at = at_;
      if (at_ == text_.size()) {
        tokens.push_back(std::move(token));
        return tokens;
      }
      const char c = text_[at_];
      if (c == '"' || c == '\'' || c == '`') {
        SLUICE_TRY(read_text(c, token));
      } else if (is_digit(c) || (c == '.' && at_ + 1 < text_.size() && is_digit(text_[at_ + 1]))) {
        SLUICE_TRY(read_number(token));
      } else if (is_name_start(c)) {
        token.kind = TokenKind::kName;
        while (at_ < text_.size() && is_name_part(text_[at_])) token.text += text_[at_++];
      } else {
        SLUICE_TRY(read_sign(token));
      }
      tokens.push_back(std::move(token));
    }
  }

 private:
  void skip_blanks() {
    while (at_ < text_.size()) {
      if (text_[at_] == '#') {
        while (at_ < text_.size() && text_[at_] != '\n') ++at_;
      } else if (is_space(text_[at_])) {
        ++at_;
      } else {
        return;
      }
    }
  }

  Result<> read_sign(Token& token) {
    constexpr std::array<std::string_view, 21> kSigns = {"==", "!=", "=~", "!~", ">=", "<=", "(",
                                                         ")",  "{",  "}",  "[",  "]",  ",",  "=",
                                                         ">",  "<",  "+",  "-",  "*",  "/",  "%"};
    token.kind = TokenKind::kSign;
    for (const std::string_view sign : kSigns) {
      if (!text_.substr(at_).starts_with(sign)) continue;
      token.text = sign;
      at_ += sign.size();
      return {};
    }
    if (text_[at_] == '^' || text_[at_] == '@') {
      token.text = text_[at_++];
      return {};
    }
    return parse_error(at_, "unexpected character");
  }

  /// A number, or digits with units behind them, which are a span of time.
  Result<> read_number(Token& token) {
    std::size_t end = at_;
    while (end < text_.size() && is_name_part(text_[end]) && text_[end] != ':') ++end;
    if (const auto span = parse_span(text_.substr(at_, end - at_)); span) {
      token.kind = TokenKind::kSpan;
      token.span_ms = span->count();
      at_ = end;
      return {};
    }
    token.kind = TokenKind::kNumber;
    if (text_.substr(at_).starts_with("0x")) {
      std::uint64_t whole = 0;
      const auto read =
          std::from_chars(text_.data() + at_ + 2, text_.data() + text_.size(), whole, 16);
      if (read.ec != std::errc()) return parse_error(at_, "bad number");
      token.number = static_cast<double>(whole);
      at_ = static_cast<std::size_t>(read.ptr - text_.data());
    } else {
      const auto read =
          std::from_chars(text_.data() + at_, text_.data() + text_.size(), token.number);
      if (read.ec != std::errc()) return parse_error(at_, "bad number");
      at_ = static_cast<std::size_t>(read.ptr - text_.data());
    }
    if (at_ < text_.size() && is_name_part(text_[at_])) {
      return parse_error(at_, "bad number or duration");
    }
    return {};
  }

  Result<> read_text(char quote, Token& token) {
    token.kind = TokenKind::kText;
    const std::size_t start = at_++;
    while (true) {
      if (at_ == text_.size()) return parse_error(start, "unterminated quoted string");
      const char c = text_[at_++];
      if (c == quote) return {};
      if (c == '\n' && quote != '`') return parse_error(start, "unterminated quoted string");
      if (c == '\\' && quote != '`') {
        if (!read_escape(token.text)) return parse_error(at_, "unknown escape sequence");
      } else {
        token.text += c;
      }
    }
  }

  bool read_escape(std::string& out) {
    if (at_ == text_.size()) return false;
    const char c = text_[at_++];
    constexpr std::string_view kNamed = "abfnrtv\\'\"";
    constexpr std::string_view kMeant = "\a\b\f\n\r\t\v\\'\"";
    if (const auto named = kNamed.find(c); named != std::string_view::npos) {
      out += kMeant[named];
      return true;
    }
    if (c == 'x') {
      const auto byte = hex(2);
      if (byte) out += static_cast<char>(*byte);
      return byte.has_value();
    }
    if (c != 'u' && c != 'U') return false;
    const auto code = hex(c == 'u' ? 4 : 8);
    if (!code || *code > 0x10ffff || (*code >= 0xd800 && *code < 0xe000)) return false;
    append_utf8(out, *code);
    return true;
  }

  std::optional<std::uint32_t> hex(std::size_t digits) {
    if (text_.size() - at_ < digits) return std::nullopt;
    std::uint32_t value = 0;
    const char* begin = text_.data() + at_;
    const auto read = std::from_chars(begin, begin + digits, value, 16);
    if (read.ec != std::errc() || read.ptr != begin + digits) return std::nullopt;
    at_ += digits;
    return value;
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace

std::unexpected<Error> parse_error(std::size_t at, std::string_view what) {
  return fail(ErrorCode::kInvalidArgument, std::format("1:{}: parse error: {}", at + 1, what));
}

Result<std::vector<Token>> split_tokens(std::string_view text) { return Lexer(text).split(); }

}  // namespace sluice::tsdb::promql
