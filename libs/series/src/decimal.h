#pragma once

#include "bytes.h"

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace sluice::series {

/// 10^15 is the largest power that leaves a digit within the 2^51 that decimals may have.
constexpr unsigned kMaxDecimalDigits = 15;

double power_of_ten(unsigned digits);

/// A value that is not the decimal the others are.
struct DecimalException {
  std::size_t at = 0;
  std::uint64_t bits = 0;
};

/// Doubles as integers: value = integer / 10^digits, bit for bit, but for the exceptions.
struct Decimals {
  unsigned digits = 0;
  /// The values are floats: the quotient is rounded to one.
  bool as_float = false;
  std::vector<std::uint64_t> integers;
  std::vector<DecimalException> exceptions;
};

/// The fewest digits at which the value is a decimal, bit for bit; `least` at least.
std::optional<unsigned> decimal_digits(double value, unsigned least, bool as_float);

/// Fills `out` where most values are decimals of few digits; false where they are not.
bool find_decimals(std::span<const double> values, Decimals& out);

/// The inverse, without the exceptions.
void from_decimals(std::span<const std::uint64_t> integers, unsigned digits, bool as_float,
                   std::span<double> out);

/// One double alone, in as few bytes as it allows: for statistics and roll-ups. A byte says the
/// digits, then comes the integer as a zig-zag varint; or 0xff and eight bytes.
void put_double(Bytes& out, double value);
double get_double(Cursor& cursor);

}  // namespace sluice::series
