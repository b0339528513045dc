#include "core/compact/compact.h"

#include <algorithm>
#include <limits>
#include <map>
#include <tuple>
#include <vector>

#include <sluice/series/chunk_builder.h>
#include <sluice/testing/sim_random.h>

#include <gtest/gtest.h>

namespace sluice::tsdb {
namespace {

using namespace std::chrono_literals;
using Bytes = std::vector<std::byte>;
using series::ColumnType;
using sluice::testing::SimRandom;

// The last hours of a month: days and months end in between.
const WallTime kStart = parse_rfc3339("2024-02-29T20:00:00Z").value();

/// Metric 1 doubles, 2 integers, 3 booleans, 4 texts.
struct Sample {
  int metric = 1;
  WallTime time;
  std::int64_t value = 0;
};

Bytes chunk_of(const std::vector<Sample>& samples) {
  series::ChunkBuilder builder(kChunkLimits);
  for (const Sample& sample : samples) {
    const auto type = static_cast<ColumnType>(sample.metric - 1);
    const auto column = builder.column(column_of_metric(MetricKey(sample.metric)), type).value();
    const std::int64_t at = sample.time.time_since_epoch().count();
    if (type == ColumnType::kDouble)
      builder.add(column, at, 0.1 * static_cast<double>(sample.value));
    if (type == ColumnType::kInt64) builder.add(column, at, sample.value);
    if (type == ColumnType::kBool) builder.add(column, at, sample.value % 2 != 0);
    if (type == ColumnType::kString) {
      builder.add(column, at, std::string_view(sample.value % 2 != 0 ? "odd" : "even"));
    }
    // Remarks stand beside the values and are no values.
    const auto remarks =
        builder.column(column_of_remarks(MetricKey(sample.metric)), ColumnType::kInt64).value();
    if (sample.value % 7 == 0) builder.add(remarks, at, std::int64_t{2});
  }
  Bytes bytes;
  EXPECT_TRUE(builder.build(bytes));
  return bytes;
}

/// One device's rows of all tiers, and the horizons before which they were dropped.
struct Tables {
  std::map<WallTime, Bytes> warm;
  std::map<WallTime, Bytes> minutes;
  std::map<WallTime, Bytes> hours;
  std::map<WallTime, Bytes> days;
  WallTime raw_gone_before{};
  WallTime minutes_gone_before{};
  WallTime hours_gone_before{};

  bool operator==(const Tables&) const = default;

  static StoredBytes stored(const std::map<WallTime, Bytes>& rows, WallTime at, WallTime gone) {
    if (at < gone) return {.is_gone = true, .bytes = {}};
    const auto found = rows.find(at);
    return {.is_gone = false,
            .bytes = found == rows.end() ? std::span<const std::byte>{} : found->second};
  }

