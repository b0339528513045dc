#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <sluice/base/clock.h>
#include <sluice/base/strong_id.h>
#include <sluice/series/chunk.h>

namespace sluice::tsdb {

/// Names of things in the tables, see migrations/0001_tables.sql.
using DeviceKey = StrongId<struct DeviceKeyTag, std::int64_t>;
using MetricKey = StrongId<struct MetricKeyTag, std::int32_t>;
using FlushId = StrongId<struct FlushIdTag, std::int64_t>;
using PolicyId = StrongId<struct PolicyIdTag, std::int16_t>;

inline constexpr std::string_view kSchema = "tsdb";

enum class Tier : std::uint8_t { kHot, kWarm, kRollup1m, kRollup1h, kRollup1d };

/// As in tier_tables.tier: "hot", "warm", "rollup_1m", "rollup_1h", "rollup_1d".
std::string_view to_string(Tier tier);
/// "hot", "warm_p1", "rollup_1m_p1"; the policy means nothing for Tier::kHot.
std::string table_name(Tier tier, PolicyId policy);

/// Limits of every chunk that the tables hold: readers must use the same. The columns are a class's
/// metrics at the most (max_metrics_per_class), each with its column of remarks.
inline constexpr series::ChunkLimits kChunkLimits{.columns = 8192};

/// The column of a metric is called after its key, in as few bytes as it takes, the highest first;
/// so the first byte is never zero.
std::string column_of_metric(MetricKey metric);
/// Remarks (telemetry.v1.Quality) about values: an int64 column of bits 1 << Quality, called as the
/// metric's with a zero byte before. Only rows with a remark have a value in it.
std::string column_of_remarks(MetricKey metric);
/// Remarks about everything a message said: the column is a single zero byte.
inline constexpr std::string_view kMessageRemarksColumn("\0", 1);

/// What a column of a stored chunk holds. Roll-ups and aggregates want `metric` with is_remarks
/// false and nothing else.
struct ColumnMeaning {
  /// Nothing for kMessageRemarksColumn.
  std::optional<MetricKey> metric;
  bool is_remarks = false;
};
/// nullopt for a name that none of the above makes.
std::optional<ColumnMeaning> meaning_of(std::string_view column);

/// The hour that a moment belongs to.
inline WallTime event_hour_of(WallTime time) {
  return std::chrono::floor<std::chrono::hours>(time);
}

}  // namespace sluice::tsdb
