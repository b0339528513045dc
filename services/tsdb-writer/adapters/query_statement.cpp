#include "adapters/query_statement.h"

#include "core/rollup/rollup_block.h"

#include <algorithm>
#include <chrono>

namespace sluice::tsdb {
namespace {

using postgres::Sql;
using postgres::Statement;

/// What is fresh of a device: not compacted yet. Compaction drops a partition of `hot` long after
/// it has dealt with a device in it; those rows are in `warm` and in the roll-ups already, and
/// where raw values are gone they must not be added a second time.
constexpr Sql kFresh =
    "WITH fresh AS MATERIALIZED ("
    "SELECT 'fresh' AS part, h.event_hour AS start, h.flush_id AS place, h.chunk AS bytes "
    "FROM hot h WHERE h.device_key = ? AND h.event_hour >= ? AND h.event_hour < ? "
    "AND NOT EXISTS (SELECT FROM hot_hours o "
    "  WHERE o.arrival_hour = date_trunc('hour', h.arrival, 'UTC') "
    "  AND o.next_device_key > h.device_key)";

constexpr std::int64_t kFirstMs = -62'135'596'800'000;  // 0001-01-01
constexpr std::int64_t kLastMs = 253'402'300'799'000;   // 9999-12-31
constexpr std::int64_t kDayMs = 86'400'000;

std::string_view time_column(Tier tier) {
  if (tier == Tier::kRollup1h) return "event_day";
  return tier == Tier::kRollup1d ? "event_month" : "event_hour";
}

WallTime row_of(Tier tier, WallTime time) {
  return tier == Tier::kWarm ? event_hour_of(time) : rollup_row_of(tier, time);
}

/// The policies in whose tables a device's rows may be.
std::vector<PolicyId> policies_of(const StoredDevice& device) {
  std::vector<PolicyId> policies = device.earlier_policies;
  if (!std::ranges::contains(policies, device.policy)) policies.push_back(device.policy);
  return policies;
}

/// Only the rows in whose hour or day something is fresh, be it in memory.
struct OnlyFresh {
  Sql unit;
  const std::vector<std::string>& hours_in_memory;
};

void select_rows(Statement& statement, Sql part, const StoredDevice& device, Tier tier,
                 series::TimeRange range, const OnlyFresh* only = nullptr) {
  for (const PolicyId policy : policies_of(device)) {
    statement.append(" UNION ALL SELECT ").append(part).append(", ");
    statement.identifier(time_column(tier)).append(", 0::bigint, ");
    statement.identifier(tier == Tier::kWarm ? "chunk" : "data").append(" FROM ");
    statement.identifier(table_name(tier, policy));
    statement.append(" WHERE device_key = ? AND ", {device.key});
    statement.identifier(time_column(tier));
    statement.append(" >= ? AND ", {row_of(tier, storable_time(range.from))});
    statement.identifier(time_column(tier));
    statement.append(" < ?", {storable_time(range.to)});
    if (only == nullptr) continue;
    statement.append(" AND ").identifier(time_column(tier));
    statement.append(" IN (SELECT date_trunc(").append(only->unit);
    statement.append(", start, 'UTC') FROM fresh UNION SELECT date_trunc(").append(only->unit);
    statement.append(", h, 'UTC') FROM unnest(?::text[]::timestamptz[]) h)",
                     {only->hours_in_memory});
  }
}

}  // namespace

WallTime storable_time(std::int64_t ms) {
  return WallTime(std::chrono::milliseconds(std::clamp(ms, kFirstMs, kLastMs)));
}

series::TimeRange fresh_range_of(Tier tier, series::TimeRange range) {
  if (tier != Tier::kRollup1d) return range;
  const auto down = [](std::int64_t at) { return at - ((at % kDayMs) + kDayMs) % kDayMs; };
  return {.from = down(range.from), .to = down(range.to - 1) + kDayMs};
}

Statement slice_statement(const StoredDevice& device, Tier tier, series::TimeRange range,
                          const std::vector<std::string>& hours_in_memory) {
  const series::TimeRange fresh = fresh_range_of(tier, range);
  Statement statement(
      kFresh, {device.key, event_hour_of(storable_time(fresh.from)), storable_time(fresh.to)});
  statement.append(") SELECT part, start, place, bytes FROM fresh");
  if (tier == Tier::kWarm) {
    select_rows(statement, "'warm'", device, Tier::kWarm, range);
  } else {
    const OnlyFresh hours{.unit = "'hour'", .hours_in_memory = hours_in_memory};
    select_rows(statement, "'rollup'", device, tier, range);
    select_rows(statement, "'warm'", device, Tier::kWarm, fresh, &hours);
    if (tier == Tier::kRollup1d) {
      const OnlyFresh days{.unit = "'day'", .hours_in_memory = hours_in_memory};
      select_rows(statement, "'hours'", device, Tier::kRollup1h, fresh, &days);
    }
  }
  statement.append(" ORDER BY part, place, start");
  return statement;
}

Statement newest_statement(const StoredDevice& device, std::size_t rows) {
  Statement statement(kFresh, {device.key, storable_time(kFirstMs), storable_time(kLastMs)});
  // A flush gives a row for each event hour, so many flushes have few hours.
  statement.append(" ORDER BY h.event_hour DESC, h.flush_id DESC LIMIT ?", {rows * 8});
  statement.append(") SELECT part, start, place, bytes FROM fresh");
  const auto add = [&](Sql part, Tier tier) {
    for (const PolicyId policy : policies_of(device)) {
      statement.append(" UNION ALL (SELECT ").append(part).append(", ");
      statement.identifier(time_column(tier)).append(", 0::bigint, ");
      statement.identifier(tier == Tier::kWarm ? "chunk" : "data").append(" FROM ");
      statement.identifier(table_name(tier, policy));
      statement.append(" WHERE device_key = ? ORDER BY ", {device.key});
      statement.identifier(time_column(tier)).append(" DESC LIMIT ?)", {rows});
    }
  };
  add("'warm'", Tier::kWarm);
  add("'rollup'", Tier::kRollup1d);
  statement.append(" ORDER BY part, place, start");
  return statement;
}

}  // namespace sluice::tsdb
