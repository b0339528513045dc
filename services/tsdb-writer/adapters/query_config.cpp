#include "adapters/query_config.h"

namespace sluice::tsdb {

void QueryConfig::declare(Settings& settings) {
  using namespace std::chrono_literals;
  using std::chrono::days;
  settings.integer("query_connections", &connections, 6, {.min = 1, .max = 1'000},
                   "Reads of queries at once. Less than postgres_pool_size, so that writing never "
                   "waits for a connection.");
  settings.integer(
      "query_max_points", &max_points, 1'000'000, {.min = 1, .max = 100'000'000},
      "Values that one query may answer: windows times series times aggregates, or raw "
      "values, of which the rest is asked for again.");
  settings.integer("query_max_series", &max_series, 2'000, {.min = 1, .max = 100'000},
                   "Series, devices times metrics, that one query may answer.");
  settings.integer("query_max_devices", &max_devices, 1'000, {.min = 1, .max = 100'000},
                   "Devices that one query may read; PromQL looks through 100 times as many.");
  settings.integer("query_max_grouped_windows", &max_grouped_windows, 50'000,
                   {.min = 1, .max = 10'000'000},
                   "Windows of all groups of one query, which are held in memory: about 250 bytes "
                   "each, with quantiles up to 128 KiB (query_max_memory counts them).");
  settings.integer("query_max_promql_samples", &max_promql_samples, 5'000'000,
                   {.min = 1'000, .max = 1'000'000'000},
                   "Samples and buckets of roll-ups that one PromQL query may hold in memory.");
  settings.bytes("query_max_memory", &max_memory, 96_MiB, {.min = 1_MiB, .max = 65'536_MiB},
                 "Memory that one query may hold: samples of PromQL (16 to 32 bytes each), "
                 "buckets of roll-ups (200 to 400 and more), windows of groups. Not counted: the "
                 "stretch of one device that is being read, about 32 MiB.");
  settings.bytes("query_memory", &memory, 192_MiB, {.min = 1_MiB, .max = 1'048'576_MiB},
                 "The same of all queries at once; who meets it is told to try again.");
  settings.duration("query_max_range", &max_range, days(3'660), {.min = 1min, .max = days(36'500)},
                    "Longest range of one query.");
  settings.duration("query_max_raw_range", &max_raw_range, days(31),
                    {.min = 1min, .max = days(3'660)},
                    "Longest range where every sample must be looked at.");
  settings.duration("query_timeout", &timeout, 60s, {.min = 100ms, .max = 10min},
                    "Longest time of one query, its answer's way to a slow reader included.");
}

QueryLimits QueryConfig::limits(QueryMemory& all) const {
  const auto count = [](std::int64_t value) { return static_cast<std::size_t>(value); };
  return {.max_points = count(max_points),
          .max_series = count(max_series),
          .max_devices = count(max_devices),
          .max_range = max_range,
          .max_raw_range = max_raw_range,
          .max_grouped_windows = count(max_grouped_windows),
          .max_promql_samples = count(max_promql_samples),
          .memory = {.max_bytes = static_cast<std::size_t>(max_memory.count), .all = &all},
          .timeout = timeout};
}

}  // namespace sluice::tsdb
