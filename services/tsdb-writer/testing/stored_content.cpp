#include "testing/stored_content.h"

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

Content read_hot(postgres::Pool& pool) {
  return checked(postgres::transaction(
      pool, {.all_tenants = true, .read_only = true, .timeout = std::chrono::minutes(1)},
      [](postgres::Transaction& tx) -> Result<Content> {
        std::map<std::int32_t, std::string> names;
        SLUICE_TRY_ASSIGN(const auto metrics, tx.query("SELECT metric_key, name FROM metrics"));
        for (const auto row : metrics) {
          names[row.get<std::int32_t>("metric_key")] = row.get<std::string>("name");
        }
        SLUICE_TRY_ASSIGN(const auto rows,
                          tx.query("SELECT tenant, device, chunk FROM hot JOIN devices USING "
                                   "(device_key) ORDER BY flush_id"));
        Content content;
        for (const auto row : rows) {
          const std::string chunk = row.bytes("chunk");
          add_chunk(
              row.get<std::string>("tenant"), row.get<std::string>("device"),
              std::as_bytes(std::span(chunk)),
              [&](MetricKey metric) { return names.at(metric.value()); }, content);
        }
        return content;
      }));
}

std::string difference(const Content& wanted, const Content& found) {
  std::string text;
  std::size_t told = 0;
  const auto tell = [&](const char* what, const Content::value_type& entry) {
    if (++told > 5) return;
    const auto& [tenant, device, metric, type, time] = entry.first;
    text += std::format("{} {}/{} {} ({}) at {}: {}\n", what, tenant, device, metric, type, time,
                        entry.second);
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

}  // namespace sluice::tsdb::testing
