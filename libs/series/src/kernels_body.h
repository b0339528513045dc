#pragma once

#include "bytes.h"
#include "kernels.h"

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

// The loops of kernels.h as functions that are always inlined, into functions of the plain
// instruction set and into such with AVX2 (kernels.cpp). Written for the compiler's vectoriser: no
// intrinsics.
namespace sluice::series::body {

#define SLUICE_KERNEL [[gnu::always_inline]] inline

/// 1.5 * 2^52: added to a double below 2^51 it leaves the rounded integer in the lowest bits, and
/// there is no conversion between 64-bit integers and doubles in AVX2.
constexpr double kMagic = 6755399441055744.0;
constexpr std::uint64_t kMagicBits = std::bit_cast<std::uint64_t>(kMagic);
constexpr std::uint64_t kMaxDecimal = std::uint64_t{1} << 51;

class Range {
 public:
  SLUICE_KERNEL void see(std::uint64_t value) {
    const auto number = static_cast<std::int64_t>(value);
    min_ = number < min_ ? number : min_;
    max_ = number > max_ ? number : max_;
  }
  SLUICE_KERNEL std::uint64_t width() const {
    return min_ > max_ ? 0 : static_cast<std::uint64_t>(max_) - static_cast<std::uint64_t>(min_);
  }
  SLUICE_KERNEL Extremes extremes() const {
    return {static_cast<std::uint64_t>(min_), static_cast<std::uint64_t>(max_)};
  }

 private:
  std::int64_t min_ = INT64_MAX;
  std::int64_t max_ = INT64_MIN;
};

SLUICE_KERNEL BlockRanges ranges(const std::uint64_t* values, std::size_t begin, std::size_t end,
                                 std::uint64_t slope) {
  Range plain;
  Range delta;
  Range delta2;
  Range linear;
  std::uint64_t unchanged = 0;
  for (std::size_t i = begin; i < end; ++i) plain.see(values[i]);
  for (std::size_t i = begin; i < end; ++i) linear.see(values[i] - slope * i);
  for (std::size_t i = begin > 0 ? begin : 1; i < end; ++i) {
    const std::uint64_t step = values[i] - values[i - 1];
    delta.see(step);
    unchanged += step == 0 ? 1U : 0U;
  }
  for (std::size_t i = begin > 1 ? begin : 2; i < end; ++i) {
    delta2.see(values[i] - 2 * values[i - 1] + values[i - 2]);
  }
  return {plain.width(), delta.width(), delta2.width(), linear.width(),
          static_cast<std::size_t>(unchanged)};
}

SLUICE_KERNEL Extremes extremes(const std::uint64_t* values, std::size_t count) {
  Range range;
  for (std::size_t i = 0; i < count; ++i) range.see(values[i]);
  return range.extremes();
}

template <bool kAsFloat>
SLUICE_KERNEL double scaled_back(double integer, double scale) {
  const double value = integer / scale;
  if constexpr (kAsFloat) return static_cast<double>(static_cast<float>(value));
  return value;
}

template <bool kAsFloat>
SLUICE_KERNEL std::size_t quantise(const double* values, std::size_t count, double scale,
                                   std::uint64_t* out) {
  std::uint64_t wrong = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const double shifted = values[i] * scale + kMagic;
    const std::uint64_t integer = std::bit_cast<std::uint64_t>(shifted) - kMagicBits;
    const double back = scaled_back<kAsFloat>(shifted - kMagic, scale);
    const std::uint64_t differs =
        std::bit_cast<std::uint64_t>(back) ^ std::bit_cast<std::uint64_t>(values[i]);
    const std::uint64_t outside = (integer + kMaxDecimal) & ~(2 * kMaxDecimal - 1);
    wrong += (differs | outside) != 0 ? 1U : 0U;
    out[i] = integer;
  }
  return static_cast<std::size_t>(wrong);
}

template <bool kAsFloat>
SLUICE_KERNEL void dequantise(const std::uint64_t* integers, std::size_t count, double scale,
                              double* out) {
  for (std::size_t i = 0; i < count; ++i) {
    const double integer = std::bit_cast<double>(integers[i] + kMagicBits) - kMagic;
    out[i] = scaled_back<kAsFloat>(integer, scale);
  }
}

/// Eight values are kWidth bytes exactly, so that every offset and shift is known to the compiler.
template <unsigned kWidth>
SLUICE_KERNEL void pack_eight(const std::uint64_t* values, std::uint64_t base, std::byte* out) {
  std::uint64_t words[(kWidth + 7) / 8 + 1] = {};
  constexpr std::uint64_t kMask =
      kWidth == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << kWidth) - 1;
#pragma GCC unroll 8
  for (unsigned i = 0; i < 8; ++i) {
    const std::uint64_t value = (values[i] - base) & kMask;
    const unsigned word = i * kWidth / 64;
    const unsigned bit = i * kWidth % 64;
    words[word] |= value << bit;
    if (bit + kWidth > 64) words[word + 1] |= value >> ((64 - bit) & 63);
  }
  if constexpr (std::endian::native == std::endian::big) {
    for (std::uint64_t& word : words) word = std::byteswap(word);
  }
  std::memcpy(out, words, kWidth);
}

