#include "core/query/slice.h"

#include "core/rollup/rollup_block.h"

#include <algorithm>
#include <chrono>
#include <set>
#include <span>

#include <sluice/base/encoding.h>

namespace sluice::tsdb {
namespace {

using series::ColumnType;
using Buckets = std::vector<std::vector<TimedRollup>>;

constexpr std::int64_t kHourMs = 3'600'000;
constexpr std::int64_t kDayMs = 24 * kHourMs;

std::int64_t floor_to(std::int64_t value, std::int64_t width) {
  const std::int64_t rest = value % width;
  return value - (rest < 0 ? rest + width : rest);
}

std::int64_t ms_of(WallTime time) { return time.time_since_epoch().count(); }

/// Takes the samples of one column; what it decodes into is used again.
class ColumnTaker {
 public:
  Result<> take(const series::ChunkReader& chunk, std::size_t column, series::TimeRange range,
                std::vector<Sample>& out) {
    SLUICE_TRY(chunk.samples(column, range, samples_));
    const ColumnType type = samples_.values.type;
    const std::size_t begin = out.size();
    // No reserve(), which would take no more than this and copy everything again at each chunk.
    out.resize(begin + samples_.timestamps.size());
    const std::span<Sample> taken = std::span(out).subspan(begin);
    for (std::size_t i = 0; i < taken.size(); ++i) {
      taken[i].timestamp = samples_.timestamps[i];
      taken[i].type = type;
    }
    switch (type) {
      case ColumnType::kDouble:
        fill(taken, samples_.values.doubles, &Sample::number);
        break;
      case ColumnType::kInt64:
        fill(taken, samples_.values.integers, &Sample::integer);
        break;
      case ColumnType::kBool:
        fill(taken, samples_.values.booleans, &Sample::integer);
        break;
      case ColumnType::kString:
      case ColumnType::kBytes:
        fill(taken, samples_.values.texts, &Sample::text);
        break;
    }
    return {};
  }

 private:
  template <typename From, typename To>
  static void fill(std::span<Sample> samples, const std::vector<From>& values,
                   To Sample::* member) {
    for (std::size_t i = 0; i < samples.size(); ++i) samples[i].*member = values[i];
  }

