#include "testing/stored_content.h"

#include "core/rollup/rollup_block.h"

#include <bit>
#include <format>
#include <map>
#include <stdexcept>
#include <vector>

#include <sluice/postgres/transaction.h>
#include <sluice/series/chunk_reader.h>

namespace sluice::tsdb::testing {
namespace {

template <typename T>
T checked(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message());
  return *std::move(result);
}

/// What a metric's key stands for.
struct Name {
  std::string name;
  int type = 0;
};
using Names = std::map<std::int32_t, Name>;

Result<Names> read_names(postgres::Transaction& tx) {
  Names names;
  SLUICE_TRY_ASSIGN(const auto metrics, tx.query("SELECT metric_key, name, type FROM metrics"));
  for (const auto row : metrics) {
    names[row.get<std::int32_t>("metric_key")] = {.name = row.get<std::string>("name"),
                                                  .type = row.get<std::int16_t>("type")};
  }
  return names;
}

template <typename Read>
auto read_all(postgres::Pool& pool, Read read) {
  return postgres::transaction(
      pool, {.all_tenants = true, .read_only = true, .timeout = std::chrono::minutes(1)}, read);
}

Tier tier_of(std::string_view name) {
  if (name == "1m") return Tier::kRollup1m;
  return name == "1h" ? Tier::kRollup1h : Tier::kRollup1d;
}

std::string bytes_of(const series::Rollup& rollup) {
  std::vector<std::byte> bytes;
  rollup.encode(bytes);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

RollupContent bytes_of(const std::map<RollupContent::key_type, series::Rollup>& rollups) {
  RollupContent content;
  for (const auto& [place, rollup] : rollups) content[place] = bytes_of(rollup);
  return content;
}

/// Of a value as Content spells it.
double number_of(series::ColumnType type, const std::string& value) {
  if (type == series::ColumnType::kDouble) {
    return std::bit_cast<double>(std::stoull(value, nullptr, 16));
  }
  return static_cast<double>(std::stoll(value));
}

std::string spelled_at(const series::ColumnValues& values, std::size_t i) {
  switch (values.type) {
    case series::ColumnType::kDouble:
      return spelled(values.doubles[i]);
    case series::ColumnType::kInt64:
      return spelled(values.integers[i]);
    case series::ColumnType::kBool:
      return spelled(values.booleans[i] != 0);
    default:
      return std::string(values.texts[i]);
  }
}

}  // namespace

void add_chunk(const std::string& tenant, const std::string& device,
               std::span<const std::byte> chunk,
               const std::function<std::string(MetricKey)>& name_of, Content& content) {
  const auto reader = checked(series::ChunkReader::open(chunk, kChunkLimits));
  for (std::size_t i = 0; i < reader.column_count(); ++i) {
    const auto meaning = meaning_of(reader.column(i).key);
    if (!meaning) throw std::runtime_error("a column of no known meaning");
    if (meaning->is_remarks) continue;
    series::Samples samples;
    if (auto read = reader.samples(i, {}, samples); !read) {
      throw std::runtime_error(read.error().message());
    }
    const std::string metric = name_of(*meaning->metric);
    for (std::size_t at = 0; at < samples.timestamps.size(); ++at) {
      content[{tenant, device, metric, static_cast<int>(samples.values.type),
               samples.timestamps[at]}] = spelled_at(samples.values, at);
    }
  }
}

Content read_raw(postgres::Pool& pool) {
  return checked(read_all(pool, [](postgres::Transaction& tx) -> Result<Content> {
    SLUICE_TRY_ASSIGN(
        const auto rows,
        tx.query("SELECT tenant, device, chunk FROM "
                 "(SELECT device_key, chunk, 0::bigint AS place FROM warm UNION ALL "
                 " SELECT device_key, chunk, flush_id FROM hot) t JOIN devices USING (device_key) "
                 "ORDER BY place"));
    // After the rows: a writer beside us makes names of metrics before rows that have them.
    SLUICE_TRY_ASSIGN(const Names names, read_names(tx));
    Content content;
    for (const auto row : rows) {
      const std::string chunk = row.bytes("chunk");
      add_chunk(
          row.get<std::string>("tenant"), row.get<std::string>("device"),
          std::as_bytes(std::span(chunk)),
          [&](MetricKey metric) { return names.at(metric.value()).name; }, content);
    }
    return content;
  }));
}

RollupContent read_rollups(postgres::Pool& pool) {
  return checked(read_all(pool, [](postgres::Transaction& tx) -> Result<RollupContent> {
    SLUICE_TRY_ASSIGN(
        const auto rows,
        tx.query("SELECT tenant, device, tier, start, data FROM "
                 "(SELECT device_key, '1m' AS tier, event_hour AS start, data FROM rollup_1m "
                 " UNION ALL SELECT device_key, '1h', event_day, data FROM rollup_1h "
                 " UNION ALL SELECT device_key, '1d', event_month, data FROM rollup_1d) t "
                 "JOIN devices USING (device_key)"));
    SLUICE_TRY_ASSIGN(const Names names, read_names(tx));
    std::map<RollupContent::key_type, series::Rollup> rollups;
    for (const auto row : rows) {
      const std::string data = row.bytes("data");
      const Tier tier = tier_of(row.text("tier"));
      const auto reader = checked(RollupBlockReader::open(std::as_bytes(std::span(data))));
      for (const auto& [place, rollup] : checked(reader.read_all())) {
        const auto& [metric, bucket] = place;
        const Name& name = names.at(metric.value());
        const WallTime start = row.get<WallTime>("start") + bucket * bucket_width(tier);
        // A device that changes its class has two keys for one name.
        rollups[{tier, row.get<std::string>("tenant"), row.get<std::string>("device"), name.name,
                 name.type, start.time_since_epoch().count()}]
            .merge(rollup);
      }
    }
    return bytes_of(rollups);
  }));
}

RollupContent rollups_of(const Content& content) {
  std::map<RollupContent::key_type, series::Rollup> rollups;
  for (const auto& [place, value] : content) {
    const auto& [tenant, device, metric, type, time] = place;
    if (!is_rolled_up(static_cast<series::ColumnType>(type))) continue;
    for (const Tier tier : {Tier::kRollup1m, Tier::kRollup1h, Tier::kRollup1d}) {
      const std::int64_t width = bucket_width(tier).count();
      rollups[{tier, tenant, device, metric, type, time - time % width}].add(
          time, number_of(static_cast<series::ColumnType>(type), value));
    }
  }
  return bytes_of(rollups);
}

namespace {

/// `spell` tells of one entry what a reader should see.
template <typename Map, typename Spell>
std::string first_differences(const Map& wanted, const Map& found, Spell spell) {
  std::string text;
  std::size_t told = 0;
  const auto tell = [&](const char* what, const typename Map::value_type& entry) {
    if (++told <= 5) text += std::format("{} {}\n", what, spell(entry));
  };
  for (const auto& entry : wanted) {
    const auto other = found.find(entry.first);
    if (other == found.end())
      tell("missing", entry);
    else if (other->second != entry.second)
      tell("wrong", *other);
  }
  for (const auto& entry : found) {
    if (!wanted.contains(entry.first)) tell("invented", entry);
  }
  if (told != 0)
    text += std::format("{} in all, of {} and {}\n", told, wanted.size(), found.size());
  return text;
}

}  // namespace

std::string difference(const Content& wanted, const Content& found) {
  return first_differences(wanted, found, [](const Content::value_type& entry) {
    const auto& [tenant, device, metric, type, time] = entry.first;
    return std::format("{}/{} {} ({}) at {}: {}", tenant, device, metric, type, time, entry.second);
  });
}

std::string difference(const RollupContent& wanted, const RollupContent& found) {
  return first_differences(wanted, found, [](const RollupContent::value_type& entry) {
    const auto& [tier, tenant, device, metric, type, start] = entry.first;
    const auto rollup = series::Rollup::decode(std::as_bytes(std::span(entry.second)));
    return std::format("roll-up {} of {}/{} {} ({}) at {}: {} values, sum {}",
                       static_cast<int>(tier), tenant, device, metric, type, start,
                       rollup ? rollup->count() : 0, rollup ? rollup->sum() : 0);
  });
}

}  // namespace sluice::tsdb::testing
