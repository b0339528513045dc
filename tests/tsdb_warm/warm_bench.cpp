// What a sample costs once it is compacted: the warm tables of a real PostgreSQL, heap and index,
// after an hour of many devices went through `hot` in flushes of a few samples each.
//
//   tsdb_warm_bench [devices] [flushes]
#include "adapters/compactor.h"
#include "adapters/storage.h"
#include "bench/data_sets.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <print>
#include <stdexcept>
#include <string>
#include <vector>

#include <sluice/postgres/copy_writer.h>
#include <sluice/postgres/leadership.h>
#include <sluice/postgres/testing/test_database.h>
#include <sluice/postgres/transaction.h>
#include <sluice/series/chunk.h>
#include <sluice/series/chunk_reader.h>

#include <unistd.h>

namespace sluice::tsdb {
namespace {

using series::bench::DataSet;
using series::bench::Series;

template <typename T>
T checked(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message());
  return *std::move(result);
}
void check(const Result<>& result) {
  if (!result) throw std::runtime_error(result.error().message());
}

struct Figures {
  std::size_t samples = 0;
  std::int64_t heap_bytes = 0;
  std::int64_t index_bytes = 0;
  std::int64_t hot_bytes = 0;
  double seconds = 0;
  std::string codec;
  double per_sample() const {
    return static_cast<double>(heap_bytes + index_bytes) / static_cast<double>(samples);
  }
};

/// A database with `hot` as writers leave it behind, for one data set.
class World {
 public:
  World()
      : log_("bench", LogLevel::kError, clock_, make_fd_log_sink(STDERR_FILENO)),
        storage_(
            checked(Storage::open(database_.config(), "bench", clock_, random_, registry_, log_))) {
  }

  Figures run(const DataSet& set, std::size_t flushes) {
    Figures figures;
    database_.execute(
        "INSERT INTO tsdb.devices (device_key, tenant, device) OVERRIDING SYSTEM VALUE "
        "SELECT i, 'bench', 'd' || i FROM generate_series(1, " +
        std::to_string(set.series.size()) + ") i");
    for (std::size_t flush = 0; flush < flushes; ++flush) write(set, flush, flushes, figures);
    database_.execute("ANALYZE tsdb.hot");
    figures.hot_bytes = size("tsdb.hot", "pg_total_relation_size");

    postgres::Leadership leader(storage_->pool(), "bench");
    Compactor compactor({.busy_percent = 100}, leader, storage_->partitions(), clock_, log_,
                        registry_);
    const MonoTime began = clock_.mono();
    check(compactor.run({}));
    figures.seconds = std::chrono::duration<double>(clock_.mono() - began).count();
    figures.heap_bytes = size("tsdb.warm_p1", "pg_table_size");
    figures.index_bytes = size("tsdb.warm_p1", "pg_indexes_size");
    figures.codec = codec();
    return figures;
  }

 private:
  /// Of all partitions.
  std::int64_t size(const std::string& table, const std::string& function) const {
    return std::stoll(database_.query_value("SELECT sum(" + function +
                                            "(inhrelid)) FROM pg_inherits WHERE inhparent = '" +
                                            table + "'::regclass"));
  }
  std::string codec() {
    const auto rows = checked(postgres::transaction(
        storage_->pool(), {.all_tenants = true},
        [](postgres::Transaction& tx) { return tx.query("SELECT chunk FROM warm LIMIT 1"); }));
    const std::string chunk = rows.one().bytes("chunk");
    const auto reader =
        checked(series::ChunkReader::open(std::as_bytes(std::span(chunk)), kChunkLimits));
    return std::string(reader.column(0).codec);
  }

