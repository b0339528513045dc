#include "core/query/value_text.h"

#include <array>
#include <charconv>
#include <cmath>

namespace sluice::tsdb {
namespace {

/// Decimals of up to three places, which is what most sensors say, as std::to_chars() writes them
/// but four times as fast; false for all others. A decimal of at most 15 digits is the shortest
/// text of the double that is nearest to it, and below 100,000 none of them is shorter with an
/// exponent.
bool append_short_decimal(std::string& out, double value) {
  constexpr double kLimit = 1e5;
  const double magnitude = std::fabs(value);
  if (!(magnitude < kLimit) || value == 0) return false;  // NaN too; -0.0 has a sign of its own
  struct Scale {
    double factor;
    std::int64_t divisor;
    int digits;
  };
  constexpr std::array<Scale, 4> kScales = {
      {{1, 1, 0}, {10, 10, 1}, {100, 100, 2}, {1000, 1000, 3}}};
  for (const auto& [factor, divisor, digits] : kScales) {
    const auto scaled = static_cast<std::int64_t>(magnitude * factor + 0.5);
    if (static_cast<double>(scaled) / factor != magnitude) continue;
    std::array<char, 16> text;
    char* end = text.data();
    if (value < 0) *end++ = '-';
    end = std::to_chars(end, text.data() + text.size(), scaled / divisor).ptr;
    if (digits != 0) {
      *end = '.';
      std::int64_t rest = scaled % divisor;
      for (int place = digits; place > 0; --place, rest /= 10) {
        end[place] = static_cast<char>('0' + rest % 10);
      }
      end += digits + 1;
    }
    out.append(text.data(), end);
    return true;
  }
  return false;
}

}  // namespace

void append_integer(std::string& out, std::int64_t value) {
  std::array<char, 24> text;
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value).ptr;
  out.append(text.data(), end);
}

void append_double(std::string& out, double value) {
  if (append_short_decimal(out, value)) return;
  if (std::isnan(value)) {
    out += "NaN";
  } else if (std::isinf(value)) {
    out += value < 0 ? "-Infinity" : "Infinity";
  } else {
    std::array<char, 32> text;
    const auto end = std::to_chars(text.data(), text.data() + text.size(), value).ptr;
    out.append(text.data(), end);
  }
}

void append_json_text(std::string& out, std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  out += '"';
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte == 0x7f) {
      out += "\\u00";
      out += kHex[byte >> 4U];
      out += kHex[byte & 15U];
    } else {
      out += c;
    }
  }
  out += '"';
}

void append_json(std::string& out, const Value& value) {
  if (const auto* number = std::get_if<double>(&value)) {
    const bool is_finite = std::isfinite(*number);
    if (!is_finite) out += '"';
    append_double(out, *number);
    if (!is_finite) out += '"';
  } else if (const auto* integer = std::get_if<std::int64_t>(&value)) {
    append_integer(out, *integer);
  } else if (const auto* truth = std::get_if<bool>(&value)) {
    out += *truth ? "true" : "false";
  } else if (const auto* text = std::get_if<std::string>(&value)) {
    append_json_text(out, *text);
  } else {
    out += "null";
  }
}

}  // namespace sluice::tsdb
