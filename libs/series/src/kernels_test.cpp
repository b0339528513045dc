#include "kernels.h"

#include "bytes.h"
#include "test_values.h"

#include <array>
#include <cmath>

#include <gtest/gtest.h>

namespace sluice::series {
namespace {

using testing::Engine;

constexpr std::size_t kMostValues = 140;

class Kernel : public ::testing::TestWithParam<const Kernels*> {};

TEST_P(Kernel, PacksEveryWidthAndCountWithoutLoss) {
  Engine engine(1);
  for (unsigned width = 0; width <= 64; ++width) {
    for (std::size_t count = 0; count <= kMostValues; count += count < 20 ? 1 : 13) {
      const std::uint64_t base = engine();
      std::vector<std::uint64_t> values;
      for (std::size_t i = 0; i < count; ++i) {
        values.push_back(base + (width == 0 ? 0 : engine() >> (64 - width)));
      }
      // Exactly as long as it must be: a sanitizer sees a byte more.
      std::vector<std::byte> packed(packed_size(count, width));
      std::vector<std::uint64_t> back(count);
      GetParam()->pack(values.data(), count, base, width, packed.data());
      GetParam()->unpack(packed.data(), count, base, width, back.data());
      ASSERT_EQ(back, values) << width << " bits, " << count << " values";
    }
  }
}

TEST_P(Kernel, PacksTheLowestBitFirst) {
  const std::array<std::uint64_t, 3> values = {1, 2, 7};
  std::array<std::byte, 2> packed{};
  GetParam()->pack(values.data(), values.size(), 0, 3, packed.data());
  EXPECT_EQ(packed, (std::array{std::byte{0b11'010'001}, std::byte{0b1}}));
}

TEST_P(Kernel, CountsOnlyDecimalsThatComeBack) {
  const std::array values = {21.7, -0.3, 0.0, -0.0, 0.12, 1e300, std::nan("")};
  std::array<std::uint64_t, values.size()> integers{};
  EXPECT_EQ(GetParam()->quantise(values.data(), values.size(), 10, integers.data()), 4U);
  EXPECT_EQ(integers[0], 217U);
  EXPECT_EQ(static_cast<std::int64_t>(integers[1]), -3);
}

TEST_P(Kernel, CountsWhatIsTooLargeForADecimalAsWrong) {
  const double most = std::ldexp(1, 51);
  const std::array values = {most - 1, most + 1, -most, -most - 1};
  std::array<std::uint64_t, values.size()> integers{};
  EXPECT_EQ(GetParam()->quantise(values.data(), values.size(), 1, integers.data()), 2U);
}

INSTANTIATE_TEST_SUITE_P(Portable, Kernel, ::testing::Values(&portable_kernels()));
INSTANTIATE_TEST_SUITE_P(Best, Kernel, ::testing::Values(&kernels()));

/// Every loop of both sets over the same random values.
TEST(Kernels, AreTheSameToTheBitWithAvx2) {
  const Kernels* const avx2 = avx2_kernels();
  if (avx2 == nullptr) GTEST_SKIP() << "this processor has no AVX2";
  const Kernels& plain = portable_kernels();
  Engine engine(2);
  for (int round = 0; round < 300; ++round) {
    const std::size_t count = 1 + testing::below(engine, kMostValues);
    const auto integers = testing::any_integers(engine, count);
    const std::size_t begin = testing::below(engine, count);
    const std::uint64_t slope = engine() >> 40;
    const BlockRanges a = plain.ranges(integers.data(), begin, count, slope);
    const BlockRanges b = avx2->ranges(integers.data(), begin, count, slope);
    ASSERT_EQ(std::tie(a.plain, a.delta, a.delta2, a.linear, a.unchanged),
              std::tie(b.plain, b.delta, b.delta2, b.linear, b.unchanged));
    const Extremes c = plain.extremes(integers.data(), count);
    const Extremes d = avx2->extremes(integers.data(), count);
    ASSERT_EQ(std::tie(c.min, c.max), std::tie(d.min, d.max));
    const auto width = static_cast<unsigned>(testing::below(engine, 64));
    ASSERT_EQ(plain.count_wider(integers.data(), count, width),
              avx2->count_wider(integers.data(), count, width));

    std::vector<std::uint64_t> out_a(count);
    std::vector<std::uint64_t> out_b(count);
    plain.centre(integers.data(), count, integers[0], out_a.data());
    avx2->centre(integers.data(), count, integers[0], out_b.data());
    ASSERT_EQ(out_a, out_b);

    Bytes packed_a(packed_size(count, width));
    Bytes packed_b(packed_size(count, width));
    plain.pack(integers.data(), count, integers[0], width, packed_a.data());
    avx2->pack(integers.data(), count, integers[0], width, packed_b.data());
    ASSERT_EQ(packed_a, packed_b);
    plain.unpack(packed_a.data(), count, slope, width, out_a.data());
    avx2->unpack(packed_a.data(), count, slope, width, out_b.data());
    ASSERT_EQ(out_a, out_b);

    const auto doubles = testing::any_doubles(engine, count);
    const double scale = std::pow(10, static_cast<double>(testing::below(engine, 10)));
    for (const auto function : {&Kernels::quantise, &Kernels::quantise32}) {
      const std::size_t wrong = (plain.*function)(doubles.data(), count, scale, out_a.data());
      ASSERT_EQ(wrong, (avx2->*function)(doubles.data(), count, scale, out_b.data()));
      if (wrong == 0) {
        ASSERT_EQ(out_a, out_b);
      }
    }
    std::vector<double> back_a(count);
    std::vector<double> back_b(count);
    for (std::uint64_t& value : out_a) value = (value >> 13) - (1ULL << 50);
    for (const auto function : {&Kernels::dequantise, &Kernels::dequantise32}) {
      (plain.*function)(out_a.data(), count, scale, back_a.data());
      (avx2->*function)(out_a.data(), count, scale, back_b.data());
      ASSERT_TRUE(testing::same_bits(back_a, back_b));
    }
  }
}

}  // namespace
}  // namespace sluice::series