template <unsigned kWidth>
SLUICE_KERNEL void unpack_eight(const std::byte* in, std::uint64_t base, std::uint64_t* out) {
  std::uint64_t words[(kWidth + 7) / 8 + 1] = {};
  constexpr std::uint64_t kMask =
      kWidth == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << kWidth) - 1;
  std::memcpy(words, in, kWidth);
  if constexpr (std::endian::native == std::endian::big) {
    for (std::uint64_t& word : words) word = std::byteswap(word);
  }
#pragma GCC unroll 8
  for (unsigned i = 0; i < 8; ++i) {
    const unsigned word = i * kWidth / 64;
    const unsigned bit = i * kWidth % 64;
    std::uint64_t value = words[word] >> bit;
    if (bit + kWidth > 64) value |= words[word + 1] << ((64 - bit) & 63);
    out[i] = (value & kMask) + base;
  }
}

/// The last seven or fewer, of any width, byte by byte. Not inlined: a second copy of pack_eight()
/// for each width would double the code for values that are few.
class Rest {
 public:
  [[gnu::noinline]] static void pack(const std::uint64_t* values, std::size_t count,
                                     std::uint64_t base, unsigned width, std::byte* out) {
    Rest rest;
    for (std::size_t i = 0; i < count; ++i) {
      const std::uint64_t value = values[i] - base;
      rest.put(value, width < 32 ? width : 32, out);
      if (width > 32) rest.put(value >> 32, width - 32, out);
    }
    if (rest.filled_ > 0) *out = static_cast<std::byte>(rest.pending_);
  }

  [[gnu::noinline]] static void unpack(const std::byte* in, std::size_t count, std::uint64_t base,
                                       unsigned width, std::uint64_t* out) {
    Rest rest;
    for (std::size_t i = 0; i < count; ++i) {
      std::uint64_t value = rest.take(width < 32 ? width : 32, in);
      if (width > 32) value |= rest.take(width - 32, in) << 32;
      out[i] = value + base;
    }
  }

 private:
  void put(std::uint64_t bits, unsigned count, std::byte*& out) {
    pending_ |= (bits & ((std::uint64_t{1} << count) - 1)) << filled_;
    for (filled_ += count; filled_ >= 8; filled_ -= 8) {
      *out++ = static_cast<std::byte>(pending_ & 0xff);
      pending_ >>= 8;
    }
  }
  std::uint64_t take(unsigned count, const std::byte*& in) {
    for (; filled_ < count; filled_ += 8) {
      pending_ |= std::to_integer<std::uint64_t>(*in++) << filled_;
    }
    const std::uint64_t bits = pending_ & ((std::uint64_t{1} << count) - 1);
    pending_ >>= count;
    filled_ -= count;
    return bits;
  }

  std::uint64_t pending_ = 0;
  unsigned filled_ = 0;
};

template <unsigned kWidth>
SLUICE_KERNEL void pack_all(const std::uint64_t* values, std::size_t count, std::uint64_t base,
                            std::byte* out) {
  for (; count >= 8; count -= 8, values += 8, out += kWidth) pack_eight<kWidth>(values, base, out);
  if (count > 0) Rest::pack(values, count, base, kWidth, out);
}

template <unsigned kWidth>
SLUICE_KERNEL void unpack_all(const std::byte* in, std::size_t count, std::uint64_t base,
                              std::uint64_t* out) {
  for (; count >= 8; count -= 8, out += 8, in += kWidth) unpack_eight<kWidth>(in, base, out);
  if (count > 0) Rest::unpack(in, count, base, kWidth, out);
}

/// Width 0 takes no bytes; the others are one loop each, picked by the compiler's switch.
template <std::size_t... kWidths>
SLUICE_KERNEL void pack(const std::uint64_t* values, std::size_t count, std::uint64_t base,
                        unsigned width, std::byte* out, std::index_sequence<kWidths...>) {
  (void)((width == kWidths + 1 ? (pack_all<kWidths + 1>(values, count, base, out), true) : false) ||
         ...);
}

template <std::size_t... kWidths>
SLUICE_KERNEL void unpack(const std::byte* in, std::size_t count, std::uint64_t base,
                          unsigned width, std::uint64_t* out, std::index_sequence<kWidths...>) {
  if (width == 0) {
    for (std::size_t i = 0; i < count; ++i) out[i] = base;
    return;
  }
  (void)((width == kWidths + 1 ? (unpack_all<kWidths + 1>(in, count, base, out), true) : false) ||
         ...);
}

SLUICE_KERNEL void centre(const std::uint64_t* values, std::size_t count, std::uint64_t middle,
                          std::uint64_t* out) {
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint64_t difference = values[i] - middle;
    out[i] = (difference << 1) ^ (0 - (difference >> 63));
  }
}

SLUICE_KERNEL std::size_t count_wider(const std::uint64_t* values, std::size_t count,
                                      unsigned width) {
  std::uint64_t wider = 0;
  for (std::size_t i = 0; i < count; ++i) wider += (values[i] >> width) != 0 ? 1U : 0U;
  return static_cast<std::size_t>(wider);
}

#undef SLUICE_KERNEL

}  // namespace sluice::series::body
