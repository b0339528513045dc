#pragma once

#include "core/storage_layout.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include <sluice/base/clock.h>
#include <sluice/base/result.h>
#include <sluice/series/rollup.h>

namespace sluice::tsdb {

/// `data` of a row of a roll-up table: all metrics of one device in one hour (rollup_1m), day
/// (rollup_1h) or month (rollup_1d), each in buckets of a minute, an hour or a day counted from the
/// row's beginning.
///
/// Metrics of doubles and integers are rolled up, booleans as 0 and 1; texts and bytes are not.
///
/// The bytes: a version, 1; varint metrics, at least one; for each, by rising key, varint of key
/// less the key before (0 before the first) and varint length of its section; then the sections. A
/// section has, by rising bucket, varint of bucket less the bucket before less 1 (-1 before the
/// first), varint length and bytes of a series::Rollup. Varints as in libs/series, and nothing
/// behind the last section. The lengths are in front so that who wants one metric touches no other.
using RollupBlock = std::map<std::pair<MetricKey, std::uint32_t>, series::Rollup>;

/// A bucket of one metric.
struct RollupBucket {
  std::uint32_t bucket = 0;
  series::Rollup rollup;
};

/// Whether values of this type are rolled up.
constexpr bool is_rolled_up(series::ColumnType type) {
  return type == series::ColumnType::kDouble || type == series::ColumnType::kInt64 ||
         type == series::ColumnType::kBool;
}

// Rows and buckets of a roll-up tier; asking for kHot or kWarm is a bug.

/// A minute, an hour, a day.
std::chrono::milliseconds bucket_width(Tier tier);
/// Buckets of a row: 60, 24, 31.
std::uint32_t bucket_count(Tier tier);
/// The beginning of the hour, day or month that a moment belongs to.
WallTime rollup_row_of(Tier tier, WallTime time);
/// Which bucket of its row.
std::uint32_t rollup_bucket_of(Tier tier, WallTime time);

/// Appends a block. Equal blocks make equal bytes. An empty block is a bug, and so is one of more
/// than kChunkLimits.columns metrics or with a bucket past RollupBlockReader::kMaxBuckets.
void encode_rollup_block(const RollupBlock& block, std::vector<std::byte>& out);

/// Reads a block, metric by metric. Believes nothing: what is not a block is kDataLoss, and memory
/// is bounded by the bytes there are. A view: `bytes` must outlive it.
class RollupBlockReader {
 public:
  static constexpr std::uint32_t kMaxBuckets = 60;

  [[nodiscard]] static Result<RollupBlockReader> open(std::span<const std::byte> bytes);

  /// By rising key.
  const std::vector<MetricKey>& metrics() const { return metrics_; }
  /// The buckets of one metric, rising; none for a metric that is not there. Replaces `out`.
  [[nodiscard]] Result<> read(MetricKey metric, std::vector<RollupBucket>& out) const;
  [[nodiscard]] Result<RollupBlock> read_all() const;

 private:
  RollupBlockReader() = default;

  std::vector<MetricKey> metrics_;
  std::vector<std::span<const std::byte>> sections_;
};

}  // namespace sluice::tsdb