  series::Samples samples_;
};

Result<> take_chunks(const std::vector<StoredRow>& rows, const SeriesOfMetric& index,
                     series::TimeRange range, std::vector<std::vector<Sample>>& out) {
  ColumnTaker taker;
  for (const StoredRow& row : rows) {
    const auto bytes = std::as_bytes(std::span(row.bytes));
    SLUICE_TRY_ASSIGN(const auto chunk, series::ChunkReader::open(bytes, kChunkLimits));
    for (std::size_t column = 0; column < chunk.column_count(); ++column) {
      const auto meaning = meaning_of(chunk.column(column).key);
      if (!meaning || meaning->is_remarks || !meaning->metric) continue;
      const auto found = index.find(meaning->metric->value());
      if (found == index.end()) continue;
      SLUICE_TRY(taker.take(chunk, column, range, out[found->second]));
    }
  }
  return {};
}

/// Of the samples of one time the last stays, which was written last.
void sort_and_override(std::vector<Sample>& samples) {
  const auto rises = [](const Sample& a, const Sample& b) { return a.timestamp < b.timestamp; };
  const auto falls_or_stays = [](const Sample& a, const Sample& b) {
    return a.timestamp >= b.timestamp;
  };
  if (std::ranges::adjacent_find(samples, falls_or_stays) == samples.end()) return;
  std::ranges::stable_sort(samples, rises);
  std::size_t kept = 0;
  for (std::size_t i = 0; i < samples.size(); ++i) {
    if (kept > 0 && samples[kept - 1].timestamp == samples[i].timestamp) --kept;
    samples[kept++] = samples[i];
  }
  samples.resize(kept);
}

Result<> take_blocks(const std::vector<StoredRow>& rows, Tier tier, const SeriesOfMetric& index,
                     series::TimeRange range, Buckets& out) {
  const std::int64_t width = bucket_width(tier).count();
  std::vector<RollupBucket> buckets;
  for (const StoredRow& row : rows) {
    SLUICE_TRY_ASSIGN(const auto block,
                      RollupBlockReader::open(std::as_bytes(std::span(row.bytes))));
    for (const MetricKey metric : block.metrics()) {
      const auto found = index.find(metric.value());
      if (found == index.end()) continue;
      SLUICE_TRY(block.read(metric, buckets));
      for (RollupBucket& bucket : buckets) {
        const std::int64_t start = ms_of(row.start) + width * bucket.bucket;
        if (start < range.from || start >= range.to) continue;
        out[found->second].push_back({.start = start, .rollup = std::move(bucket.rollup)});
      }
    }
  }
  return {};
}

/// By time, and what is of one bucket put together: metrics of one name but several types.
void sort_and_merge(std::vector<TimedRollup>& buckets) {
  const auto falls_or_stays = [](const TimedRollup& a, const TimedRollup& b) {
    return a.start >= b.start;
  };
  if (std::ranges::adjacent_find(buckets, falls_or_stays) == buckets.end()) return;
  std::ranges::stable_sort(buckets, {}, &TimedRollup::start);
  std::size_t kept = 0;
  for (std::size_t i = 0; i < buckets.size(); ++i) {
    if (kept > 0 && buckets[kept - 1].start == buckets[i].start) {
      buckets[kept - 1].rollup.merge(buckets[i].rollup);
    } else {
      if (kept != i) buckets[kept] = std::move(buckets[i]);
      ++kept;
    }
  }
  buckets.resize(kept);
}

/// Rolls samples up; booleans as 0 and 1, texts not at all.
void roll_up(std::span<const Sample> samples, std::int64_t width, std::vector<TimedRollup>& out) {
  for (const Sample& sample : samples) {
    if (!is_rolled_up(sample.type)) continue;
    const std::int64_t start = floor_to(sample.timestamp, width);
    if (out.empty() || out.back().start != start) out.push_back({.start = start, .rollup = {}});
    out.back().rollup.add(sample.timestamp, sample.as_double());
  }
}

/// The tiers of minutes and hours.
Result<> read_short_buckets(const std::vector<StoredRow>& rollups, const DeviceSlice& slice,
                            Tier tier, const SeriesOfMetric& index, series::TimeRange range,
                            Buckets& out) {
  SLUICE_TRY(take_blocks(rollups, tier, index, range, out));
  if (!slice.fresh.empty() || !slice.warm.empty()) {
    std::set<std::int64_t> warm_hours;
    for (const StoredRow& row : slice.warm) warm_hours.insert(ms_of(row.start));
    std::vector<std::vector<Sample>> samples;
    SLUICE_TRY(read_samples(slice, index, out.size(), range, samples));
    for (std::size_t i = 0; i < out.size(); ++i) {
      std::erase_if(out[i], [&](const TimedRollup& bucket) {
        return warm_hours.contains(floor_to(bucket.start, kHourMs));
      });
      std::vector<TimedRollup> made;
      roll_up(samples[i], bucket_width(tier).count(), made);
      std::ranges::move(made, std::back_inserter(out[i]));
    }
  }
  for (auto& buckets : out) sort_and_merge(buckets);
  return {};
}

/// Replaces what is stored of the days in which something is fresh.
Result<> refresh_days(const DeviceSlice& slice, const SeriesOfMetric& index,
                      series::TimeRange range, Buckets& out) {
  std::set<std::int64_t> days_with_hours;
  for (const StoredRow& row : slice.hours_of_days) days_with_hours.insert(ms_of(row.start));
  Buckets hours(out.size());
  SLUICE_TRY(read_short_buckets(slice.hours_of_days, slice, Tier::kRollup1h, index, range, hours));
  DeviceSlice only_fresh;
  only_fresh.fresh = slice.fresh;
  std::vector<std::vector<Sample>> fresh;
  SLUICE_TRY(read_samples(only_fresh, index, out.size(), range, fresh));
  for (std::size_t i = 0; i < out.size(); ++i) {
    std::set<std::int64_t> stored_days;
    for (const TimedRollup& day : out[i]) stored_days.insert(day.start);
    // Where the hours are there, the day is made of them. Where they are gone but the day is
    // stored, only what is fresh can be new to it.
    const auto adds_fresh_alone = [&](std::int64_t day) {
      return stored_days.contains(day) && !days_with_hours.contains(day);
    };
    std::erase_if(out[i],
                  [&](const TimedRollup& day) { return days_with_hours.contains(day.start); });
    for (TimedRollup& hour : hours[i]) {
      const std::int64_t day = floor_to(hour.start, kDayMs);
      if (!adds_fresh_alone(day)) out[i].push_back({day, std::move(hour.rollup)});
    }
    std::vector<TimedRollup> made;
    roll_up(fresh[i], kDayMs, made);
    for (TimedRollup& day : made) {
      if (adds_fresh_alone(day.start)) out[i].push_back(std::move(day));
    }
  }
  return {};
}

}  // namespace

std::size_t DeviceSlice::bytes() const {
  std::size_t total = 0;
  for (const auto* rows : {&rollups, &hours_of_days, &warm, &fresh}) {
    for (const StoredRow& row : *rows) total += row.bytes.size();
  }
  return total;
}

double Sample::as_double() const {
  return type == ColumnType::kDouble ? number : static_cast<double>(integer);
}

Value Sample::as_value() const {
  switch (type) {
    case ColumnType::kDouble:
      return number;
    case ColumnType::kInt64:
      return integer;
    case ColumnType::kBool:
      return integer != 0;
    case ColumnType::kString:
      return std::string(text);
    case ColumnType::kBytes:
      return to_base64url(text);
  }
  return {};
}

Result<> read_samples(const DeviceSlice& slice, const SeriesOfMetric& index, std::size_t series,
                      series::TimeRange range, std::vector<std::vector<Sample>>& out) {
  out.assign(series, {});
  SLUICE_TRY(take_chunks(slice.warm, index, range, out));
  SLUICE_TRY(take_chunks(slice.fresh, index, range, out));
  for (auto& samples : out) sort_and_override(samples);
  return {};
}

Result<> read_rollups(const DeviceSlice& slice, Tier tier, const SeriesOfMetric& index,
                      std::size_t series, series::TimeRange range,
                      std::vector<std::vector<TimedRollup>>& out) {
  out.clear();
  out.resize(series);
  if (tier != Tier::kRollup1d) {
    return read_short_buckets(slice.rollups, slice, tier, index, range, out);
  }
  SLUICE_TRY(take_blocks(slice.rollups, tier, index, range, out));
  if (!slice.fresh.empty()) SLUICE_TRY(refresh_days(slice, index, range, out));
  for (auto& buckets : out) sort_and_merge(buckets);
  return {};
}

}  // namespace sluice::tsdb
