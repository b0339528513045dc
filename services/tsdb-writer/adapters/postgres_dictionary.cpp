#include "adapters/postgres_dictionary.h"

#include <chrono>
#include <string>
#include <vector>

#include <sluice/postgres/transaction.h>

namespace sluice::tsdb {
namespace {

using postgres::Row;
using postgres::Rows;
using postgres::Transaction;

// A class that is full stays full, and its devices say so with every message.
constexpr std::chrono::minutes kTellEvery{1};

struct DeviceColumns {
  std::vector<std::string> tenants, devices, fleets, types;
};

DeviceColumns columns_of(std::span<const DeviceIdentity> devices) {
  DeviceColumns columns;
  for (const DeviceIdentity& each : devices) {
    columns.tenants.emplace_back(each.tenant);
    columns.devices.emplace_back(each.device);
    columns.fleets.emplace_back(each.fleet);
    columns.types.emplace_back(each.device_type);
  }
  return columns;
}

struct MetricColumns {
  std::vector<std::string> tenants, device_types, names, units;
  std::vector<std::int64_t> types;
};

MetricColumns columns_of(std::span<const MetricIdentity> metrics) {
  MetricColumns columns;
  for (const MetricIdentity& each : metrics) {
    columns.tenants.emplace_back(each.tenant);
    columns.device_types.emplace_back(each.device_type);
    columns.names.emplace_back(each.name);
    columns.types.push_back(static_cast<std::int64_t>(each.type));
    columns.units.emplace_back(each.unit);
  }
  return columns;
}

Result<Rows> find_devices(Transaction& tx, const DeviceColumns& asked) {
  return tx.query(
      "SELECT d.device_key, coalesce((d.fleet, d.device_type) = (a.fleet, a.device_type), false) "
      "  AS is_current "
      "FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) WITH ORDINALITY "
      "  AS a (tenant, device, fleet, device_type, place) "
      "LEFT JOIN devices d ON d.tenant = a.tenant AND d.device = a.device ORDER BY a.place",
      {asked.tenants, asked.devices, asked.fleets, asked.types});
}

bool all_current(const Rows& rows) {
  for (const Row row : rows) {
    if (!row.get<bool>("is_current")) return false;
  }
  return true;
}

/// In order of name, so that two writers who make the same devices do not wait in a circle.
Result<> write_devices(Transaction& tx, const DeviceColumns& asked) {
  SLUICE_TRY(tx.execute(
      "INSERT INTO devices AS d (tenant, device, fleet, device_type, policy) "
      "SELECT a.tenant, a.device, a.fleet, a.device_type, coalesce(p.policy, 1) "
      "FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) "
      "  AS a (tenant, device, fleet, device_type) "
      "LEFT JOIN class_policies p ON p.tenant = a.tenant AND p.device_type = a.device_type "
      "WHERE NOT EXISTS (SELECT FROM devices k WHERE k.tenant = a.tenant AND k.device = a.device "
      "  AND k.fleet = a.fleet AND k.device_type = a.device_type) "
      "ORDER BY a.tenant, a.device "
      "ON CONFLICT (tenant, device) DO UPDATE SET fleet = excluded.fleet, "
      "  device_type = excluded.device_type",
      {asked.tenants, asked.devices, asked.fleets, asked.types}));
  return {};
}

Result<Rows> find_metrics(Transaction& tx, const MetricColumns& asked) {
  return tx.query(
      "SELECT m.metric_key, m.metric_key IS NOT NULL AND (a.unit = '' OR m.unit = a.unit) "
      "  AS is_current "
      "FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[]) WITH ORDINALITY "
      "  AS a (tenant, device_type, name, type, unit, place) "
      "LEFT JOIN metrics m ON m.tenant = a.tenant AND m.device_type = a.device_type "
      "  AND m.name = a.name AND m.type = a.type ORDER BY a.place",
      {asked.tenants, asked.device_types, asked.names, asked.types, asked.units});
}

/// As many of each class as it has room for, in the order they were asked for.
Result<> write_metrics(Transaction& tx, const MetricColumns& asked, std::int64_t max_per_class) {
  // One at a time: two who count and then add would together go past the limit.
  SLUICE_TRY(tx.query("SELECT pg_advisory_xact_lock(hashtextextended('tsdb.metrics', 0))"));
  SLUICE_TRY(tx.execute(
      "INSERT INTO metrics (tenant, device_type, name, type, unit) "
      "SELECT tenant, device_type, name, type, unit FROM ("
      "  SELECT a.*, row_number() OVER (PARTITION BY a.tenant, a.device_type ORDER BY a.place) "
      "    + (SELECT count(*) FROM metrics k "
      "       WHERE k.tenant = a.tenant AND k.device_type = a.device_type) AS number "
      "  FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[]) WITH ORDINALITY "
      "    AS a (tenant, device_type, name, type, unit, place) "
      "  WHERE NOT EXISTS (SELECT FROM metrics m WHERE m.tenant = a.tenant "
      "    AND m.device_type = a.device_type AND m.name = a.name AND m.type = a.type)"
      ") AS missing WHERE number <= $6",
      {asked.tenants, asked.device_types, asked.names, asked.types, asked.units, max_per_class}));
  SLUICE_TRY(
      tx.execute("UPDATE metrics m SET unit = a.unit "
                 "FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[]) "
                 "  AS a (tenant, device_type, name, type, unit) "
                 "WHERE m.tenant = a.tenant AND m.device_type = a.device_type AND m.name = a.name "
                 "  AND m.type = a.type AND a.unit <> '' AND m.unit <> a.unit",
                 {asked.tenants, asked.device_types, asked.names, asked.types, asked.units}));
  return {};
}

}  // namespace

Result<DictionaryStore::Keys> PostgresDictionary::resolve(std::span<const DeviceIdentity> devices,
                                                          std::span<const MetricIdentity> metrics) {
  const DeviceColumns asked_devices = columns_of(devices);
  const MetricColumns asked_metrics = columns_of(metrics);
  auto keys =
      postgres::transaction(pool_, {.all_tenants = true}, [&](Transaction& tx) -> Result<Keys> {
        Keys found;
        if (!devices.empty()) {
          SLUICE_TRY_ASSIGN(Rows rows, find_devices(tx, asked_devices));
          if (!all_current(rows)) {
            SLUICE_TRY(write_devices(tx, asked_devices));
            SLUICE_TRY_ASSIGN(rows, find_devices(tx, asked_devices));
          }
          for (const Row row : rows) {
            found.devices.emplace_back(row.get<std::int64_t>("device_key"));
          }
        }
        if (!metrics.empty()) {
          SLUICE_TRY_ASSIGN(Rows rows, find_metrics(tx, asked_metrics));
          if (!all_current(rows)) {
            SLUICE_TRY(write_metrics(tx, asked_metrics, options_.max_metrics_per_class));
            SLUICE_TRY_ASSIGN(rows, find_metrics(tx, asked_metrics));
          }
          for (const Row row : rows) {
            const auto key = row.get<std::optional<std::int32_t>>("metric_key");
            found.metrics.push_back(key ? std::optional(MetricKey(*key)) : std::nullopt);
          }
        }
        return found;
      });
  if (!keys) return fail(std::move(keys).error().context("dictionary"));
  for (std::size_t i = 0; i < metrics.size(); ++i) {
    if (!keys->metrics[i]) {
      tell_of_refused(metrics[i]);
      break;
    }
  }
  return keys;
}

void PostgresDictionary::tell_of_refused(const MetricIdentity& metric) {
  if (clock_.mono() < tell_again_at_) return;
  tell_again_at_ = clock_.mono() + kTellEvery;
  log_.warning("metrics_refused", {{"tenant", metric.tenant},
                                   {"device_class", metric.device_type},
                                   {"metric", metric.name},
                                   {"max_metrics_per_class", options_.max_metrics_per_class}});
}

}  // namespace sluice::tsdb
