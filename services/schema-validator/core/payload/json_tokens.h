#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace sluice::validator {

// Tokens of JSON straight from its bytes. Each function reads past the end of a text by less than
// kPayloadPadding, whatever lies there, and leaves it to its caller to see that it went too far.

/// Steps over blanks, never past `end`.
inline const char* skip_blanks(const char* at, const char* end) {
  while (at < end && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t')) ++at;
  return at;
}

struct JsonText {
  const char* end = nullptr;  // its closing quote; null where it has an escape, or no end
  bool is_ascii = true;       // else it is yet to be seen whether it is UTF-8
};

/// What stands between quotes, from behind the first one.
inline JsonText read_text(const char* at, const char* end) {
  JsonText text;
#if defined(__SSE2__)
  const __m128i quote = _mm_set1_epi8('"');
  const __m128i escape = _mm_set1_epi8('\\');
  const __m128i control = _mm_set1_epi8(0x1F);
  for (; at < end; at += 16) {
    const __m128i block = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
    const __m128i is_quote = _mm_cmpeq_epi8(block, quote);
    const __m128i is_bad = _mm_or_si128(_mm_cmpeq_epi8(block, escape),
                                        _mm_cmpeq_epi8(_mm_min_epu8(block, control), block));
    const auto stops = static_cast<unsigned>(_mm_movemask_epi8(_mm_or_si128(is_quote, is_bad)));
    const auto high = static_cast<unsigned>(_mm_movemask_epi8(block));
    if (stops == 0) {
      text.is_ascii = text.is_ascii && high == 0;
      continue;
    }
    const int place = std::countr_zero(stops);
    text.is_ascii = text.is_ascii && (high & ((1U << place) - 1)) == 0;
    if (at[place] == '"' && at + place < end) text.end = at + place;
    return text;
  }
#else
  for (; at < end; ++at) {
    const auto byte = static_cast<unsigned char>(*at);
    if (byte == '"') {
      text.end = at;
      return text;
    }
    if (byte == '\\' || byte < 0x20) return text;
    text.is_ascii = text.is_ascii && byte < 0x80;
  }
#endif
  return text;
}

inline bool is_null_at(const char* at) { return std::memcmp(at, "null", 4) == 0; }

/// `true` or `false`, and where it ends; null for anything else.
inline const char* read_truth(const char* at, bool& value) {
  value = *at == 't';
  if (value) return std::memcmp(at, "true", 4) == 0 ? at + 4 : nullptr;
  return std::memcmp(at, "false", 5) == 0 ? at + 5 : nullptr;
}

struct JsonNumber {
  bool is_integer = true;
  std::int64_t integer = 0;
  double real = 0;
};

namespace detail {

inline bool is_digit(char c) { return static_cast<unsigned char>(c - '0') < 10; }

inline std::uint64_t word_at(const char* at) {
  std::uint64_t word = 0;
  std::memcpy(&word, at, sizeof word);
  if constexpr (std::endian::native == std::endian::big) word = std::byteswap(word);
  return word;
}

/// The value of eight digits, 0 to 9, the first in the lowest byte: pairs, then pairs of those,
/// then both halves, each step all at once.
inline std::uint64_t value_of_eight(std::uint64_t digits) {
  digits = digits * 10 + (digits >> 8U);
  return (((digits & 0x0000'00FF'0000'00FFU) * 0x000F'4240'0000'0064U) +
          (((digits >> 16U) & 0x0000'00FF'0000'00FFU) * 0x0000'2710'0000'0001U)) >>
         32U;
}

/// Takes digits, up to a few more than a mantissa may have: eight at once, without a branch for
/// each.
inline const char* take_digits(const char* at, std::uint64_t& mantissa) {
  constexpr std::uint64_t kScales[] = {1,       10,        100,        1'000,      10'000,
                                       100'000, 1'000'000, 10'000'000, 100'000'000};
  for (int blocks = 0; blocks < 3; ++blocks) {
    const std::uint64_t digits = word_at(at) ^ 0x3030'3030'3030'3030U;
    // The lowest of the bits that are set marks the first byte that is none; those above it may
    // have been reached by a carry.
    const std::uint64_t others =
        ((digits + 0x7676'7676'7676'7676U) | digits) & 0x8080'8080'8080'8080U;
    const auto count = static_cast<unsigned>(std::countr_zero(others)) / 8;
    if (count == 0) break;
    mantissa = mantissa * kScales[count] + value_of_eight(digits << (64 - 8 * count));
    at += count;
    if (count < 8) break;
  }
  return at;
}

inline constexpr std::array<double, 20> kPowersOfTen = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,
                                                        1e7,  1e8,  1e9,  1e10, 1e11, 1e12, 1e13,
                                                        1e14, 1e15, 1e16, 1e17, 1e18, 1e19};

/// The rest of a number that has an exponent, or more digits than a double. `at` stands behind its
/// fraction.
const char* read_real_slowly(const char* begin, const char* at, double& real);

}  // namespace detail

/// A number of up to 18 digits, or 19 where it has a fraction; null for what is none, is longer, or
/// is a zero with a sign and without a fraction: somebody else has to look at that. Doubles are the
/// nearest to what is written.
[[gnu::always_inline]] inline const char* read_number(const char* at, JsonNumber& number) {
  constexpr std::ptrdiff_t kMostDigits = 18;  // no integer of them overflows 63 bits
  constexpr std::uint64_t kExact = std::uint64_t{1} << 53U;
  const char* const begin = at;
  const bool is_negative = *at == '-';
  at += is_negative ? 1 : 0;
  const char* const whole = at;
  std::uint64_t mantissa = 0;
  at = detail::take_digits(at, mantissa);
  std::ptrdiff_t digits = at - whole;
  if (digits == 0 || digits > kMostDigits || (*whole == '0' && digits > 1)) return nullptr;
  if (*at != '.' && (*at | 0x20) != 'e') {
    if (is_negative && mantissa == 0) return nullptr;
    number.is_integer = true;
    number.integer = static_cast<std::int64_t>(mantissa);
    if (is_negative) number.integer = -number.integer;
    return at;
  }
  std::ptrdiff_t places = 0;
  if (*at == '.') {
    const char* const fraction = ++at;
    at = detail::take_digits(at, mantissa);
    places = at - fraction;
    digits += places - (*whole == '0' ? 1 : 0);
    if (places == 0 || digits > kMostDigits + 1) return nullptr;  // nor of these 64
  }
  number.is_integer = false;
  if ((*at | 0x20) == 'e' || mantissa > kExact) [[unlikely]] {
    return detail::read_real_slowly(begin, at, number.real);
  }
  // Both are exact doubles, so one division rounds once, as it should.
  const double real =
      static_cast<double>(mantissa) / detail::kPowersOfTen[static_cast<std::size_t>(places)];
  number.real = is_negative ? -real : real;
  return at;
}

}  // namespace sluice::validator
