#include "adapters/query_source.h"

#include "adapters/query_statement.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <span>
#include <string_view>
#include <utility>

#include <sluice/postgres/statement.h>
#include <sluice/postgres/transaction.h>

namespace sluice::tsdb {
namespace {

using postgres::Row;
using postgres::Rows;
using postgres::Statement;
using postgres::Transaction;
using namespace std::chrono_literals;

// Policies change by hand, seldom; a minute later is early enough for which tier answers.
constexpr std::chrono::seconds kRetentionsKept{60};

DeviceSlice slice_of(const Rows& rows) {
  DeviceSlice slice;
  for (const Row row : rows) {
    const std::string_view part = row.text("part");
    StoredRow stored{.start = row.get<WallTime>("start"), .bytes = row.bytes("bytes")};
    if (part == "fresh") {
      slice.fresh.push_back(std::move(stored));
    } else if (part == "warm") {
      slice.warm.push_back(std::move(stored));
    } else if (part == "rollup") {
      slice.rollups.push_back(std::move(stored));
    } else {
      slice.hours_of_days.push_back(std::move(stored));
    }
  }
  return slice;
}

std::optional<std::chrono::milliseconds> kept(const Row& row, std::string_view column) {
  const auto seconds = row.get<std::optional<std::int64_t>>(column);
  if (!seconds) return std::nullopt;
  return std::chrono::seconds(*seconds);
}

}  // namespace

/// What memory holds, and the event hours that it touches.
struct PostgresSampleSource::Recent {
  std::vector<StoredRow> chunks;
  std::vector<std::string> hours;
};

PostgresSampleSource::PostgresSampleSource(postgres::Pool& pool, std::size_t connections,
                                           const RecentSamples* recent, const Clock& clock,
                                           Registry& registry)
    : pool_(pool),
      free_(static_cast<std::ptrdiff_t>(connections)),
      recent_(recent),
      clock_(clock),
      bytes_read_(registry.counter("sluice_tsdb_query_read_bytes_total",
                                   "Bytes of chunks and roll-ups that queries read.")) {}

PostgresSampleSource::Recent PostgresSampleSource::recent_of(DeviceKey device,
                                                             series::TimeRange range) const {
  Recent recent;
  if (recent_ == nullptr) return recent;
  std::set<WallTime> hours;
  std::vector<std::int64_t> times;
  for (const std::vector<std::byte>& chunk : recent_->of_device(device, range)) {
    const auto reader = series::ChunkReader::open(chunk, kChunkLimits);
    if (!reader || !reader->timestamps(times)) continue;  // made by ourselves a moment ago
    for (const std::int64_t time : times) hours.insert(event_hour_of(storable_time(time)));
    recent.chunks.push_back(
        {.start = event_hour_of(storable_time(times.front())),
         .bytes = std::string(reinterpret_cast<const char*>(chunk.data()), chunk.size())});
  }
  for (const WallTime hour : hours) recent.hours.push_back(format_rfc3339(hour));
  return recent;
}

Result<Rows> PostgresSampleSource::query(const std::optional<TenantId>& tenant,
                                         const Statement& statement, postgres::Answer answer) {
  if (!free_.try_acquire_for(kMaxWait)) {
    return fail(Error(ErrorCode::kResourceExhausted, "too many queries at once")
                    .with_reason("query_connections"));
  }
  auto rows = postgres::transaction(pool_, {.tenant = tenant, .read_only = true},
                                    [&](Transaction& tx) { return tx.query(statement, answer); });
  free_.release();
  return rows;
}

Result<std::vector<TierRetention>> PostgresSampleSource::retentions() {
  {
    const std::lock_guard lock(mutex_);
    if (retentions_read_ && clock_.mono() - *retentions_read_ < kRetentionsKept) {
      return retentions_;
    }
  }
  const Statement search(
      "SELECT policy, extract(epoch FROM keep_raw)::bigint AS raw, "
      "  extract(epoch FROM keep_rollup_1m)::bigint AS minutes, "
      "  extract(epoch FROM keep_rollup_1h)::bigint AS hours, "
      "  extract(epoch FROM keep_rollup_1d)::bigint AS days FROM policies ORDER BY policy");
  SLUICE_TRY_ASSIGN(const Rows rows, query(std::nullopt, search));
  std::vector<TierRetention> found;
  for (const Row row : rows) {
    found.push_back({.policy = PolicyId(row.get<std::int16_t>("policy")),
                     .raw = kept(row, "raw"),
                     .rollup_1m = kept(row, "minutes"),
                     .rollup_1h = kept(row, "hours"),
                     .rollup_1d = kept(row, "days")});
  }
  const std::lock_guard lock(mutex_);
  retentions_ = found;
  retentions_read_ = clock_.mono();
  return found;
}

Result<std::vector<StoredDevice>> PostgresSampleSource::devices(const TenantId& tenant,
                                                                const DeviceFilter& filter,
                                                                std::size_t limit) {
  Statement search(
      "SELECT device_key, device, fleet, device_type, policy, "
      "earlier_policies::bigint[] AS earlier, "
      "ARRAY(SELECT coalesce(a.attributes ->> n, '') "
      "  FROM unnest(?::text[]) WITH ORDINALITY AS u (n, place) LEFT JOIN device_attributes a "
      "    ON a.tenant = devices.tenant AND a.device = devices.device "
      "  ORDER BY place) AS attributes, "
      // Names and values in turn.
      "ARRAY(SELECT unnest(ARRAY[e.key, e.value]) FROM device_attributes a, "
      "  jsonb_each_text(a.attributes) e "
      "  WHERE ? AND a.tenant = devices.tenant AND a.device = devices.device) AS all_attributes "
      "FROM devices",
      {filter.attributes, filter.with_all_attributes});
  search.where("tenant = ?", {tenant});
  if (filter.ids) search.where("device = ANY(?)", {*filter.ids});
  if (filter.fleet) search.where("fleet = ?", {*filter.fleet});
  if (filter.device_type) search.where("device_type = ?", {*filter.device_type});
  for (const DeviceFilter::AttributeIs& each : filter.attributes_are) {
    search.where(
        "device IN (SELECT a.device FROM device_attributes a WHERE a.tenant = ? "
        "AND EXISTS (SELECT FROM unnest(?::text[]) n WHERE a.attributes ->> n = ?))",
        {tenant, each.names, each.value});
  }
  search.append(" ORDER BY device LIMIT ?", {limit});
  SLUICE_TRY_ASSIGN(const Rows rows, query(tenant, search));
  std::vector<StoredDevice> found;
  for (const Row row : rows) {
    StoredDevice& device = found.emplace_back(
        StoredDevice{.key = DeviceKey(row.get<std::int64_t>("device_key")),
                     .id = row.get<std::string>("device"),
                     .fleet = row.get<std::string>("fleet"),
                     .device_type = row.get<std::string>("device_type"),
                     .policy = PolicyId(row.get<std::int16_t>("policy")),
                     .earlier_policies = {},
                     .attributes = row.get<std::vector<std::string>>("attributes")});
    for (const std::int64_t policy : row.get<std::vector<std::int64_t>>("earlier")) {
      device.earlier_policies.emplace_back(static_cast<std::int16_t>(policy));
    }
    auto pairs = row.get<std::vector<std::string>>("all_attributes");
    for (std::size_t i = 0; i + 1 < pairs.size(); i += 2) {
      device.all_attributes.emplace(std::move(pairs[i]), std::move(pairs[i + 1]));
    }
  }
  return found;
}

Result<std::vector<StoredMetric>> PostgresSampleSource::metrics(const TenantId& tenant,
                                                                const MetricFilter& filter,
                                                                std::size_t limit) {
  Statement search("SELECT metric_key, device_type, name, unit, type FROM metrics");
  search.where("tenant = ?", {tenant});
  if (filter.names) search.where("name = ANY(?)", {*filter.names});
  if (filter.device_types) search.where("device_type = ANY(?)", {*filter.device_types});
  if (filter.after) search.where("name > ?", {*filter.after});
  search.append(" ORDER BY name, metric_key LIMIT ?", {limit});
  SLUICE_TRY_ASSIGN(const Rows rows, query(tenant, search));
  std::vector<StoredMetric> found;
  for (const Row row : rows) {
    found.push_back({.key = MetricKey(row.get<std::int32_t>("metric_key")),
                     .device_type = row.get<std::string>("device_type"),
                     .name = row.get<std::string>("name"),
                     .unit = row.get<std::string>("unit"),
                     .type = static_cast<series::ColumnType>(row.get<std::int16_t>("type"))});
  }
  return found;
}

Result<std::vector<std::string>> PostgresSampleSource::attribute_names(const TenantId& tenant,
                                                                       std::size_t limit) {
  Statement search("SELECT DISTINCT name AS text FROM attribute_values");
  search.where("tenant = ?", {tenant});
  search.append(" ORDER BY 1 LIMIT ?", {limit});
  return texts(tenant, search);
}

Result<std::vector<std::string>> PostgresSampleSource::attribute_values(
    const TenantId& tenant, const std::vector<std::string>& names, std::size_t limit) {
  Statement search("SELECT DISTINCT value AS text FROM attribute_values");
  search.where("tenant = ?", {tenant});
  search.where("name = ANY(?)", {names});
  search.append(" ORDER BY 1 LIMIT ?", {limit});
  return texts(tenant, search);
}

Result<std::vector<std::string>> PostgresSampleSource::texts(const TenantId& tenant,
                                                             const Statement& search) {
  SLUICE_TRY_ASSIGN(const Rows rows, query(tenant, search));
  std::vector<std::string> found;
  for (const Row row : rows) found.push_back(row.get<std::string>("text"));
  return found;
}

Result<DeviceSlice> PostgresSampleSource::read(const StoredDevice& device, Tier tier,
                                               series::TimeRange range) {
  // Memory first: what is committed in between is then seen twice, and never not at all.
  Recent recent = recent_of(device.key, fresh_range_of(tier, range));
  return read(slice_statement(device, tier, range, recent.hours), std::move(recent));
}

Result<DeviceSlice> PostgresSampleSource::read_newest(const StoredDevice& device,
                                                      std::size_t rows) {
  Recent recent = recent_of(device.key, {});
  return read(newest_statement(device, rows), std::move(recent));
}

Result<DeviceSlice> PostgresSampleSource::read(const Statement& statement, Recent recent) {
  // Rows of the big tables have no tenant: whose device it is was found out by devices().
  SLUICE_TRY_ASSIGN(const Rows rows, query(std::nullopt, statement, postgres::Answer::kBinary));
  DeviceSlice slice = slice_of(rows);
  std::ranges::move(recent.chunks, std::back_inserter(slice.fresh));
  bytes_read_.add(slice.bytes());
  return slice;
}

}  // namespace sluice::tsdb
