#include "double_column.h"

#include "test_values.h"
#include "xor_stream.h"

#include <gtest/gtest.h>

namespace sluice::series {
namespace {

using testing::Engine;
using Doubles = std::vector<double>;

Bytes encoded(const Doubles& values) {
  Bytes out;
  DoubleScratch scratch;
  encode_doubles(values, out, scratch);
  return out;
}

void expect_round_trip(const Doubles& values) {
  const Bytes bytes = encoded(values);
  Doubles back(values.size());
  std::vector<std::uint64_t> scratch;
  Cursor cursor(bytes);
  decode_doubles(cursor, back, scratch);
  ASSERT_FALSE(cursor.has_failed());
  ASSERT_EQ(cursor.left(), 0U);
  ASSERT_TRUE(testing::same_bits(back, values));
}

std::string_view codec_of(const Doubles& values) {
  return double_codec_name(std::to_integer<unsigned>(encoded(values)[0]));
}

TEST(DoubleColumn, GivesBackEveryBitOfWhatWentIn) {
  Engine engine(6);
  for (int round = 0; round < 600; ++round) {
    expect_round_trip(testing::any_doubles(engine, 1 + testing::below(engine, 400)));
  }
}

TEST(DoubleColumn, GivesBackSpecialValuesAmongDecimals) {
  for (const double special : testing::special_doubles()) {
    expect_round_trip({special});
    expect_round_trip(Doubles(300, special));
    Doubles values;
    for (int i = 0; i < 300; ++i) values.push_back((200 + i % 7) / 10.0);
    values.front() = values[128] = values.back() = special;
    expect_round_trip(values);
  }
  expect_round_trip(testing::special_doubles());
}

TEST(DoubleColumn, NeverTakesANegativeZeroForZero) {
  const Doubles values = {1.5, -0.0, 0.0, -0.0, 2.5, 1, 2, 3};
  expect_round_trip(values);
}

TEST(DoubleColumn, PicksTheCodecByWhatTheValuesAre) {
  Engine engine(7);
  std::normal_distribution<double> normal(0, 1);
  Doubles decimals;
  Doubles floats;
  Doubles noise;
  Doubles chaos;
  for (int i = 0; i < 300; ++i) {
    decimals.push_back(static_cast<double>(200 + testing::below(engine, 50)) / 10);
    floats.push_back(static_cast<double>(static_cast<float>(decimals.back())));
    noise.push_back(20 + normal(engine));
    chaos.push_back(std::bit_cast<double>(engine()));
  }
  EXPECT_EQ(codec_of(decimals), "decimal");
  EXPECT_EQ(codec_of(floats), "float_decimal");
  EXPECT_EQ(codec_of(noise), "ordered");
  EXPECT_EQ(codec_of(chaos), "raw");
  EXPECT_EQ(codec_of(Doubles(300, 0.1 + 0.2)), "constant");
  EXPECT_LE(encoded(chaos).size(), 1 + 8 * chaos.size());
}

TEST(DoubleColumn, FindsMoreDigitsThanTheValuesLookedAtHave) {
  Doubles values(300, 21);
  values[3] = 21.5;
  values[7] = 21.25;
  EXPECT_EQ(codec_of(values), "decimal");
  EXPECT_LE(encoded(values).size(), 40U);
  expect_round_trip(values);
}

TEST(DoubleColumn, IsRefusedAtEveryBeginningOfIt) {
  Engine engine(8);
  for (int round = 0; round < 60; ++round) {
    const auto values = testing::any_doubles(engine, 1 + testing::below(engine, 150));
    const Bytes bytes = encoded(values);
    Doubles back(values.size());
    std::vector<std::uint64_t> scratch;
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      Cursor cursor(std::span<const std::byte>(bytes).first(size));
      decode_doubles(cursor, back, scratch);
      ASSERT_TRUE(cursor.has_failed()) << size << " of " << bytes.size();
    }
  }
}

TEST(XorStream, GivesBackWhatWentInInTheSizeItSaid) {
  Engine engine(9);
  for (int round = 0; round < 300; ++round) {
    const auto doubles = testing::any_doubles(engine, 1 + testing::below(engine, 200));
    std::vector<std::uint64_t> values;
    for (const double value : doubles) values.push_back(std::bit_cast<std::uint64_t>(value));
    Bytes bytes;
    encode_xor(values, bytes);
    ASSERT_EQ(bytes.size(), xor_size(values));
    std::vector<std::uint64_t> back(values.size());
    Cursor cursor(bytes);
    decode_xor(cursor, back);
    ASSERT_FALSE(cursor.has_failed());
    ASSERT_EQ(back, values);
  }
}

TEST(XorStream, RefusesAWindowBeforeThereIsOne) {
  Bytes bytes;
  put_fixed64(bytes, 0);
  put_byte(bytes, 0b1000'0000);  // "as the last window": there was none
  put_fixed64(bytes, 0);
  std::vector<std::uint64_t> back(2);
  Cursor cursor(bytes);
  decode_xor(cursor, back);
  EXPECT_TRUE(cursor.has_failed());
}

TEST(SingleDouble, TakesFewBytesForADecimalAndKeepsEveryOther) {
  Bytes bytes;
  put_double(bytes, 21.7);
  EXPECT_EQ(bytes.size(), 3U);
  for (const double value : testing::special_doubles()) {
    bytes.clear();
    put_double(bytes, value);
    Cursor cursor(bytes);
    EXPECT_TRUE(testing::same_bits({get_double(cursor)}, {value}));
    EXPECT_FALSE(cursor.has_failed());
  }
}

}  // namespace
}  // namespace sluice::series
