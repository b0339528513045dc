#include "adapters/tier_rows.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <string_view>

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
  // partitions as young as these, must not read them whole. A plan that has to do what is off (as
  // write_rows() reads its own table) costs so much by the planner's reckoning that PostgreSQL
  // would compile it, which takes far longer than running it.
  SLUICE_TRY(
      tx.query("SELECT set_config('enable_hashjoin', 'off', true), "
               "set_config('enable_mergejoin', 'off', true), "
               "set_config('enable_seqscan', 'off', true), "
               "set_config('jit', 'off', true)"));
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

}  // namespace sluice::tsdb
