#include "decimal.h"

#include "kernels.h"
#include "kernels_body.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>

namespace sluice::series {
namespace {

constexpr std::array<double, kMaxDecimalDigits + 1> kPowers = {
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};

/// A float has no more than 9 digits that mean anything.
constexpr unsigned kMaxFloatDigits = 9;

/// Values looked at before all are tried.
constexpr std::size_t kSampled = 16;

/// Of so many values one may be an exception, which takes about ten bytes.
constexpr std::size_t kValuesPerException = 16;

constexpr unsigned kRawDouble = 0xff;

std::size_t quantise(std::span<const double> values, unsigned digits, bool as_float,
                     std::uint64_t* out) {
  const auto function = as_float ? kernels().quantise32 : kernels().quantise;
  return function(values.data(), values.size(), power_of_ten(digits), out);
}

bool is_float(double value) {
  // A cast of what no float can hold is undefined; such a value is no float anyway.
  return std::fabs(value) <= static_cast<double>(std::numeric_limits<float>::max()) &&
         static_cast<double>(static_cast<float>(value)) == value;
}

bool is_decimal(double value, unsigned digits, bool as_float) {
  std::uint64_t integer = 0;
  const double scale = power_of_ten(digits);
  return (as_float ? body::quantise<true>(&value, 1, scale, &integer)
                   : body::quantise<false>(&value, 1, scale, &integer)) == 0;
}

/// The digits that a few values spread over all of them need, or nothing where they are no
/// decimals.
std::optional<unsigned> sample_digits(std::span<const double> values, bool as_float) {
  const std::size_t count = std::min(kSampled, values.size());
  unsigned most = 0;
  std::size_t misses = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const auto digits = decimal_digits(values[i * values.size() / count], most, as_float);
    if (digits) {
      most = *digits;
    } else if (++misses > count / 4) {
      return std::nullopt;
    }
  }
  return most;
}

/// Remembers the values that are no decimals and puts the integer before in their place, which
/// costs least whatever the transform.
void set_exceptions_aside(std::span<const double> values, Decimals& out) {
  std::uint64_t last = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (is_decimal(values[i], out.digits, out.as_float)) {
      // Values at the front have none before them.
      if (out.exceptions.size() == i) std::fill_n(out.integers.begin(), i, out.integers[i]);
      last = out.integers[i];
      continue;
    }
    out.exceptions.push_back({i, std::bit_cast<std::uint64_t>(values[i])});
    out.integers[i] = last;
  }
}

/// The fewest digits above `digits` that a value which failed at those needs, if it is a decimal at
/// all.
std::optional<unsigned> more_digits(std::span<const double> values, const Decimals& tried) {
  for (const double value : values) {
    if (is_decimal(value, tried.digits, tried.as_float)) continue;
    const auto digits = decimal_digits(value, tried.digits + 1, tried.as_float);
    if (digits) return digits;
  }
  return std::nullopt;
}

}  // namespace

double power_of_ten(unsigned digits) { return kPowers[digits]; }

std::optional<unsigned> decimal_digits(double value, unsigned least, bool as_float) {
  if (!std::isfinite(value) || (as_float && !is_float(value))) return std::nullopt;
  const unsigned most = as_float ? kMaxFloatDigits : kMaxDecimalDigits;
  for (unsigned digits = least; digits <= most; ++digits) {
    if (is_decimal(value, digits, as_float)) return digits;
    if (std::fabs(value) * power_of_ten(digits) > static_cast<double>(body::kMaxDecimal)) break;
  }
  return std::nullopt;
}

bool find_decimals(std::span<const double> values, Decimals& out) {
  out.exceptions.clear();
  auto digits = sample_digits(values, false);
  out.as_float = !digits;
  if (!digits) digits = sample_digits(values, true);
  if (!digits) return false;
  out.digits = *digits;
  out.integers.resize(values.size());
  std::size_t wrong = quantise(values, out.digits, out.as_float, out.integers.data());
  // The values looked at may have had fewer digits than others have.
  while (wrong > 0) {
    const auto more = more_digits(values, out);
    const bool pays =
        more && (*more <= out.digits + 2 || wrong > values.size() / kValuesPerException);
    if (!pays) break;
    const unsigned before = out.digits;
    out.digits = *more;
    const std::size_t still = quantise(values, out.digits, out.as_float, out.integers.data());
    if (still >= wrong) {
      out.digits = before;
      quantise(values, out.digits, out.as_float, out.integers.data());
      break;
    }
    wrong = still;
  }
  if (wrong > values.size() / 4) return false;
  if (wrong > 0) set_exceptions_aside(values, out);
  return true;
}

void from_decimals(std::span<const std::uint64_t> integers, unsigned digits, bool as_float,
                   std::span<double> out) {
  const auto function = as_float ? kernels().dequantise32 : kernels().dequantise;
  function(integers.data(), integers.size(), power_of_ten(digits), out.data());
}

void put_double(Bytes& out, double value) {
  if (const auto digits = decimal_digits(value, 0, false)) {
    std::uint64_t integer = 0;
    quantise({&value, 1}, *digits, false, &integer);
    if (varint_size(zigzag(integer)) < 8) {
      put_byte(out, *digits);
      put_zigzag(out, integer);
      return;
    }
  }
  put_byte(out, kRawDouble);
  put_fixed64(out, std::bit_cast<std::uint64_t>(value));
}

double get_double(Cursor& cursor) {
  const unsigned digits = cursor.byte();
  if (digits == kRawDouble) return std::bit_cast<double>(cursor.fixed64());
  const std::uint64_t integer = cursor.zigzag();
  if (digits > kMaxDecimalDigits) cursor.fail();
  if (cursor.has_failed()) return 0;
  double value = 0;
  from_decimals({&integer, 1}, digits, false, {&value, 1});
  return value;
}

}  // namespace sluice::series
