// No tests but what three of them share; named like one to be built with them and not with the
// adapters.
#include "adapters/maintenance_world.h"

#include "core/storage_layout.h"

#include <format>
#include <span>
#include <stdexcept>
#include <utility>

#include <sluice/postgres/transaction.h>
#include <sluice/series/chunk_builder.h>

#include <unistd.h>

namespace sluice::tsdb::testing {
namespace {

template <typename T>
T checked(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message());
  return *std::move(result);
}

void check(const Result<>& result) {
  if (!result) throw std::runtime_error(result.error().message());
}

constexpr std::string_view kMetrics =
    "INSERT INTO tsdb.metrics (metric_key, tenant, device_type, name, type, unit) "
    "OVERRIDING SYSTEM VALUE VALUES (1, 'blue', 'meter', 'm1', 0, 'C'), "
    "(2, 'blue', 'meter', 'm2', 1, ''), (3, 'blue', 'meter', 'm3', 2, ''), "
    "(4, 'blue', 'meter', 'm4', 3, '')";

void add(series::ChunkBuilder& builder, const Measured& sample) {
  const auto type = static_cast<series::ColumnType>(sample.value.index());
  const MetricKey metric(static_cast<std::int32_t>(sample.value.index()) + 1);
  const auto column = checked(builder.column(column_of_metric(metric), type));
  const std::int64_t at = sample.time.time_since_epoch().count();
  if (const auto* number = std::get_if<double>(&sample.value)) builder.add(column, at, *number);
  if (const auto* integer = std::get_if<std::int64_t>(&sample.value)) {
    builder.add(column, at, *integer);
  }
  if (const auto* truth = std::get_if<bool>(&sample.value)) builder.add(column, at, *truth);
  if (const auto* text = std::get_if<std::string>(&sample.value)) {
    builder.add(column, at, std::string_view(*text));
  }
}

}  // namespace

MaintenanceWorld::MaintenanceWorld(Options options)
    : log_("test", LogLevel::kError, clock_, make_fd_log_sink(STDERR_FILENO)) {
  if (!options.config) {
    database_.emplace();
    if (options.with_timescaledb) {
      is_possible_ =
          database_->query_value("SHOW shared_preload_libraries").contains("timescaledb");
      if (!is_possible_) return;
      database_->execute("CREATE EXTENSION timescaledb");
    }
  }
  storage_ = checked(Storage::open(options.config ? *options.config : database_->config(), "test",
                                   clock_, random_, registry_, log_));
  leader_ = std::make_unique<postgres::Leadership>(storage_->pool(), "tsdb.maintenance");
  if (database_) database_->execute(std::string(kMetrics));
}

void MaintenanceWorld::add_devices(int count, int policy) {
  database_->execute(
      std::format("INSERT INTO tsdb.devices (device_key, tenant, device, device_type, policy) "
                  "OVERRIDING SYSTEM VALUE SELECT i, 'blue', 'd' || i, 'meter', {} FROM "
                  "generate_series(1, {}) i",
                  policy, count));
}

void MaintenanceWorld::flush_bytes(WallTime arrival, std::int64_t device, WallTime hour,
                                   std::string_view bytes) {
  check(postgres::run_transaction(
      storage_->pool(), {.all_tenants = true}, [&](postgres::Transaction& tx) -> Result<> {
        SLUICE_TRY(storage_->partitions().ensure(tx, "hot", arrival, arrival));
        SLUICE_TRY(tx.execute(
            "INSERT INTO hot_hours (arrival_hour) VALUES ($1) ON CONFLICT DO NOTHING", {arrival}));
        SLUICE_TRY(
            tx.execute("INSERT INTO hot (flush_id, device_key, event_hour, ts_min, ts_max, "
                       "  arrival, n, chunk) "
                       "VALUES (nextval('flush'), $1, $2, $2, $2, $3, 1, $4)",
                       {device, hour, arrival, postgres::BytesView{bytes}}));
        return {};
      }));
}

void MaintenanceWorld::flush(WallTime arrival, const std::vector<Measured>& samples) {
  std::map<std::pair<std::int64_t, WallTime>, series::ChunkBuilder> groups;
  for (const Measured& sample : samples) {
    const std::pair place(sample.device, event_hour_of(sample.time));
    add(groups.try_emplace(place, kChunkLimits).first->second, sample);
  }
  for (auto& [place, builder] : groups) {
    std::vector<std::byte> chunk;
    check(builder.build(chunk));
    flush_bytes(arrival, place.first, place.second,
                {reinterpret_cast<const char*>(chunk.data()), chunk.size()});
  }
}

Result<> MaintenanceWorld::compact(const SliceLimits& slice) {
  Compactor compactor({.slice = slice, .busy_percent = 100}, *leader_, storage_->partitions(),
                      clock_, log_, registry_);
  const Result<> done = compactor.run({});
  leader_->release();  // for the next, which may be another process
  return done;
}

Result<> MaintenanceWorld::retain() {
  RetentionKeeper keeper(*leader_, storage_->partitions(), log_, registry_);
  const Result<> done = keeper.run({});
  leader_->release();
  return done;
}

Content MaintenanceWorld::content() {
  return checked(postgres::transaction(
      storage_->pool(), {.all_tenants = true, .read_only = true},
      [](postgres::Transaction& tx) -> Result<Content> {
        SLUICE_TRY_ASSIGN(const auto rows,
                          tx.query("SELECT device, chunk FROM ("
                                   "  SELECT 0::bigint AS flush_id, device_key, chunk FROM warm "
                                   "  UNION ALL SELECT flush_id, device_key, chunk FROM hot) t "
                                   "JOIN devices USING (device_key) ORDER BY flush_id"));
        Content content;
        for (const auto row : rows) {
          const std::string chunk = row.bytes("chunk");
          add_chunk(
              "blue", row.get<std::string>("device"), std::as_bytes(std::span(chunk)),
              [](MetricKey metric) { return std::format("m{}", metric.value()); }, content);
        }
        return content;
      }));
}

std::map<std::string, std::string> MaintenanceWorld::rows(Tier tier) {
  postgres::Statement select("SELECT device_key || ' ' || ");
  select.identifier(time_column_of(tier));
  select.append(tier == Tier::kWarm
                    ? postgres::Sql("::text AS place, encode(chunk, 'hex') AS data")
                    : postgres::Sql("::text AS place, encode(data, 'hex') AS data"));
  select.append(" FROM ");
  select.identifier(to_string(tier));
  const auto found =
      checked(postgres::transaction(storage_->pool(), {.all_tenants = true, .read_only = true},
                                    [&](postgres::Transaction& tx) { return tx.query(select); }));
  std::map<std::string, std::string> rows;
  for (const auto row : found) {
    const auto [place, is_new] =
        rows.emplace(row.get<std::string>("place"), row.get<std::string>("data"));
    if (!is_new) throw std::runtime_error("two rows of one device and time: " + place->first);
  }
  return rows;
}

void store_into(const Measured& sample, Content& content) {
  content[{"blue", std::format("d{}", sample.device), std::format("m{}", sample.value.index() + 1),
           static_cast<int>(sample.value.index()), sample.time.time_since_epoch().count()}] =
      spelled(sample.value);
}

}  // namespace sluice::tsdb::testing
