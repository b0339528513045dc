#include <sluice/series/chunk.h>

#include "test_content.h"

#include <algorithm>
#include <string>

#include <sluice/base/encoding.h>
#include <sluice/series/chunk_reader.h>

#include <gtest/gtest.h>

namespace sluice::series {
namespace {

using testing::any_content;
using testing::Content;
using testing::Engine;

void expect_same(const ColumnValues& a, const ColumnValues& b) {
  EXPECT_EQ(a.type, b.type);
  EXPECT_TRUE(testing::same_bits(a.doubles, b.doubles));
  EXPECT_EQ(a.integers, b.integers);
  EXPECT_EQ(a.booleans, b.booleans);
  EXPECT_EQ(a.texts, b.texts);
}

TEST(Chunk, GivesBackEveryColumnOfEveryType) {
  Engine engine(10);
  ChunkEncoder encoder({}, {.with_statistics = true});
  ColumnValues values;
  std::vector<std::uint8_t> present;
  std::vector<std::int64_t> timestamps;
  for (int round = 0; round < 150; ++round) {
    const Content content = any_content(engine);
    std::vector<std::byte> bytes;
    ASSERT_TRUE(encoder.encode(content.timestamps, content.columns(), bytes));
    const auto reader = ChunkReader::open(bytes);
    ASSERT_TRUE(reader) << reader.error().message();
    ASSERT_TRUE(reader->timestamps(timestamps));
    EXPECT_EQ(timestamps, content.timestamps);
    ASSERT_EQ(reader->column_count(), content.values.size());
    for (std::size_t i = 0; i < content.values.size(); ++i) {
      EXPECT_EQ(reader->find(content.keys[i]), i);
      ASSERT_TRUE(reader->values(i, values));
      expect_same(values, content.values[i]);
      ASSERT_TRUE(reader->presence(i, present));
      const std::vector<std::uint8_t> dense(content.timestamps.size(), 1);
      EXPECT_EQ(present, content.present[i].empty() ? dense : content.present[i]);
    }
  }
}

TEST(Chunk, HoldsTwoTypesOfOneKey) {
  const std::vector<std::int64_t> timestamps = {1, 2};
  const std::vector<std::uint8_t> first = {1, 0};
  const std::vector<std::uint8_t> second = {0, 1};
  const std::vector<double> number = {1.5};
  const std::vector<std::string_view> text = {"off"};
  const std::vector<Column> columns = {Column::of("m", number, first),
                                       Column::of_texts("m", ColumnType::kString, text, second)};
  const auto bytes = encode_chunk(timestamps, columns);
  const auto reader = ChunkReader::open(*bytes);
  EXPECT_EQ(reader->find("m", ColumnType::kString), 1U);
  EXPECT_EQ(reader->find("m", ColumnType::kBool), std::nullopt);
}

TEST(Chunk, TellsStatisticsOfFiniteValues) {
  const std::vector<std::int64_t> timestamps = {1, 2, 3};
  const std::vector<double> values = {2.5, -1, std::numeric_limits<double>::infinity()};
  const std::vector<Column> columns = {Column::of("m", values)};
  const auto bytes = encode_chunk(timestamps, columns, {}, {.with_statistics = true});
  const auto reader = ChunkReader::open(*bytes);
  EXPECT_EQ(reader->column(0).statistics,
            (ColumnStatistics{.min = -1, .max = 2.5, .sum = 1.5, .count = 2}));
}

struct Refused {
  std::string name;
  std::vector<std::int64_t> timestamps;
  std::vector<Column> columns;
  ErrorCode code;
  std::string says;
};

TEST(Chunk, RefusesWhatItCannotHoldAndLeavesTheOutputAlone) {
  const std::vector<double> one = {1};
  const std::vector<double> two = {1, 2};
  const std::vector<std::uint8_t> none = {0, 0};
  const std::string long_key(256, 'k');
  const std::string long_text(65, 't');
  const std::vector<std::string_view> texts = {long_text, ""};
  const ChunkLimits limits{.rows = 3, .columns = 2, .text_bytes = 64, .chunk_bytes = 60};
  const std::vector<std::int64_t> chaos = {INT64_MIN, 0x1234567890abcdef, INT64_MAX};
  const std::vector<std::int64_t> integers = {0x7edcba9876543210, -5, 0x1122334455667788};
  const std::vector<Refused> all = {
      {"no rows", {}, {}, ErrorCode::kInvalidArgument, "one row"},
      {"rows", {1, 2, 3, 4}, {}, ErrorCode::kOutOfRange, "4 rows"},
      {"order", {1, 1}, {}, ErrorCode::kInvalidArgument, "row 1"},
      {"count", {1, 2}, {Column::of("m", one)}, ErrorCode::kInvalidArgument, "'m'"},
      {"no value",
       {1, 2},
       {Column::of("m", std::span<const double>(), none)},
       ErrorCode::kInvalidArgument,
       "'m'"},
      {"presence", {1}, {Column::of("m", one, none)}, ErrorCode::kInvalidArgument, "presence"},
      {"key", {1}, {Column::of(long_key, one)}, ErrorCode::kOutOfRange, "256"},
      {"twice",
       {1},
       {Column::of("m", one), Column::of("m", one)},
       ErrorCode::kInvalidArgument,
       "twice"},
      {"columns",
       {1},
       {Column::of("a", one), Column::of("b", one), Column::of("c", one)},
       ErrorCode::kOutOfRange,
       "3 columns"},
      {"text",
       {1, 2},
       {Column::of_texts("m", ColumnType::kBytes, texts)},
       ErrorCode::kOutOfRange,
       "65"},
      {"chunk",
       chaos,
       {Column::of("a", integers), Column::of("b", integers)},
       ErrorCode::kOutOfRange,
       "over 60"},
  };
  ChunkEncoder encoder(limits);
  for (const Refused& refused : all) {
    std::vector<std::byte> out(3, std::byte{7});
    const auto result = encoder.encode(refused.timestamps, refused.columns, out);
    ASSERT_FALSE(result) << refused.name;
    EXPECT_EQ(result.error().code(), refused.code) << refused.name;
    EXPECT_NE(result.error().message().find(refused.says), std::string::npos)
        << result.error().message();
    EXPECT_EQ(out, std::vector<std::byte>(3, std::byte{7})) << refused.name;
  }
}

/// Written once and kept: what is in databases must stay readable. A change here is a new version
/// of the format, never an edit of this text.
TEST(Chunk, KeepsItsFormat) {
  const std::vector<std::int64_t> timestamps = {1767225600000, 1767225610000, 1767225620000,
                                                1767225630007};
  const std::vector<double> decimals = {21.5, 21.7, 21.7, -0.0};
  const std::vector<double> noise = {0.1 + 0.2, 1 / 3.0, 0.35355339059327379, 0.30000000000000043};
  const std::vector<std::int64_t> counter = {INT64_MIN, 5, INT64_MAX};
  const std::vector<std::uint8_t> gaps = {1, 0, 1, 1};
  const std::vector<std::uint8_t> flags = {1, 1, 1, 0};
  const std::vector<std::string_view> texts = {"on", "off", "off", "off"};
  const std::vector<Column> columns = {
      Column::of("temperature", decimals), Column::of("noise", noise),
      Column::of("counter", counter, gaps), Column::of_bools("door", flags),
      Column::of_texts("state", ColumnType::kString, texts)};
  const auto bytes = *encode_chunk(timestamps, columns, {}, {.with_statistics = true});
  EXPECT_EQ(
      testing::hex(bytes),
      "530104050e0980a0d5edee660703a09c01c0010b74656d7065726174757265102004ff000000000000008001"
      "b20301920a13010300000000000000800402ae03a8056e6f697365103b04ff343333333333d33fffcd3b7f66"
      "9ea0d63fffe4bd8e881697f43f063fd3333333333334db9e6666666666619fae59995374c564eb5553023d80"
      "07636f756e746572192f03ff000000000000e0c3ff000000000000e04300000302020d02ffffffffffffffff"
      "ff01f5ffffffffffffffff011504646f6f7202020207057374617465030f0102040104026f6e6f6666040100"
      "0e");
}

}  // namespace
}  // namespace sluice::series
