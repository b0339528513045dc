#include "int_stream.h"

#include "test_values.h"

#include <numeric>

#include <gtest/gtest.h>

namespace sluice::series {
namespace {

using testing::Engine;
using Integers = std::vector<std::uint64_t>;

Bytes encoded(const Integers& values) {
  Bytes out;
  IntScratch scratch;
  encode_integers(values, out, scratch);
  return out;
}

void expect_round_trip(const Integers& values) {
  const Bytes bytes = encoded(values);
  Integers back(values.size());
  Cursor cursor(bytes);
  decode_integers(cursor, back);
  ASSERT_FALSE(cursor.has_failed());
  ASSERT_EQ(cursor.left(), 0U);
  ASSERT_EQ(back, values);
}

std::string_view codec_of(const Integers& values) {
  return integer_codec_name(std::to_integer<unsigned>(encoded(values)[0]));
}

TEST(IntStream, GivesBackWhatWentIn) {
  Engine engine(3);
  for (int round = 0; round < 600; ++round) {
    expect_round_trip(testing::any_integers(engine, 1 + testing::below(engine, 400)));
  }
}

TEST(IntStream, GivesBackTheEndsOfTheRange) {
  const std::uint64_t lowest = 1ULL << 63;
  expect_round_trip({lowest});
  expect_round_trip({lowest, lowest - 1});
  expect_round_trip({lowest - 1, lowest, 0, ~0ULL, lowest, lowest - 1});
}

TEST(IntStream, TakesAFewBytesForAConstantPeriod) {
  Integers values(360);
  std::iota(values.begin(), values.end(), 0);
  for (std::uint64_t& value : values) value = 1'767'225'600'000 + value * 10'000;
  EXPECT_LE(encoded(values).size(), 12U);
}

TEST(IntStream, WritesOutliersApart) {
  Integers values(360, 5);
  for (std::size_t i = 0; i < values.size(); i += 2) values[i] = 6;
  const std::size_t without = encoded(values).size();
  values[40] = 1'000'000'000'000;
  values[41] = 0 - std::uint64_t{1'000'000'000'000};
  expect_round_trip(values);
  EXPECT_LE(encoded(values).size(), without + 130);
}

TEST(IntStream, WritesOnlyWhatChanges) {
  Engine engine(4);
  Integers values;
  for (std::size_t i = 0; i < 360; ++i) {
    const bool stays = i > 0 && testing::below(engine, 5) != 0;
    values.push_back(stays ? values.back() : testing::below(engine, 1 << 20));
  }
  EXPECT_EQ(codec_of(values), "sparse");
  EXPECT_LE(encoded(values).size(), 45 + 90 * 21 / 8 + 20U);
}

TEST(IntStream, IsRefusedAtEveryBeginningOfIt) {
  Engine engine(5);
  for (int round = 0; round < 60; ++round) {
    const auto values = testing::any_integers(engine, 1 + testing::below(engine, 200));
    const Bytes bytes = encoded(values);
    Integers back(values.size());
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      Cursor cursor(std::span<const std::byte>(bytes).first(size));
      decode_integers(cursor, back);
      ASSERT_TRUE(cursor.has_failed()) << size << " of " << bytes.size();
    }
  }
}

TEST(IntStream, RefusesBitsAfterTheLastOfABitmap) {
  // Delta, sparse, three values: a head, a bitmap of two and a block for two.
  Bytes bytes = {std::byte{0x09}, std::byte{0}, std::byte{0x03}, std::byte{0}, std::byte{2}};
  Integers back(3);
  Cursor good(bytes);
  decode_integers(good, back);
  EXPECT_FALSE(good.has_failed());
  bytes[2] = std::byte{0x83};
  Cursor bad(bytes);
  decode_integers(bad, back);
  EXPECT_TRUE(bad.has_failed());
}

TEST(IntStream, RefusesAnExceptionOutsideOfItsBlock) {
  // Plain, packed, width 0 around 0 with one exception.
  Bytes bytes = {std::byte{0x04}, std::byte{0x80}, std::byte{0},
                 std::byte{1},    std::byte{2},    std::byte{6}};
  Integers back(3);
  Cursor good(bytes);
  decode_integers(good, back);
  EXPECT_FALSE(good.has_failed());
  EXPECT_EQ(back, (Integers{0, 0, 3}));
  bytes[4] = std::byte{3};
  Cursor bad(bytes);
  decode_integers(bad, back);
  EXPECT_TRUE(bad.has_failed());
}

}  // namespace
}  // namespace sluice::series