  /// Hot chunks by hour, in the order of writing.
  void compact(const std::map<WallTime, std::vector<Bytes>>& hot) {
    Compaction compaction;
    std::map<WallTime, std::vector<RollupPart>> day_parts;
    std::map<WallTime, std::vector<RollupPart>> month_parts;
    for (const auto& [hour, chunks] : hot) {
      HourToCompact input{.hour = hour,
                          .hot = {chunks.begin(), chunks.end()},
                          .warm = stored(warm, hour, raw_gone_before),
                          .minutes = stored(minutes, hour, minutes_gone_before)};
      auto compacted = compaction.compact(input);
      ASSERT_TRUE(compacted) << compacted.error().message();
      if (compacted->warm) warm[hour] = std::move(compacted->warm->chunk);
      if (!compacted->minutes.empty()) minutes[hour] = std::move(compacted->minutes);
      day_parts[rollup_row_of(Tier::kRollup1h, hour)].push_back(std::move(compacted->part));
    }
    for (const auto& [day, parts] : day_parts) {
      auto rolled = roll_up(Tier::kRollup1h, day, stored(hours, day, hours_gone_before), parts);
      ASSERT_TRUE(rolled);
      if (!rolled->row.empty()) hours[day] = std::move(rolled->row);
      month_parts[rollup_row_of(Tier::kRollup1d, day)].push_back(std::move(rolled->part));
    }
    for (const auto& [month, parts] : month_parts) {
      auto rolled = roll_up(Tier::kRollup1d, month, stored(days, month, {}), parts);
      ASSERT_TRUE(rolled);
      if (!rolled->row.empty()) days[month] = std::move(rolled->row);
    }
  }
  void drop_raw(WallTime before) {
    raw_gone_before = before;
    std::erase_if(warm, [&](const auto& row) { return row.first < before; });
  }
  void drop_minutes(WallTime before) {
    minutes_gone_before = before;
    std::erase_if(minutes, [&](const auto& row) { return row.first < before; });
  }
  void drop_hours(WallTime before) {
    hours_gone_before = before;
    std::erase_if(hours, [&](const auto& row) { return row.first < before; });
  }
};

/// What a flush writes: a chunk for each hour.
void flush(const std::vector<Sample>& samples, std::map<WallTime, std::vector<Bytes>>& hot) {
  std::map<WallTime, std::vector<Sample>> by_hour;
  for (const Sample& sample : samples) by_hour[event_hour_of(sample.time)].push_back(sample);
  for (const auto& [hour, those] : by_hour) hot[hour].push_back(chunk_of(those));
}

/// Roll-ups as they should be, straight from the samples.
RollupBlock reference(Tier tier, WallTime row, const std::vector<Sample>& samples) {
  std::map<std::pair<int, WallTime>, std::int64_t> latest;
  for (const Sample& sample : samples) latest[{sample.metric, sample.time}] = sample.value;
  RollupBlock block;
  for (const auto& [place, value] : latest) {
    const auto& [metric, time] = place;
    if (metric == 4 || rollup_row_of(tier, time) != row) continue;
    const double number = metric == 1   ? 0.1 * static_cast<double>(value)
                          : metric == 2 ? static_cast<double>(value)
                                        : static_cast<double>(value % 2 != 0);
    block[{MetricKey(metric), rollup_bucket_of(tier, time)}].add(time.time_since_epoch().count(),
                                                                 number);
  }
  return block;
}

RollupBlock read(const Bytes& bytes) {
  return RollupBlockReader::open(bytes).value().read_all().value();
}

/// Every time once, so that no order of writing can matter.
std::vector<Sample> some_samples(SimRandom& random, std::size_t count) {
  std::vector<Sample> samples;
  for (std::size_t i = 0; i < count; ++i) {
    samples.push_back(
        {.metric = static_cast<int>(1 + random.below(4)),
         .time = kStart + std::chrono::milliseconds(random.below(6 * 3600) * 1000 + i % 1000),
         .value = random.between(0, 1'000'000)});
  }
  std::map<std::pair<int, WallTime>, Sample> unique;
  for (const Sample& sample : samples) unique[{sample.metric, sample.time}] = sample;
  samples.clear();
  for (const auto& [place, sample] : unique) samples.push_back(sample);
  return samples;
}

std::vector<std::vector<Sample>> cut(SimRandom& random, const std::vector<Sample>& samples,
                                     std::size_t flushes) {
  std::vector<std::vector<Sample>> parts(flushes);
  for (const Sample& sample : samples) parts[random.below(flushes)].push_back(sample);
  return parts;
}

TEST(Compaction, AnyCutAndOrderGivesTheBytesOfSortedInput) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE(seed);
    SimRandom random(seed);
    std::vector<Sample> samples = some_samples(random, 400);
    Tables sorted;
    std::map<WallTime, std::vector<Bytes>> all;
    flush(samples, all);
    sorted.compact(all);

    std::ranges::shuffle(samples, random);
    // Some come twice, as they do from devices that were not sure.
    const std::vector<Sample> twice(samples.begin(), samples.begin() + 50);
    samples.insert(samples.end(), twice.begin(), twice.end());
    Tables shuffled;
    for (const auto& portion : cut(random, samples, 1 + random.below(6))) {
      std::map<WallTime, std::vector<Bytes>> hot;
      for (const auto& part : cut(random, portion, 1 + random.below(10))) flush(part, hot);
      shuffled.compact(hot);
    }
    EXPECT_TRUE(sorted == shuffled);
  }
}

