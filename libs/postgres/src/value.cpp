#include <sluice/postgres/value.h>

#include "timestamp.h"

#include <charconv>
#include <cmath>
#include <concepts>

namespace sluice::postgres {
namespace {

template <typename Number>
std::string number_text(Number value) {
  if constexpr (std::floating_point<Number>) {
    if (std::isnan(value)) return "NaN";
    if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
  }
  char digits[32];  // the longest, of a double, has 24
  const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  return std::string(digits, end);
}

/// An array as PostgreSQL reads it: {1,2} or {"a","b \" c"}.
template <typename T>
std::string array_text(std::span<const T> values) {
  std::string text = "{";
  for (const T& value : values) {
    if (text.size() > 1) text += ',';
    if constexpr (std::same_as<T, std::string>) {
      text += '"';
      for (const char c : value) {
        if (c == '"' || c == '\\') text += '\\';
        text += c;
      }
      text += '"';
    } else {
      text += number_text(value);
    }
  }
  return text += '}';
}

}  // namespace

Param::Param(double value) : Param(Kind::kText, number_text(value)) {}
Param::Param(WallTime value) : Param(Kind::kText, format_timestamp(value)) {}
Param::Param(std::span<const std::string> values) : Param(Kind::kText, array_text(values)) {}
Param::Param(std::span<const std::int64_t> values) : Param(Kind::kText, array_text(values)) {}
Param::Param(std::span<const double> values) : Param(Kind::kText, array_text(values)) {}

Param Param::from_integer(std::int64_t value) { return Param(Kind::kText, number_text(value)); }
Param Param::from_unsigned(std::uint64_t value) { return Param(Kind::kText, number_text(value)); }

}  // namespace sluice::postgres
