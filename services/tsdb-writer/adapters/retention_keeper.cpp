#include "adapters/retention_keeper.h"

#include <array>
#include <format>

#include <sluice/audit/trail.h>
#include <sluice/base/crash_point.h>
#include <sluice/postgres/transaction.h>

namespace sluice::tsdb {
namespace {

using postgres::Row;
using postgres::Rows;
using postgres::Transaction;
using namespace std::chrono_literals;

// Rows of `devices` changed in one transaction: well under a second.
constexpr std::int64_t kDevicesAtOnce = 5'000;

// Partitions of `hot` that nobody wrote into go this long after their hour, when no clock of a
// database that took over may still be in it.
constexpr std::chrono::hours kEmptyHoursKept{2};

// A partition's files may be many; waiting for the table itself is bounded by
// postgres_lock_timeout.
constexpr std::chrono::minutes kTimeout{1};

constexpr std::array kTiers{Tier::kWarm, Tier::kRollup1m, Tier::kRollup1h, Tier::kRollup1d};

std::optional<std::chrono::milliseconds> kept(const Row& row, std::string_view column) {
  const auto seconds = row.get<std::optional<std::int64_t>>(column);
  if (!seconds) return std::nullopt;
  return std::chrono::seconds(*seconds);
}

Result<std::vector<RetentionPolicy>> read_policies(Transaction& tx) {
  SLUICE_TRY_ASSIGN(
      const Rows rows,
      tx.query(
          "SELECT policy, name, extract(epoch FROM keep_raw)::bigint AS raw, "
          "  extract(epoch FROM keep_rollup_1m)::bigint AS minutes, "
          "  extract(epoch FROM keep_rollup_1h)::bigint AS hours, "
          "  extract(epoch FROM keep_rollup_1d)::bigint AS days FROM policies ORDER BY policy"));
  std::vector<RetentionPolicy> policies;
  for (const Row row : rows) {
    policies.push_back({.id = PolicyId(row.get<std::int16_t>("policy")),
                        .name = row.get<std::string>("name"),
                        .keep_raw = kept(row, "raw"),
                        .keep_rollup_1m = kept(row, "minutes"),
                        .keep_rollup_1h = kept(row, "hours"),
                        .keep_rollup_1d = kept(row, "days")});
  }
  return policies;
}

Result<std::int16_t> number_of_policy(Transaction& tx, std::string_view policy) {
  SLUICE_TRY_ASSIGN(const Rows rows,
                    tx.query("SELECT policy FROM policies WHERE name = $1", {policy}));
  if (rows.empty()) {
    return fail(
        Error(ErrorCode::kNotFound, std::format("there is no retention policy '{}'", policy))
            .with_reason("policy"));
  }
  return rows.one().get<std::int16_t>("policy");
}

Result<std::vector<ClassPolicy>> read_classes(Transaction& tx, const TenantId& tenant) {
  SLUICE_TRY_ASSIGN(
      const Rows rows,
      tx.query("SELECT t.device_type, coalesce(p.name, 'standard') AS policy, "
               "  p.name IS NOT NULL AS is_assigned "
               "FROM (SELECT device_type FROM devices WHERE tenant = $1 UNION "
               "  SELECT device_type FROM class_policies WHERE tenant = $1) t "
               "LEFT JOIN class_policies c ON c.tenant = $1 AND c.device_type = t.device_type "
               "LEFT JOIN policies p USING (policy) ORDER BY t.device_type LIMIT $2",
               {tenant, RetentionBook::kMaxClasses}));
  std::vector<ClassPolicy> classes;
  for (const Row row : rows) {
    classes.push_back({.device_type = row.get<std::string>("device_type"),
                       .policy = row.get<std::string>("policy"),
                       .is_assigned = row.get<bool>("is_assigned")});
  }
  return classes;
}

}  // namespace

RetentionKeeper::RetentionKeeper(postgres::Leadership& leader, PartitionManager& partitions,
                                 const Logger& log, Registry& registry)
    : leader_(leader),
      partitions_(partitions),
      log_(log),
      dropped_(registry.counter("sluice_tsdb_retention_dropped_partitions_total",
                                "Partitions dropped because their time was over.")),
      dropped_bytes_(registry.counter("sluice_tsdb_retention_dropped_bytes_total",
                                      "Bytes of those partitions, indexes included.")),
      moved_devices_(registry.counter("sluice_tsdb_retention_moved_devices_total",
                                      "Devices that got the policy their class has now.")) {}

Result<> RetentionKeeper::run(const std::stop_token& stop) {
  SLUICE_TRY_ASSIGN(const bool leads, leader_.acquire());
  if (!leads) return {};
  SLUICE_TRY(move_devices(stop));
  SLUICE_TRY_ASSIGN(const std::vector<Table> tables, move_horizons());
  SLUICE_CRASH_POINT("tsdb_retention_after_horizons");
  for (const Table& table : tables) {
    if (stop.stop_requested()) return {};
    SLUICE_TRY(drop_expired(table, stop));
  }
  SLUICE_TRY(drop_empty_hours());
  return make_ahead(tables);
}

Result<> RetentionKeeper::move_devices(const std::stop_token& stop) {
  std::int64_t moved = kDevicesAtOnce;
  while (moved == kDevicesAtOnce && !stop.stop_requested()) {
    SLUICE_TRY_ASSIGN(
        moved, leader_.transaction({.all_tenants = true, .timeout = kTimeout}, [](Transaction& tx) {
          return tx.execute(
              "WITH moved AS ("
              "  SELECT d.device_key, coalesce(c.policy, s.policy) AS policy FROM devices d "
              "  CROSS JOIN (SELECT policy FROM policies WHERE name = 'standard') s "
              "  LEFT JOIN class_policies c USING (tenant, device_type) "
              "  WHERE d.policy <> coalesce(c.policy, s.policy) "
              "  ORDER BY d.device_key LIMIT $1 FOR UPDATE OF d) "
              "UPDATE devices d SET policy = moved.policy, earlier_policies = "
              "  array_append(array_remove(array_remove(d.earlier_policies, d.policy), "
              "    moved.policy), d.policy) "
              "FROM moved WHERE moved.device_key = d.device_key",
              {kDevicesAtOnce});
        }));
    moved_devices_.add(static_cast<std::uint64_t>(moved));
  }
  return {};
}

Result<std::vector<RetentionKeeper::Table>> RetentionKeeper::move_horizons() {
  using Tables = std::vector<Table>;
  return leader_.transaction(
      {.all_tenants = true, .timeout = kTimeout}, [](Transaction& tx) -> Result<Tables> {
        // Seconds, since an interval of days is as long as the session's time zone says.
        SLUICE_TRY_ASSIGN(
            const Rows rows,
            tx.query("UPDATE tier_tables t SET dropped_before = greatest(t.dropped_before, "
                     "  coalesce(date_bin(t.width, clock_timestamp() - make_interval(secs => "
                     "    extract(epoch FROM CASE t.tier WHEN 'warm' THEN p.keep_raw "
                     "      WHEN 'rollup_1m' THEN p.keep_rollup_1m "
                     "      WHEN 'rollup_1h' THEN p.keep_rollup_1h "
                     "      ELSE p.keep_rollup_1d END)::double precision), 'epoch'), 'epoch')) "
                     "FROM policies p WHERE p.policy = t.policy "
                     "RETURNING t.table_name, t.dropped_before"));
        Tables tables;
        for (const Row row : rows) {
          tables.push_back({.name = row.get<std::string>("table_name"),
                            .dropped_before = row.get<WallTime>("dropped_before")});
        }
        return tables;
      });
}

Result<> RetentionKeeper::drop_expired(const Table& table, const std::stop_token& stop) {
  SLUICE_TRY_ASSIGN(
      const auto partitions,
      leader_.transaction({.all_tenants = true, .read_only = true, .timeout = kTimeout},
                          [&](Transaction& tx) { return partitions_.list(tx, table.name); }));
  for (const TimePartition& partition : partitions) {
    if (partition.ends > table.dropped_before || stop.stop_requested()) break;
    SLUICE_TRY(leader_.run_transaction(
        {.all_tenants = true, .timeout = kTimeout},
        [&](Transaction& tx) { return partitions_.drop(tx, table.name, partition); }));
    SLUICE_CRASH_POINT("tsdb_retention_after_drop");
    dropped_.add(1);
    dropped_bytes_.add(static_cast<std::uint64_t>(partition.bytes));
    log_.info("partition_dropped", {{"table", table.name},
                                    {"partition", partition.name},
                                    {"ends", format_rfc3339(partition.ends)},
                                    {"bytes", partition.bytes}});
  }
  return {};
}

Result<> RetentionKeeper::drop_empty_hours() {
  return leader_.run_transaction(
      {.all_tenants = true, .timeout = kTimeout}, [&](Transaction& tx) -> Result<> {
        SLUICE_TRY_ASSIGN(const auto partitions, partitions_.list(tx, "hot"));
        for (const TimePartition& partition : partitions) {
          // An hour that was written into has a row in hot_hours until compaction drops it.
          SLUICE_TRY_ASSIGN(
              const Rows rows,
              tx.query(
                  "SELECT $2 <= clock_timestamp() - $3::bigint * interval '1 hour' AND NOT EXISTS "
                  "  (SELECT FROM hot_hours WHERE arrival_hour >= $1 AND arrival_hour < $2) "
                  "AND NOT EXISTS (SELECT FROM hot WHERE arrival >= $1 AND arrival < $2) AS "
                  "is_empty",
                  {partition.starts, partition.ends, kEmptyHoursKept.count()}));
          if (!rows.one().get<bool>("is_empty")) continue;
          SLUICE_TRY(partitions_.drop(tx, "hot", partition));
        }
        return {};
      });
}

Result<> RetentionKeeper::make_ahead(const std::vector<Table>& tables) {
  return leader_.run_transaction(
      {.all_tenants = true, .timeout = kTimeout}, [&](Transaction& tx) -> Result<> {
        SLUICE_TRY_ASSIGN(const Rows rows, tx.query("SELECT clock_timestamp() AS at"));
        const auto now = rows.one().get<WallTime>("at");
        for (const Table& table : tables) {
          SLUICE_TRY(partitions_.ensure(tx, table.name, now, now + 24h));
        }
        return partitions_.ensure(tx, "hot", now, now + 24h);
      });
}

Result<RetentionOverview> RetentionTables::overview(const TenantId& tenant) {
  return postgres::transaction(
      pool_, {.tenant = tenant, .read_only = true},
      [&](Transaction& tx) -> Result<RetentionOverview> {
        RetentionOverview overview;
        SLUICE_TRY_ASSIGN(overview.policies, read_policies(tx));
        SLUICE_TRY_ASSIGN(overview.classes, read_classes(tx, tenant));
        for (const RetentionPolicy& policy : overview.policies) {
          for (const Tier tier : kTiers) {
            if (!policy.keep(tier)) continue;
            SLUICE_TRY_ASSIGN(const auto partitions,
                              partitions_.list(tx, table_name(tier, policy.id)));
            const auto drops = plan_drops(tier, policy, partitions);
            overview.drops.insert(overview.drops.end(), drops.begin(), drops.end());
          }
        }
        return overview;
      });
}

Result<> RetentionTables::check_policy(std::string_view policy) {
  return postgres::run_transaction(pool_, {.read_only = true}, [&](Transaction& tx) -> Result<> {
    SLUICE_TRY(number_of_policy(tx, policy));
    return {};
  });
}

Result<> RetentionTables::set_class_policy(const TenantId& tenant, std::string_view device_type,
                                           std::string_view policy, const ChoiceNotice& notice) {
  return postgres::run_transaction(pool_, {.tenant = tenant}, [&](Transaction& tx) -> Result<> {
    SLUICE_TRY_ASSIGN(const std::int16_t number, number_of_policy(tx, policy));
    SLUICE_TRY(
        tx.execute("INSERT INTO class_policies VALUES ($1, $2, $3) "
                   "ON CONFLICT (tenant, device_type) DO UPDATE SET policy = excluded.policy",
                   {tenant, device_type, number}));
    SLUICE_TRY(
        tx.execute("INSERT INTO class_policy_changes (tenant, device_type, policy, actor) "
                   "VALUES ($1, $2, $3, $4)",
                   {tenant, device_type, number, notice.actor}));
    SLUICE_TRY(
        tx.execute("INSERT INTO outbox (topic, key, value, traceparent) VALUES ($1, $2, $3, $4)",
                   {audit::kTopic, tenant.value(), postgres::BytesView(notice.audit_record),
                    notice.traceparent}));
    return {};
  });
}

}  // namespace sluice::tsdb