TEST(Compaction, RollupsAreWhatTheSamplesSay) {
  SimRandom random(3);
  const std::vector<Sample> samples = some_samples(random, 2'000);
  Tables tables;
  for (const auto& portion : cut(random, samples, 4)) {
    std::map<WallTime, std::vector<Bytes>> hot;
    flush(portion, hot);
    tables.compact(hot);
  }
  EXPECT_EQ(tables.minutes.size(), 6U);
  EXPECT_EQ(tables.hours.size(), 2U);
  EXPECT_EQ(tables.days.size(), 2U);
  for (const auto& [at, row] : tables.minutes) {
    EXPECT_EQ(read(row), reference(Tier::kRollup1m, at, samples));
  }
  for (const auto& [at, row] : tables.hours) {
    EXPECT_EQ(read(row), reference(Tier::kRollup1h, at, samples));
  }
  for (const auto& [at, row] : tables.days) {
    EXPECT_EQ(read(row), reference(Tier::kRollup1d, at, samples));
  }
}

TEST(Compaction, DoneAgainItChangesNothing) {
  SimRandom random(4);
  std::map<WallTime, std::vector<Bytes>> hot;
  flush(some_samples(random, 500), hot);
  Tables tables;
  tables.compact(hot);
  const Tables once = tables;
  tables.compact(hot);
  EXPECT_TRUE(tables == once);
}

TEST(Compaction, TheLaterWrittenValueStays) {
  Tables tables;
  std::map<WallTime, std::vector<Bytes>> hot;
  flush({{1, kStart, 10}}, hot);
  flush({{1, kStart, 20}}, hot);
  tables.compact(hot);
  EXPECT_EQ(read(tables.minutes.at(kStart)).begin()->second.sum(), 2.0);
  std::map<WallTime, std::vector<Bytes>> later;
  flush({{1, kStart, 30}}, later);
  tables.compact(later);
  EXPECT_EQ(read(tables.minutes.at(kStart)).begin()->second.sum(), 3.0);
  EXPECT_EQ(read(tables.days.begin()->second).begin()->second.count(), 1U);
}

/// Late samples after each tier was dropped: what is left must be as if nothing had been.
struct LateSamples : ::testing::TestWithParam<int> {};

TEST_P(LateSamples, AreMergedIntoWhatIsLeft) {
  const int dropped = GetParam();
  SimRandom random(5);
  const std::vector<Sample> samples = some_samples(random, 1'000);
  const auto portions = cut(random, samples, 3);
  Tables tables;
  std::map<WallTime, std::vector<Bytes>> hot;
  flush(portions[0], hot);
  tables.compact(hot);
  const WallTime end = kStart + 24h * 40;
  if (dropped >= 1) tables.drop_raw(end);
  if (dropped >= 2) tables.drop_minutes(end);
  if (dropped >= 3) tables.drop_hours(end);
  for (std::size_t i = 1; i < portions.size(); ++i) {
    std::map<WallTime, std::vector<Bytes>> late;
    flush(portions[i], late);
    tables.compact(late);
  }
  EXPECT_EQ(tables.warm.empty(), dropped >= 1);
  EXPECT_EQ(tables.minutes.empty(), dropped >= 2);
  EXPECT_EQ(tables.hours.empty(), dropped >= 3);
  for (const auto& [at, row] : tables.minutes) {
    EXPECT_EQ(read(row), reference(Tier::kRollup1m, at, samples));
  }
  for (const auto& [at, row] : tables.hours) {
    EXPECT_EQ(read(row), reference(Tier::kRollup1h, at, samples));
  }
  EXPECT_EQ(tables.days.size(), 2U);
  for (const auto& [at, row] : tables.days) {
    EXPECT_EQ(read(row), reference(Tier::kRollup1d, at, samples));
  }
}

INSTANTIATE_TEST_SUITE_P(Dropped, LateSamples, ::testing::Values(0, 1, 2, 3));

TEST(Compaction, TextsAloneMakeNoRollup) {
  Tables tables;
  std::map<WallTime, std::vector<Bytes>> hot;
  flush({{4, kStart, 1}}, hot);
  tables.compact(hot);
  EXPECT_EQ(tables.warm.size(), 1U);
  EXPECT_TRUE(tables.minutes.empty() && tables.hours.empty() && tables.days.empty());
}

TEST(Compaction, CountsSamplesWithoutRemarks) {
  const Bytes first = chunk_of({{1, kStart, 7}, {2, kStart, 14}});
  const Bytes second = chunk_of({{1, kStart, 7}});
  Compaction compaction;
  const auto compacted =
      compaction.compact({.hour = kStart, .hot = {first, second}, .warm = {}, .minutes = {}});
  ASSERT_TRUE(compacted);
  EXPECT_EQ(compacted->samples_in, 3U);
  EXPECT_EQ(compacted->samples_out, 2U);
  ASSERT_TRUE(compacted->warm);
  EXPECT_EQ(compacted->warm->times, 1);
  EXPECT_EQ(compacted->warm->first, kStart);
}

TEST(Compaction, HoldsNoMoreSamplesOfAnHourThanItMay) {
  std::vector<Sample> sent;
  for (int i = 1; i <= 6; ++i) sent.push_back({.time = kStart + i * 1ms, .value = i});
  const Bytes chunk = chunk_of(sent);
  HourToCompact hour{.hour = kStart, .hot = {chunk}, .warm = {}, .minutes = {}};
  Compaction compaction(11);
  EXPECT_TRUE(compaction.compact(hour));
  hour.hot.push_back(chunk);
  const auto refused = compaction.compact(hour);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::kOutOfRange);
}

TEST(Compaction, WhatIsNoChunkIsRefused) {
  const Bytes broken(20, std::byte{7});
  const Bytes good = chunk_of({{1, kStart, 7}});
  Compaction compaction;
  const auto hot = compaction.compact({.hour = kStart, .hot = {broken}, .warm = {}, .minutes = {}});
  EXPECT_EQ(hot.error().code(), ErrorCode::kDataLoss);
  const auto warm = compaction.compact(
      {.hour = kStart, .hot = {good}, .warm = {.is_gone = false, .bytes = broken}, .minutes = {}});
  EXPECT_EQ(warm.error().code(), ErrorCode::kDataLoss);
  const auto rolled = roll_up(Tier::kRollup1h, kStart, {.is_gone = false, .bytes = broken}, {});
  EXPECT_EQ(rolled.error().code(), ErrorCode::kDataLoss);
}

}  // namespace
}  // namespace sluice::tsdb
