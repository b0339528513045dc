#pragma once

#include <cstddef>
#include <cstdint>

namespace sluice::series {

/// How far apart the residuals of a block of values lie under each transform: max - min as signed
/// numbers. All arithmetic wraps, so that every 64-bit value is allowed.
struct BlockRanges {
  std::uint64_t plain = 0;
  std::uint64_t delta = 0;
  std::uint64_t delta2 = 0;
  std::uint64_t linear = 0;
  /// How many values are as the one before.
  std::size_t unchanged = 0;
};

/// Of signed numbers.
struct Extremes {
  std::uint64_t min = 0;
  std::uint64_t max = 0;
};

/// The inner loops, which exist twice: for any machine, and for those with AVX2. Both give the same
/// bytes, which the tests compare.
struct Kernels {
  /// Of values[begin, end), which look back to values[begin - 2] where there is one. `linear` is
  /// value - slope * index.
  BlockRanges (*ranges)(const std::uint64_t* values, std::size_t begin, std::size_t end,
                        std::uint64_t slope);
  /// Of one value at least.
  Extremes (*extremes)(const std::uint64_t* values, std::size_t count);
  /// out = round(value * scale); returns how many of them do not give their value back bit for bit.
  std::size_t (*quantise)(const double* values, std::size_t count, double scale,
                          std::uint64_t* out);
  std::size_t (*quantise32)(const double* values, std::size_t count, double scale,
                            std::uint64_t* out);
  /// The inverse: out = integer / scale, for integers up to 2^51 in magnitude; of others, anything.
  void (*dequantise)(const std::uint64_t* integers, std::size_t count, double scale, double* out);
  /// The same, rounded to a float.
  void (*dequantise32)(const std::uint64_t* integers, std::size_t count, double scale, double* out);
  /// (value - base) in `width` bits each, lowest bit first, without gaps: packed_size() bytes.
  void (*pack)(const std::uint64_t* values, std::size_t count, std::uint64_t base, unsigned width,
               std::byte* out);
  void (*unpack)(const std::byte* in, std::size_t count, std::uint64_t base, unsigned width,
                 std::uint64_t* out);
  /// out = zigzag(value - centre).
  void (*centre)(const std::uint64_t* values, std::size_t count, std::uint64_t centre,
                 std::uint64_t* out);
  /// How many need more than `width` bits; width is below 64.
  std::size_t (*count_wider)(const std::uint64_t* values, std::size_t count, unsigned width);
};

inline std::size_t packed_size(std::size_t count, unsigned width) {
  return (count * width + 7) / 8;
}

const Kernels& portable_kernels();
/// Null where the processor or the compiler has none.
const Kernels* avx2_kernels();
/// The fastest that this machine runs.
const Kernels& kernels();

}  // namespace sluice::series
