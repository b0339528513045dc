#include <sluice/series/chunk_builder.h>

#include "test_values.h"

#include <algorithm>
#include <map>
#include <string>

#include <gtest/gtest.h>

namespace sluice::series {
namespace {

using testing::below;
using testing::Engine;

using Doubles = std::map<std::int64_t, double>;

Doubles doubles_of(std::span<const std::byte> chunk, std::string_view key) {
  const auto reader = ChunkReader::open(chunk);
  Samples samples;
  Doubles out;
  const auto index = reader->find(key, ColumnType::kDouble);
  if (!index || !reader->samples(*index, {}, samples)) return out;
  for (std::size_t i = 0; i < samples.timestamps.size(); ++i) {
    out[samples.timestamps[i]] = samples.values.doubles[i];
  }
  return out;
}

TEST(ChunkBuilder, TakesSamplesInAnyOrderAndKeepsTheLastOfATime) {
  Engine engine(13);
  for (int round = 0; round < 100; ++round) {
    ChunkBuilder builder;
    Doubles expected[2];
    const ColumnHandle columns[2] = {*builder.column("a", ColumnType::kDouble),
                                     *builder.column("b", ColumnType::kDouble)};
    for (std::size_t i = 0; i < 200; ++i) {
      const auto timestamp = static_cast<std::int64_t>(below(engine, 150));
      const auto value = static_cast<double>(below(engine, 1000)) / 10;
      const std::size_t which = below(engine, 2);
      builder.add(columns[which], timestamp, value);
      expected[which][timestamp] = value;
    }
    std::vector<std::byte> chunk;
    ASSERT_TRUE(builder.build(chunk));
    EXPECT_EQ(doubles_of(chunk, "a"), expected[0]);
    EXPECT_EQ(doubles_of(chunk, "b"), expected[1]);
  }
}

TEST(ChunkBuilder, MakesTheSameBytesOfTheSameSamplesInAnyOrder) {
  Engine engine(14);
  std::vector<std::int64_t> timestamps = testing::any_timestamps(engine, 100);
  const auto built = [&](bool a_first) {
    ChunkBuilder builder;
    const ColumnHandle first = *builder.column(a_first ? "a" : "b", ColumnType::kInt64);
    const ColumnHandle second = *builder.column(a_first ? "b" : "a", ColumnType::kInt64);
    for (const std::int64_t timestamp : timestamps) {
      builder.add(first, timestamp, timestamp / 7);
      if (timestamp % 3 != 0) builder.add(second, timestamp, timestamp / 7);
      if (timestamp % 3 == 0) builder.add(second, timestamp, timestamp / 7);
    }
    std::vector<std::byte> chunk;
    EXPECT_TRUE(builder.build(chunk));
    return chunk;
  };
  const auto sorted = built(true);
  std::shuffle(timestamps.begin(), timestamps.end(), engine);
  EXPECT_EQ(built(false), sorted);
}

TEST(ChunkBuilder, MergesLateRowsIntoAChunkOfEveryType) {
  ChunkBuilder builder;
  const auto fill = [&](std::int64_t timestamp, int value) {
    builder.add(*builder.column("double", ColumnType::kDouble), timestamp, value / 2.0);
    builder.add(*builder.column("int", ColumnType::kInt64), timestamp, std::int64_t{value});
    builder.add(*builder.column("bool", ColumnType::kBool), timestamp, value % 2 == 0);
    builder.add(*builder.column("text", ColumnType::kString), timestamp,
                std::string_view("value ").substr(0, static_cast<std::size_t>(value % 7)));
  };
  for (int i = 0; i < 10; ++i) fill(i * 10, i);
  std::vector<std::byte> old;
  ASSERT_TRUE(builder.build(old));
  builder.clear();
  EXPECT_EQ(builder.sample_count(), 0U);

  ASSERT_TRUE(builder.load(*ChunkReader::open(old)));
  fill(50, 100);  // overrides
  fill(55, 101);  // is late
  std::vector<std::byte> merged;
  ASSERT_TRUE(builder.build(merged));

  builder.clear();
  for (int i = 0; i < 10; ++i) fill(i * 10, i == 5 ? 100 : i);
  fill(55, 101);
  std::vector<std::byte> expected;
  ASSERT_TRUE(builder.build(expected));
  EXPECT_EQ(merged, expected);
}

TEST(ChunkBuilder, UnitesTheTimesOfLongAndShortColumnsInAnyOrder) {
  Engine engine(15);
  for (int round = 0; round < 30; ++round) {
    ChunkBuilder builder;
    std::map<std::string, Doubles> expected;
    for (int i = 0; i < 40; ++i) {
      const std::string key = std::to_string(i);
      const ColumnHandle column = *builder.column(key, ColumnType::kDouble);
      const std::size_t count = 1 + below(engine, i % 5 == 0 ? 400 : 8);
      for (std::size_t sample = 0; sample < count; ++sample) {
        const auto timestamp = static_cast<std::int64_t>(below(engine, 600));
        builder.add(column, timestamp, static_cast<double>(sample));
        expected[key][timestamp] = static_cast<double>(sample);
      }
    }
    std::vector<std::byte> chunk;
    ASSERT_TRUE(builder.build(chunk));
    for (const auto& [key, samples] : expected) EXPECT_EQ(doubles_of(chunk, key), samples);
  }
}

TEST(ChunkBuilder, MergesChunksOldestFirst) {
  const auto chunk_of = [](std::initializer_list<std::pair<std::int64_t, double>> samples) {
    ChunkBuilder builder;
    for (const auto& [timestamp, value] : samples) {
      builder.add(*builder.column("m", ColumnType::kDouble), timestamp, value);
    }
    std::vector<std::byte> chunk;
    EXPECT_TRUE(builder.build(chunk));
    return chunk;
  };
  const auto older = chunk_of({{10, 1}, {20, 2}});
  const auto newer = chunk_of({{20, 3}, {30, 4}});
  std::vector<std::byte> merged;
  ASSERT_TRUE(merge_chunks(std::vector<std::span<const std::byte>>{older, newer}, merged));
  EXPECT_EQ(doubles_of(merged, "m"), (Doubles{{10, 1}, {20, 3}, {30, 4}}));
  EXPECT_EQ(merge_chunks(std::vector<std::span<const std::byte>>{std::span(older).first(9)}, merged)
                .error()
                .code(),
            ErrorCode::kDataLoss);
}

TEST(ChunkBuilder, RefusesToMakeAChunkOfNothingOrOverTheLimits) {
  ChunkBuilder builder({.rows = 2, .columns = 1, .key_bytes = 3});
  std::vector<std::byte> chunk;
  EXPECT_EQ(builder.build(chunk).error().code(), ErrorCode::kFailedPrecondition);
  EXPECT_EQ(builder.column("abcd", ColumnType::kBool).error().code(), ErrorCode::kOutOfRange);
  const ColumnHandle column = *builder.column("abc", ColumnType::kBool);
  EXPECT_EQ(builder.column("b", ColumnType::kBool).error().code(), ErrorCode::kOutOfRange);
  for (std::int64_t timestamp = 0; timestamp < 3; ++timestamp) builder.add(column, timestamp, true);
  EXPECT_EQ(builder.build(chunk).error().code(), ErrorCode::kOutOfRange);
  EXPECT_TRUE(chunk.empty());
}

}  // namespace
}  // namespace sluice::series
