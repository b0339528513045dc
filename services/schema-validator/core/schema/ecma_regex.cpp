#include "core/schema/ecma_regex.h"

#include <format>
#include <string>

#include <re2/re2.h>

namespace sluice::validator {
namespace {

constexpr std::size_t kMaxExpression = 4096;  // bytes: far above any written by hand
constexpr std::int64_t kMaxMemory = 1 << 20;  // of one compiled expression

// What ECMA-262 means by \s and by what a dot leaves out; RE2 means less by both.
constexpr std::string_view kSpaces = R"(\t\n\v\f\r\x{FEFF}\p{Z})";
constexpr std::string_view kNoLineEnd = R"([^\n\r\x{2028}\x{2029}])";

std::unexpected<Error> refuse(std::string_view what) {
  return fail(ErrorCode::kInvalidArgument, "regular expression: " + std::string(what));
}

/// Spells an expression of ECMA-262 as RE2 does.
class Translation {
 public:
  explicit Translation(std::string_view expression) : rest_(expression) {}

  Result<std::string> run() {
    while (!rest_.empty()) {
      const char c = rest_.front();
      if (c == '\\') {
        SLUICE_TRY(escape());
        continue;
      }
      rest_.remove_prefix(1);
      if (is_in_class_) {
        if (c == '[' && (rest_.starts_with(':') || rest_.starts_with('='))) {
          return refuse("classes such as [:alpha:] are not of ECMA-262");
        }
        if (c == ']') is_in_class_ = false;
        c == '[' ? made_.append("\\[") : made_.append(1, c);
      } else if (c == '[') {
        is_in_class_ = true;
        made_.push_back(c);
        if (rest_.starts_with('^')) {
          made_.push_back('^');
          rest_.remove_prefix(1);
        }
        if (rest_.starts_with(']')) return refuse("an empty class");
      } else if (c == '(' && rest_.starts_with('?') && !rest_.starts_with("?:")) {
        return refuse("groups that begin with (? are supported as (?: alone");
      } else if (c == '.') {
        made_ += kNoLineEnd;
      } else {
        made_.push_back(c);
      }
    }
    return std::move(made_);
  }

 private:
  Result<> escape() {
    rest_.remove_prefix(1);
    if (rest_.empty()) return refuse("ends with a backslash");
    const char c = rest_.front();
    rest_.remove_prefix(1);
    const bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (c == 's' || c == 'S') {
      if (c == 'S' && is_in_class_) return refuse("\\S within a class");
      if (!is_in_class_) made_ += c == 's' ? "[" : "[^";
      made_ += kSpaces;
      if (!is_in_class_) made_ += "]";
    } else if (c == 'u' || c == 'x') {
      return hexadecimal(c == 'u' ? 4 : 2);
    } else if (c == 'c') {
      if (rest_.empty() || !((rest_[0] | 0x20) >= 'a' && (rest_[0] | 0x20) <= 'z')) {
        return refuse("\\c wants a letter");
      }
      static constexpr char kDigits[] = "0123456789ABCDEF";
      const auto code = static_cast<unsigned>(rest_.front()) & 0x1FU;
      made_ += "\\x{";
      made_ += kDigits[code >> 4U];
      made_ += kDigits[code & 0xFU];
      made_ += '}';
      rest_.remove_prefix(1);
    } else if (c == '0') {
      made_ += "\\x{0}";
    } else if (c == 'b' && is_in_class_) {
      made_ += "\\x{8}";
    } else if (is_letter && std::string_view("dDwWbBnrtfvpP").find(c) == std::string_view::npos) {
      return refuse(std::format("\\{} is not of ECMA-262", c));
    } else if (c >= '1' && c <= '9') {
      return refuse("references back are not supported");
    } else {
      made_ += '\\';
      made_ += c;
    }
    return {};
  }

  Result<> hexadecimal(std::size_t digits) {
    if (rest_.starts_with('{') && digits == 4) {
      made_ += "\\x";  // \u{1F600}
      return {};
    }
    const auto is_hex = [](char c) {
      return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
    };
    if (rest_.size() < digits) return refuse("cut off within an escape");
    for (const char c : rest_.substr(0, digits)) {
      if (!is_hex(c)) return refuse("an escape without its digits");
    }
    made_ += "\\x{";
    made_ += rest_.substr(0, digits);
    made_ += '}';
    rest_.remove_prefix(digits);
    return {};
  }

  std::string_view rest_;
  std::string made_;
  bool is_in_class_ = false;
};

}  // namespace

Result<std::shared_ptr<const re2::RE2>> compile_ecma_regex(std::string_view expression) {
  if (expression.size() > kMaxExpression) return refuse("longer than 4096 bytes");
  SLUICE_TRY_ASSIGN(const std::string translated, Translation(expression).run());
  re2::RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(kMaxMemory);
  auto compiled = std::make_shared<re2::RE2>(translated, options);
  if (!compiled->ok()) return refuse(compiled->error());
  return compiled;
}

bool matches(const re2::RE2& expression, std::string_view text) {
  return re2::RE2::PartialMatch({text.data(), text.size()}, expression);
}

const std::string& text_of(const re2::RE2& expression) { return expression.pattern(); }

}  // namespace sluice::validator
