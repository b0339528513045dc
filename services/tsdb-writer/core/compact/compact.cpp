#include "core/compact/compact.h"

#include <chrono>
#include <format>

#include <sluice/series/chunk_reader.h>

namespace sluice::tsdb {
namespace {

using series::ChunkReader;
using series::ColumnType;

double number_at(const series::ColumnValues& values, std::size_t i) {
  if (values.type == ColumnType::kDouble) return values.doubles[i];
  if (values.type == ColumnType::kInt64) return static_cast<double>(values.integers[i]);
  return values.booleans[i] != 0 ? 1.0 : 0.0;
}

/// The minutes of one column, added to the block.
void add_minutes(MetricKey metric, const series::Samples& samples, RollupBlock& block) {
  std::size_t at = 0;
  while (at < samples.timestamps.size()) {
    // Rising times: a bucket's samples stand beside each other.
    const WallTime time{std::chrono::milliseconds(samples.timestamps[at])};
    const std::uint32_t bucket = rollup_bucket_of(Tier::kRollup1m, time);
    const std::int64_t ends = std::chrono::floor<std::chrono::minutes>(time).time_since_epoch() /
                                  std::chrono::milliseconds(1) +
                              60'000;
    series::Rollup rollup;
    for (; at < samples.timestamps.size() && samples.timestamps[at] < ends; ++at) {
      rollup.add(samples.timestamps[at], number_at(samples.values, at));
    }
    block[{metric, bucket}].merge(rollup);
  }
}

/// The roll-ups of a chunk's minutes, and how many samples it has.
Result<std::uint64_t> minutes_of(const ChunkReader& chunk, series::Samples& scratch,
                                 RollupBlock& block) {
  std::uint64_t samples = 0;
  for (std::size_t i = 0; i < chunk.column_count(); ++i) {
    const series::ColumnInfo& column = chunk.column(i);
    const auto meaning = meaning_of(column.key);
    if (!meaning) return fail(ErrorCode::kDataLoss, "a chunk has a column of no known meaning");
    if (meaning->is_remarks) continue;
    samples += column.value_count;
    if (!is_rolled_up(column.type)) continue;
    SLUICE_TRY(chunk.samples(i, {}, scratch));
    add_minutes(*meaning->metric, scratch, block);
  }
  return samples;
}

std::uint64_t samples_of(const ChunkReader& chunk) {
  std::uint64_t samples = 0;
  for (std::size_t i = 0; i < chunk.column_count(); ++i) {
    const auto meaning = meaning_of(chunk.column(i).key);
    if (meaning && !meaning->is_remarks) samples += chunk.column(i).value_count;
  }
  return samples;
}

Result<RollupBlock> block_of(const StoredBytes& stored) {
  if (stored.bytes.empty()) return RollupBlock{};
  SLUICE_TRY_ASSIGN(const auto reader, RollupBlockReader::open(stored.bytes));
  return reader.read_all();
}

std::map<MetricKey, series::Rollup> total_of(const RollupBlock& block) {
  std::map<MetricKey, series::Rollup> total;
  for (const auto& [place, rollup] : block) total[place.first].merge(rollup);
  return total;
}

void apply(const RollupPart& part, RollupBlock& block) {
  for (const auto& [metric, rollup] : part.rollups) {
    series::Rollup& held = block[{metric, part.bucket}];
    if (part.replaces) {
      held = rollup;
    } else {
      held.merge(rollup);
    }
  }
}

Result<WarmRow> warm_row(WallTime hour, const ChunkReader& chunk, std::vector<std::byte> bytes) {
  std::vector<std::int64_t> times;
  SLUICE_TRY(chunk.timestamps(times));
  return WarmRow{.hour = hour,
                 .first = WallTime(std::chrono::milliseconds(times.front())),
                 .last = WallTime(std::chrono::milliseconds(times.back())),
                 .times = static_cast<std::int32_t>(times.size()),
                 .chunk = std::move(bytes)};
}

}  // namespace

Compaction::Compaction(std::size_t max_samples)
    : max_samples_(max_samples), builder_(kChunkLimits) {}

/// Counted before they are decoded.
Result<> Compaction::load(const ChunkReader& chunk) {
  std::size_t samples = builder_.sample_count();
  for (std::size_t i = 0; i < chunk.column_count(); ++i) samples += chunk.column(i).value_count;
  if (samples > max_samples_) {
    return fail(ErrorCode::kOutOfRange,
                std::format("more than {} samples in an hour of a device", max_samples_));
  }
  return builder_.load(chunk);
}

Result<CompactedHour> Compaction::compact(const HourToCompact& hour) {
  CompactedHour compacted;
  builder_.clear();
  if (!hour.warm.is_gone && !hour.warm.bytes.empty()) {
    SLUICE_TRY_ASSIGN(const auto warm, ChunkReader::open(hour.warm.bytes, kChunkLimits));
    SLUICE_TRY(load(warm));
  }
  for (const auto bytes : hour.hot) {
    SLUICE_TRY_ASSIGN(const auto hot, ChunkReader::open(bytes, kChunkLimits));
    compacted.samples_in += samples_of(hot);
    SLUICE_TRY(load(hot));
  }
  std::vector<std::byte> bytes;
  SLUICE_TRY(builder_.build(bytes));
  SLUICE_TRY_ASSIGN(const auto chunk, ChunkReader::open(bytes, kChunkLimits));
  RollupBlock minutes;
  SLUICE_TRY_ASSIGN(compacted.samples_out, minutes_of(chunk, samples_, minutes));

  compacted.part.bucket = rollup_bucket_of(Tier::kRollup1h, hour.hour);
  const bool are_minutes_whole = !hour.warm.is_gone || !hour.minutes.is_gone;
  compacted.part.replaces = are_minutes_whole;
  if (!hour.warm.is_gone) {
    SLUICE_TRY_ASSIGN(compacted.warm, warm_row(hour.hour, chunk, std::move(bytes)));
  } else {
    compacted.samples_out = 0;
    if (!hour.minutes.is_gone) {
      SLUICE_TRY_ASSIGN(RollupBlock stored, block_of(hour.minutes));
      for (const auto& [place, rollup] : minutes) stored[place].merge(rollup);
      minutes = std::move(stored);
    }
  }
  if (!hour.minutes.is_gone && !minutes.empty()) encode_rollup_block(minutes, compacted.minutes);
  compacted.part.rollups = total_of(minutes);
  return compacted;
}

Result<RolledUp> roll_up(Tier tier, WallTime start, const StoredBytes& stored,
                         std::span<const RollupPart> parts) {
  RolledUp result;
  RollupBlock block;
  if (!stored.is_gone) {
    SLUICE_TRY_ASSIGN(block, block_of(stored));
  }
  for (const RollupPart& part : parts) apply(part, block);
  if (block.empty()) return result;
  if (!stored.is_gone) encode_rollup_block(block, result.row);
  if (tier == Tier::kRollup1h) {
    result.part.bucket = rollup_bucket_of(Tier::kRollup1d, start);
    // All hours of the day are in the row, so the day is theirs. Without the row, `block` holds
    // only what came now.
    result.part.replaces = !stored.is_gone;
    result.part.rollups = total_of(block);
  }
  return result;
}

}  // namespace sluice::tsdb
