#include "adapters/compaction_tables.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <format>

#include <sluice/base/check.h>
#include <sluice/base/crash_point.h>
#include <sluice/postgres/copy_writer.h>
#include <sluice/postgres/statement.h>

namespace sluice::tsdb {
namespace {

using postgres::Row;
using postgres::Rows;
using postgres::Statement;
using postgres::Transaction;

constexpr WallTime kEpoch{};

constexpr std::array kKeptTiers{Tier::kWarm, Tier::kRollup1m, Tier::kRollup1h, Tier::kRollup1d};

std::int64_t ms_of(WallTime time) { return time.time_since_epoch().count(); }

std::string_view view_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// The devices from `first` on that fit into a slice, and how much they have. By the index on
/// device_key, which gives them in order: the rest of the hour is not looked at.
Result<std::vector<std::int64_t>> choose_devices(Transaction& tx, Slice& slice, std::int64_t first,
                                                 const SliceLimits& limits) {
  SLUICE_TRY_ASSIGN(
      const Rows rows,
      tx.query("SELECT device_key, count(*) AS rows, sum(octet_length(chunk))::bigint AS bytes "
               "FROM hot WHERE arrival = $1 AND device_key >= $2 "
               "GROUP BY device_key ORDER BY device_key LIMIT $3",
               {slice.arrival, first, limits.devices}));
  std::vector<std::int64_t> devices;
  for (const Row row : rows) {
    const auto more_rows = static_cast<std::size_t>(row.get<std::int64_t>("rows"));
    const auto more_bytes = static_cast<std::size_t>(row.get<std::int64_t>("bytes"));
    const bool fits =
        slice.rows + more_rows <= limits.rows && slice.bytes + more_bytes <= limits.bytes;
    if (!devices.empty() && !fits) break;
    slice.rows += more_rows;
    slice.bytes += more_bytes;
    devices.push_back(row.get<std::int64_t>("device_key"));
  }
  return devices;
}

Result<std::map<std::int64_t, DeviceRows>> read_devices(Transaction& tx,
                                                        const std::vector<std::int64_t>& keys) {
  SLUICE_TRY_ASSIGN(const Rows rows,
                    tx.query("SELECT device_key, policy, earlier_policies::bigint[] AS earlier "
                             "FROM devices WHERE device_key = ANY($1::bigint[])",
                             {keys}));
  std::map<std::int64_t, DeviceRows> devices;
  for (const Row row : rows) {
    DeviceRows device{.device = DeviceKey(row.get<std::int64_t>("device_key")),
                      .policy = PolicyId(row.get<std::int16_t>("policy")),
                      .policies = {},
                      .hours = {}};
    device.policies.push_back(device.policy);
    for (const std::int64_t policy : row.get<std::vector<std::int64_t>>("earlier")) {
      device.policies.emplace_back(static_cast<std::int16_t>(policy));
    }
    devices.emplace(device.device.value(), std::move(device));
  }
  return devices;
}

Result<> insert_rows(Transaction& tx, std::string_view table) {
  const bool is_warm = table.starts_with("warm");
  Statement insert("INSERT INTO ");
  insert.identifier(table);
  if (is_warm) {
    insert.append(
        " SELECT device_key, at, ts_min, ts_max, n, bytes FROM compacted WHERE target = ? "
        "ON CONFLICT (device_key, event_hour) DO UPDATE SET ts_min = excluded.ts_min, "
        "  ts_max = excluded.ts_max, n = excluded.n, chunk = excluded.chunk",
        {table});
  } else {
    const Tier tier = table.starts_with("rollup_1m")   ? Tier::kRollup1m
                      : table.starts_with("rollup_1h") ? Tier::kRollup1h
                                                       : Tier::kRollup1d;
    insert.append(
        " SELECT device_key, at, bytes FROM compacted WHERE target = ? ON CONFLICT (device_key, ",
        {table});
    insert.identifier(time_column_of(tier));
    insert.append(") DO UPDATE SET data = excluded.data");
  }
  SLUICE_TRY(tx.execute(insert));
  return {};
}

}  // namespace

std::string_view time_column_of(Tier tier) {
  if (tier == Tier::kRollup1h) return "event_day";
  return tier == Tier::kRollup1d ? "event_month" : "event_hour";
}

void Horizons::set(Tier tier, PolicyId policy, WallTime dropped_before) {
  dropped_before_[{tier, policy}] = dropped_before;
}

WallTime Horizons::of(Tier tier, PolicyId policy) const {
  const auto found = dropped_before_.find({tier, policy});
  return found == dropped_before_.end() ? kEpoch : found->second;
}

bool Horizons::may_be_gone(Tier tier, const std::vector<PolicyId>& policies, WallTime at) const {
  return std::ranges::any_of(policies, [&](PolicyId policy) { return at < of(tier, policy); });
}

Result<std::optional<WallTime>> seal_oldest_hour(Transaction& tx, std::chrono::milliseconds delay) {
  // Strictly the oldest: of two values for one time that of the later hour must come second.
  SLUICE_TRY_ASSIGN(
      const Rows rows,
      tx.query("UPDATE hot_hours SET is_sealed = true "
               "WHERE arrival_hour = (SELECT min(arrival_hour) FROM hot_hours) "
               "  AND arrival_hour + interval '1 hour' + $1::bigint * interval '1 millisecond' "
               "      <= clock_timestamp() "
               "RETURNING arrival_hour",
               {delay.count()}));
  if (rows.empty()) return std::nullopt;
  return rows.one().get<WallTime>("arrival_hour");
}

Result<Slice> read_slice(Transaction& tx, WallTime arrival, const SliceLimits& limits) {
  Slice slice{.arrival = arrival, .devices = {}};
  SLUICE_TRY_ASSIGN(const Rows progress,
                    tx.query("SELECT next_device_key FROM hot_hours "
                             "WHERE arrival_hour = $1 AND is_sealed FOR UPDATE",
                             {arrival}));
  if (progress.empty()) return fail(ErrorCode::kAborted, "the hour is not sealed any more");
  const auto first = progress.one().get<std::int64_t>("next_device_key");
  SLUICE_TRY_ASSIGN(const auto keys, choose_devices(tx, slice, first, limits));
  if (keys.empty()) return slice;
  SLUICE_TRY_ASSIGN(auto devices, read_devices(tx, keys));
  SLUICE_TRY_ASSIGN(const Rows rows,
                    tx.query("SELECT device_key, event_hour, flush_id, chunk FROM hot "
                             "WHERE arrival = $1 AND device_key BETWEEN $2 AND $3 "
                             "ORDER BY device_key, event_hour, flush_id",
                             {arrival, keys.front(), keys.back()}));
  for (const Row row : rows) {
    const auto device = devices.find(row.get<std::int64_t>("device_key"));
    if (device == devices.end()) {
      return fail(ErrorCode::kInternal, "hot has rows of a device that devices has not");
    }
    device->second.hours[row.get<WallTime>("event_hour")].push_back(
        {.flush = row.get<std::int64_t>("flush_id"), .bytes = row.bytes("chunk")});
  }
  for (auto& [key, device] : devices) slice.devices.push_back(std::move(device));
  return slice;
}

Result<Horizons> read_horizons(Transaction& tx) {
  SLUICE_TRY_ASSIGN(const Rows rows, tx.query("SELECT tier, policy, dropped_before "
                                              "FROM tier_tables WHERE policy IS NOT NULL "
                                              "ORDER BY table_name FOR SHARE"));
  Horizons horizons;
  for (const Row row : rows) {
    for (const Tier tier : kKeptTiers) {
      if (row.text("tier") != to_string(tier)) continue;
      horizons.set(tier, PolicyId(row.get<std::int16_t>("policy")),
                   row.get<WallTime>("dropped_before"));
    }
  }
  return horizons;
}

Result<StoredRows> read_rows(Transaction& tx, Tier tier, const std::set<PolicyId>& policies,
                             const std::set<RowPlace>& places, const Horizons& horizons) {
  StoredRows stored;
  if (places.empty()) return stored;
  std::vector<std::int64_t> devices;
  std::vector<std::int64_t> times;
  for (const RowPlace& place : places) {
    devices.push_back(place.device.value());
    times.push_back(ms_of(place.at));
  }
  const auto [first, last] = std::ranges::minmax(times);
  // A few rows out of very many, always by their keys: the planner, who may know nothing yet of
  // partitions as young as these, must not read them whole.
  SLUICE_TRY(
      tx.query("SELECT set_config('enable_hashjoin', 'off', true), "
               "set_config('enable_mergejoin', 'off', true), "
               "set_config('enable_seqscan', 'off', true)"));
  for (const PolicyId policy : policies) {
    Statement select("SELECT a.device_key, a.ms, t.");
    select.append(tier == Tier::kWarm ? postgres::Sql("chunk") : postgres::Sql("data"));
    select.append(
        " AS bytes FROM unnest(?::bigint[], ?::bigint[]) AS a (device_key, ms) "
        "JOIN ",
        {devices, times});
    select.identifier(table_name(tier, policy));
    select.append(" t ON t.device_key = a.device_key AND t.");
    select.identifier(time_column_of(tier));
    select.append(" = to_timestamp(a.ms / 1000) WHERE t.");
    select.identifier(time_column_of(tier));
    // Spelled out, so that only partitions of these times are looked at.
    select.append(" BETWEEN ? AND ?", {WallTime(std::chrono::milliseconds(first)),
                                       WallTime(std::chrono::milliseconds(last))});
    SLUICE_TRY_ASSIGN(const Rows rows, tx.query(select));
    for (const Row row : rows) {
      const RowPlace place{.device = DeviceKey(row.get<std::int64_t>("device_key")),
                           .at = WallTime(std::chrono::milliseconds(row.get<std::int64_t>("ms")))};
      if (place.at < horizons.of(tier, policy)) continue;
      stored.rows.insert_or_assign(
          place, StoredRows::Found{.bytes = row.bytes("bytes"), .policy = policy});
    }
  }
  return stored;
}

Result<> write_rows(Transaction& tx, std::span<const NewRow> rows) {
  using postgres::ColumnType;
  if (rows.empty()) return {};
  // COPY knows no conflicts, hence the detour.
  SLUICE_TRY(tx.execute_script(
      "SET LOCAL client_min_messages = warning; "
      "CREATE TEMPORARY TABLE IF NOT EXISTS compacted (target text, device_key bigint, "
      "  at timestamptz, ts_min timestamptz, ts_max timestamptz, n integer, "
      "  bytes bytea STORAGE EXTERNAL) ON COMMIT DELETE ROWS"));
  SLUICE_TRY_ASSIGN(auto copy, postgres::CopyWriter::begin(tx, {.table = "compacted"},
                                                           {{"target", ColumnType::kText},
                                                            {"device_key", ColumnType::kInt8},
                                                            {"at", ColumnType::kTimestamptz},
                                                            {"ts_min", ColumnType::kTimestamptz},
                                                            {"ts_max", ColumnType::kTimestamptz},
                                                            {"n", ColumnType::kInt4},
                                                            {"bytes", ColumnType::kBytea}}));
  std::set<std::string> tables;
  for (const NewRow& row : rows) {
    tables.insert(row.table);
    copy.text(row.table);
    copy.int8(row.device.value());
    copy.timestamptz(row.at);
    copy.timestamptz(row.first);
    copy.timestamptz(row.last);
    copy.int4(row.times);
    copy.bytea(view_of(row.bytes));
    SLUICE_TRY(copy.end_row());
  }
  SLUICE_TRY(copy.finish());
  for (const std::string& table : tables) SLUICE_TRY(insert_rows(tx, table));
  return {};
}

Result<> set_aside(Transaction& tx, const Slice& slice, DeviceKey device, WallTime hour,
                   std::span<const HotChunk> rows, const Error& reason) {
  for (const HotChunk& row : rows) {
    SLUICE_TRY(tx.execute(
        "INSERT INTO set_aside (flush_id, device_key, event_hour, arrival, chunk, reason) "
        "VALUES ($1, $2, $3, $4, $5, $6)",
        {row.flush, device, hour, slice.arrival, postgres::BytesView{row.bytes},
         reason.message()}));
  }
  return {};
}

Result<> note_progress(Transaction& tx, const Slice& slice) {
  SLUICE_CHECK(!slice.devices.empty());
  SLUICE_TRY(tx.execute("UPDATE hot_hours SET next_device_key = $2 WHERE arrival_hour = $1",
                        {slice.arrival, slice.devices.back().device.value() + 1}));
  return {};
}

Result<> drop_hour(Transaction& tx, PartitionManager& partitions, WallTime arrival) {
  SLUICE_TRY_ASSIGN(const auto all, partitions.list(tx, "hot"));
  for (const TimePartition& partition : all) {
    if (partition.starts > arrival || arrival >= partition.ends) continue;
    SLUICE_TRY(partitions.drop(tx, "hot", partition));
    SLUICE_CRASH_POINT("tsdb_compaction_after_drop");
  }
  SLUICE_TRY(tx.execute("DELETE FROM hot_hours WHERE arrival_hour = $1", {arrival}));
  return {};
}

Result<CompactionDebt> read_debt(Transaction& tx, PartitionManager& partitions,
                                 std::chrono::milliseconds delay) {
  CompactionDebt debt;
  SLUICE_TRY_ASSIGN(
      const Rows rows,
      tx.query("SELECT arrival_hour, extract(epoch FROM clock_timestamp() - arrival_hour "
               "  - interval '1 hour')::double precision AS over_for FROM hot_hours "
               "WHERE arrival_hour + interval '1 hour' + $1::bigint * interval '1 millisecond' "
               "  <= clock_timestamp() ORDER BY arrival_hour",
               {delay.count()}));
  if (rows.empty()) return debt;
  debt.hours = static_cast<std::int64_t>(rows.size());
  debt.oldest_seconds = rows[0].get<double>("over_for");
  const auto newest = rows[rows.size() - 1].get<WallTime>("arrival_hour");
  SLUICE_TRY_ASSIGN(const auto all, partitions.list(tx, "hot"));
  for (const TimePartition& partition : all) {
    if (partition.starts <= newest) debt.bytes += partition.bytes;
  }
  return debt;
}

}  // namespace sluice::tsdb