  /// The part of every window that one flush had.
  void write(const DataSet& set, std::size_t flush, std::size_t flushes, Figures& figures) {
    const WallTime arrival = event_hour_of(clock_.wall()) - std::chrono::hours(3);
    check(postgres::run_transaction(
        storage_->pool(), {.all_tenants = true}, [&](postgres::Transaction& tx) -> Result<> {
          using postgres::ColumnType;
          SLUICE_TRY(storage_->partitions().ensure(tx, "hot", arrival, arrival));
          SLUICE_TRY(
              tx.execute("INSERT INTO hot_hours (arrival_hour) VALUES ($1) ON CONFLICT DO NOTHING",
                         {arrival}));
          SLUICE_TRY_ASSIGN(auto copy,
                            postgres::CopyWriter::begin(tx, {.table = "hot"},
                                                        {{"flush_id", ColumnType::kInt8},
                                                         {"device_key", ColumnType::kInt8},
                                                         {"event_hour", ColumnType::kTimestamptz},
                                                         {"ts_min", ColumnType::kTimestamptz},
                                                         {"ts_max", ColumnType::kTimestamptz},
                                                         {"arrival", ColumnType::kTimestamptz},
                                                         {"n", ColumnType::kInt4},
                                                         {"chunk", ColumnType::kBytea}}));
          for (std::size_t device = 0; device < set.series.size(); ++device) {
            const Series& series = set.series[device];
            const std::size_t begin = series.timestamps.size() * flush / flushes;
            const std::size_t end = series.timestamps.size() * (flush + 1) / flushes;
            if (begin == end) continue;
            const std::vector<std::int64_t> times = shifted(series, begin, end);
            const auto chunk = chunk_of(series, times, begin, end);
            figures.samples += series.metrics.size() * (end - begin);
            const WallTime first{std::chrono::milliseconds(times.front())};
            copy.int8(static_cast<std::int64_t>(flush) + 1);
            copy.int8(static_cast<std::int64_t>(device) + 1);
            copy.timestamptz(event_hour_of(first));
            copy.timestamptz(first);
            copy.timestamptz(WallTime(std::chrono::milliseconds(times.back())));
            copy.timestamptz(arrival);
            copy.int4(static_cast<std::int32_t>(times.size()));
            copy.bytea({reinterpret_cast<const char*>(chunk.data()), chunk.size()});
            SLUICE_TRY(copy.end_row());
          }
          SLUICE_TRY(copy.finish());
          return {};
        }));
  }

  /// Jitter may put the first sample before the hour: all are moved into it.
  static std::vector<std::int64_t> shifted(const Series& series, std::size_t begin,
                                           std::size_t end) {
    constexpr std::int64_t kIntoTheHour = 1'000;
    std::vector<std::int64_t> times;
    for (std::size_t i = begin; i < end; ++i) {
      times.push_back(series.timestamps[i] + kIntoTheHour);
    }
    return times;
  }
  static std::vector<std::byte> chunk_of(const Series& series,
                                         const std::vector<std::int64_t>& times, std::size_t begin,
                                         std::size_t end) {
    std::vector<std::string> names;
    for (std::size_t m = 0; m < series.metrics.size(); ++m) {
      names.push_back(column_of_metric(MetricKey(static_cast<std::int32_t>(m) + 1)));
    }
    std::vector<series::Column> columns;
    for (std::size_t m = 0; m < series.metrics.size(); ++m) {
      columns.push_back(
          series::Column::of(names[m], std::span(series.metrics[m]).subspan(begin, end - begin)));
    }
    return checked(series::encode_chunk(times, columns, kChunkLimits));
  }

  postgres::testing::TestDatabase database_;
  SystemClock clock_;
  SystemRandom random_;
  Registry registry_;
  Logger log_;
  std::unique_ptr<Storage> storage_;
};

void run(std::size_t devices, std::size_t flushes) {
  std::println("{} devices, an hour each, written by {} flushes", devices, flushes);
  std::println("{:<28} {:>12} {:>9} {:>9} {:>9} {:>9} {:>12} {:>9}", "set", "codec", "B/sample",
               "of table", "of index", "hot B", "samples/s", "rows/s");
  double decimal_bytes = 0;
  int decimal_sets = 0;
  double few_rows_bytes = 0;
  for (const DataSet& set : series::bench::make_data_sets(devices)) {
    const Figures figures = World().run(set, flushes);
    const auto samples = static_cast<double>(figures.samples);
    const auto rows = static_cast<double>(devices * flushes);
    std::println("{:<28} {:>12} {:>9.3f} {:>9.3f} {:>9.3f} {:>9.2f} {:>12.0f} {:>9.0f}", set.name,
                 figures.codec, figures.per_sample(),
                 static_cast<double>(figures.heap_bytes) / samples,
                 static_cast<double>(figures.index_bytes) / samples,
                 static_cast<double>(figures.hot_bytes) / samples, samples / figures.seconds,
                 rows / figures.seconds);
    if (figures.codec != "decimal") continue;
    // Twelve rows an hour are about what a row costs, not about the values.
    if (set.name.contains("12 rows")) {
      few_rows_bytes = figures.per_sample();
      continue;
    }
    decimal_bytes += figures.per_sample();
    ++decimal_sets;
  }
  std::println("average of the {} decimal sets: {:.3f} bytes a sample (promised: 1.37 at most)",
               decimal_sets, decimal_bytes / decimal_sets);
  std::println("with the one of 12 rows an hour: {:.3f}",
               (decimal_bytes + few_rows_bytes) / (decimal_sets + 1));
}

}  // namespace
}  // namespace sluice::tsdb

int main(int argc, char** argv) {
  try {
    const std::size_t devices = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 2'000;
    const std::size_t flushes = argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 12;
    sluice::tsdb::run(std::max<std::size_t>(devices, 1), std::max<std::size_t>(flushes, 1));
  } catch (const std::exception& failure) {
    std::println(stderr, "{}", failure.what());
    return 1;
  }
}
