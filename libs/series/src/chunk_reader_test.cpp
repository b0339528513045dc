#include <sluice/series/chunk_reader.h>

#include "test_content.h"

#include <gtest/gtest.h>

namespace sluice::series {
namespace {

using testing::any_content;
using testing::below;
using testing::Content;
using testing::Engine;

TEST(ChunkReader, GivesTheSamplesOfARange) {
  const std::vector<std::int64_t> timestamps = {10, 20, 30, 40, 50};
  const std::vector<std::uint8_t> present = {1, 0, 1, 1, 0};
  const std::vector<double> values = {1, 3, 4};
  const std::vector<Column> columns = {Column::of("m", values, present)};
  const auto bytes = encode_chunk(timestamps, columns);
  const auto reader = ChunkReader::open(*bytes);
  const auto read = [&](TimeRange range) {
    Samples samples;
    EXPECT_TRUE(reader->samples(0, range, samples));
    return std::pair(samples.timestamps, samples.values.doubles);
  };
  using Expected = std::pair<std::vector<std::int64_t>, std::vector<double>>;
  EXPECT_EQ(read({}), (Expected{{10, 30, 40}, {1, 3, 4}}));
  EXPECT_EQ(read({.from = 30, .to = 40}), (Expected{{30}, {3}}));
  EXPECT_EQ(read({.from = 11, .to = 41}), (Expected{{30, 40}, {3, 4}}));
  EXPECT_EQ(read({.from = 41, .to = 100}), (Expected{}));
  EXPECT_EQ(read({.from = 40, .to = 30}), (Expected{}));
}

/// The decoder run over everything that bytes claim to be; what comes must keep to the limits.
bool survives(std::span<const std::byte> bytes, const ChunkLimits& limits = {}) {
  const auto reader = ChunkReader::open(bytes, limits);
  if (!reader) return reader.error().code() == ErrorCode::kDataLoss;
  Samples samples;
  std::vector<std::uint8_t> present;
  bool holds = reader->row_count() <= limits.rows;
  for (std::size_t i = 0; i < reader->column_count(); ++i) {
    if (reader->values(i, samples.values))
      holds &= samples.values.size() == reader->column(i).value_count;
    if (reader->presence(i, present)) holds &= present.size() == reader->row_count();
    if (reader->samples(i, {}, samples))
      holds &= samples.timestamps.size() == samples.values.size();
  }
  return holds;
}

TEST(ChunkReader, IsRefusedAtEveryBeginningOfItAndWithBytesBehind) {
  Engine engine(11);
  for (int round = 0; round < 10; ++round) {
    const Content content = any_content(engine);
    auto bytes = *encode_chunk(content.timestamps, content.columns());
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      EXPECT_FALSE(ChunkReader::open(std::span(bytes).first(size))) << size;
    }
    bytes.push_back(std::byte{0});
    EXPECT_FALSE(ChunkReader::open(bytes));
  }
}

TEST(ChunkReader, SurvivesAnyChangedByte) {
  Engine engine(12);
  for (int round = 0; round < 40; ++round) {
    const Content content = any_content(engine);
    const auto bytes =
        *encode_chunk(content.timestamps, content.columns(), {}, {.with_statistics = true});
    for (int change = 0; change < 60; ++change) {
      // Exactly as large as the chunk, for a sanitizer to see a byte read behind it.
      std::vector<std::byte> changed = bytes;
      for (std::uint64_t left = 1 + below(engine, 3); left > 0; --left) {
        changed[below(engine, changed.size())] = static_cast<std::byte>(engine());
      }
      EXPECT_TRUE(survives(changed));
    }
  }
}

TEST(ChunkReader, TakesNoMemoryForRowsOverTheLimit) {
  // A constant column of 2^62 rows in 30 bytes.
  const auto bytes = *from_hex("5301ffffffffffffffff3f01050102d00f00");
  EXPECT_FALSE(ChunkReader::open(std::as_bytes(std::span(bytes))));
}

TEST(ChunkReader, RefusesTimestampsThatDoNotRise) {
  const std::vector<std::int64_t> timestamps = {5, 6, 7};
  auto bytes = *encode_chunk(timestamps, {});
  std::vector<std::int64_t> back;
  ASSERT_TRUE(ChunkReader::open(bytes)->timestamps(back));
  bytes.back() = std::byte{0};  // the step
  ASSERT_TRUE(ChunkReader::open(bytes));
  EXPECT_FALSE(ChunkReader::open(bytes)->timestamps(back));
}

TEST(ChunkReader, RefusesATextOverTheReadersLimit) {
  const std::vector<std::int64_t> timestamps = {1};
  const std::vector<std::string_view> texts = {"abcdefgh"};
  const auto bytes =
      *encode_chunk(timestamps, std::vector{Column::of_texts("m", ColumnType::kString, texts)});
  ColumnValues values;
  EXPECT_TRUE(ChunkReader::open(bytes)->values(0, values));
  EXPECT_FALSE(ChunkReader::open(bytes, {.text_bytes = 7})->values(0, values));
}

}  // namespace
}  // namespace sluice::series
