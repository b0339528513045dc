#include "adapters/compaction_tables.h"

#include <chrono>

#include <sluice/base/check.h>
#include <sluice/base/crash_point.h>

namespace sluice::tsdb {
namespace {

using postgres::Row;
using postgres::Rows;
using postgres::Transaction;

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

}  // namespace

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
