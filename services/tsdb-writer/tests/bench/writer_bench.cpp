// What a sample costs between Kafka and the tables, beside a plain COPY of rows with one value each
// into a table without an index. Kafka, PostgreSQL, the writer and this program share the machine.
//
//   tsdb_writer_bench [DEVICES [TIMES]]    each device says six metrics at each of TIMES seconds
#include "testing/process_cpu.h"
#include "tests/writer_world.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <format>
#include <optional>
#include <print>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <sluice/kafka/producer.h>
#include <sluice/kafka/sender.h>
#include <sluice/postgres/copy_writer.h>
#include <sluice/postgres/transaction.h>
#include <sluice/testing/environment.h>
#include <sluice/testing/sim_random.h>

#include <unistd.h>

namespace sluice::tsdb {
namespace {

using namespace std::chrono_literals;
using testing::cpu_seconds;
using testing::Said;
using testing::WriterWorld;

constexpr std::size_t kMetrics = 6;

template <typename T>
T checked(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message());
  return *std::move(result);
}

/// Sensors: each value wanders by a tenth at a time, and stays as often as it goes.
class Sensors {
 public:
  explicit Sensors(std::size_t devices) : tenths_(devices * kMetrics, 200) {}
  double next(std::size_t device, std::size_t metric) {
    std::int64_t& value = tenths_[device * kMetrics + metric];
    value += static_cast<std::int64_t>(random_.below(4)) / 3 -
             static_cast<std::int64_t>(random_.below(4)) / 3;
    return static_cast<double>(value) / 10;
  }

 private:
  sluice::testing::SimRandom random_{7};
  std::vector<std::int64_t> tenths_;
};

struct Load {
  std::size_t devices = 1'000;
  std::size_t times = 300;
  std::int64_t first_ms = 0;
  std::size_t messages() const { return devices * times; }
  std::size_t samples() const { return messages() * kMetrics; }
};

class Bench {
 public:
  explicit Bench(const Load& load)
      : load_(load),
        pool_(checked(postgres::Pool::open(world_.database().config(),
                                           {.schema = "public", .application_name = "bench"},
                                           clock_, random_, registry_, log_))) {
    load_.first_ms = (clock_.wall() - std::chrono::seconds(load.times)).time_since_epoch().count();
  }

  void run() {
    // The first makes the schema, the second shows what a start alone costs.
    world_.writer(settings(500'000));
    {
      const auto idle = world_.writer(settings(500'000));
      idle_writer_ = cpu_seconds(idle->process().pid());
      idle_backends_ = cpu_of_backends("tsdb-writer");
    }
    produce();
    std::println("{:<34}{:>12}{:>12}{:>12}{:>12}{:>12}", "", "samples/s", "writer us", "backend us",
                 "bytes", "rows");
    copy_narrow_rows("COPY of narrow rows, 500,000 each", 500'000);
    write("batches of 500,000", 500'000);
    copy_narrow_rows("COPY of narrow rows, 6,000 each", 6'000);
    write("batches of 6,000", 6'000);
  }

 private:
  static platform::Environment settings(std::size_t batch_samples) {
    return {{"SLUICE_BATCH_MAX_AGE", "500ms"},
            {"SLUICE_BATCH_MAX_SAMPLES", std::to_string(batch_samples)},
            {"SLUICE_KAFKA_CONSUMER_FETCH_WAIT", "100ms"},
            {"SLUICE_KAFKA_CONSUMER_COMMIT_INTERVAL", "1s"}};
  }

  void produce() {
    kafka::Config config;
    config.brokers = sluice::testing::require_env("SLUICE_TEST_KAFKA_BROKERS");
    config.name_space = world_.surroundings().kafka_namespace();
    kafka::Sender sender(
        checked(kafka::open_producer(config, {}, clock_, random_, log_, registry_)), clock_);
    Sensors sensors(load_.devices);
    std::vector<std::string> keys(load_.devices);
    std::vector<std::string> values(load_.devices);
    std::vector<kafka::Record> records(load_.devices);
    for (std::size_t time = 0; time < load_.times; ++time) {
      for (std::size_t device = 0; device < load_.devices; ++device) {
        Said said{.device = std::format("device-{}", device),
                  .device_type = "meter",
                  .event_time_ms = load_.first_ms + static_cast<std::int64_t>(time) * 1'000};
        for (std::size_t i = 0; i < kMetrics; ++i) {
          said.readings.emplace_back(std::format("metric_{}", i), sensors.next(device, i));
        }
        keys[device] = said.tenant + "/" + said.device;
        values[device] = testing::record_of(said);
        records[device] = {
            .topic = "telemetry.valid", .key = keys[device], .value = values[device]};
      }
      const auto sent = sender.send_and_wait(records, 2min);
      if (!sent) throw std::runtime_error(sent.error().message());
    }
  }

  std::string ask(const std::string& sql) const { return world_.database().query_value(sql); }

  /// By the name of the program: this one asks, too, how far the writer is.
  double cpu_of_backends(const std::string& program) const {
    std::istringstream pids(
        ask("SELECT string_agg(pid::text, ' ') FROM pg_stat_activity WHERE usename = '" +
            world_.database().ordinary_role() + "' AND application_name = '" + program + "'"));
    double seconds = 0;
    for (int pid = 0; pids >> pid;) seconds += cpu_seconds(pid);
    return seconds;
  }

  std::size_t messages_stored() const { return static_cast<std::size_t>(world_.stored_records()); }

  void write(const char* what, std::size_t batch_samples) {
    world_.database().execute("TRUNCATE tsdb.hot; DELETE FROM tsdb.offsets");
    const auto writer = world_.writer(settings(batch_samples));
    // What was stored while it got ready is left out of the rate.
    const std::size_t before = messages_stored();
    const auto began = std::chrono::steady_clock::now();
    while (messages_stored() < load_.messages()) std::this_thread::sleep_for(20ms);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
    const double rate = static_cast<double>((load_.messages() - before) * kMetrics) / took.count();
    tell(what, rate, cpu_seconds(writer->process().pid()) - idle_writer_,
         cpu_of_backends("tsdb-writer") - idle_backends_,
         ask("SELECT sum(pg_total_relation_size(inhrelid)) FROM pg_inherits WHERE inhparent = "
             "'tsdb.hot'::regclass"),
         ask("SELECT count(*) FROM tsdb.hot"));
  }

  /// A table without an index, and as many values in a transaction as a batch of the writer has.
  void copy_narrow_rows(const char* what, std::size_t batch_rows) {
    world_.database().execute(
        "DROP TABLE IF EXISTS narrow; "
        "CREATE TABLE narrow (series bigint, ts timestamptz, value float8)");
    Sensors sensors(load_.devices);
    const auto began = std::chrono::steady_clock::now();
    const double cpu_before = cpu_seconds(::getpid());
    double backend = 0;
    std::optional<double> backend_before;
    for (std::size_t time = 0; time < load_.times;) {
      const auto copied = postgres::run_transaction(
          *pool_, {.all_tenants = true, .timeout = 1min},
          [&](postgres::Transaction& tx) -> Result<> {
            SLUICE_TRY_ASSIGN(const auto rows, tx.query("SELECT pg_backend_pid() AS pid"));
            const double now = cpu_seconds(rows.one().get<std::int32_t>("pid"));
            if (!backend_before) backend_before = now;
            SLUICE_TRY(copy_batch(tx, sensors, time, batch_rows));
            // The same each time, as nobody else takes one from the pool.
            backend = cpu_seconds(rows.one().get<std::int32_t>("pid")) - *backend_before;
            return {};
          });
      if (!copied) throw std::runtime_error(copied.error().message());
    }
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
    tell(what, static_cast<double>(load_.samples()) / took.count(),
         cpu_seconds(::getpid()) - cpu_before, backend,
         ask("SELECT pg_total_relation_size('narrow')"), ask("SELECT count(*) FROM narrow"));
  }

  Result<> copy_batch(postgres::Transaction& tx, Sensors& sensors, std::size_t& time,
                      std::size_t batch_rows) {
    using postgres::ColumnType;
    SLUICE_TRY_ASSIGN(auto copy,
                      postgres::CopyWriter::begin(tx, {.table = "narrow", .schema = "public"},
                                                  {{"series", ColumnType::kInt8},
                                                   {"ts", ColumnType::kTimestamptz},
                                                   {"value", ColumnType::kFloat8}}));
    for (std::size_t rows = 0; rows < batch_rows && time < load_.times; ++time) {
      const WallTime at{
          std::chrono::milliseconds(load_.first_ms + static_cast<std::int64_t>(time) * 1'000)};
      for (std::size_t device = 0; device < load_.devices; ++device) {
        for (std::size_t i = 0; i < kMetrics; ++i, ++rows) {
          copy.int8(static_cast<std::int64_t>(device * kMetrics + i));
          copy.timestamptz(at);
          copy.float8(sensors.next(device, i));
          SLUICE_TRY(copy.end_row());
        }
      }
    }
    SLUICE_TRY(copy.finish());
    return {};
  }

  void tell(const char* what, double rate, double writer, double backend, const std::string& bytes,
            const std::string& rows) const {
    const auto samples = static_cast<double>(load_.samples());
    std::println("{:<34}{:>12.0f}{:>12.3f}{:>12.3f}{:>12.2f}{:>12}", what, rate,
                 writer * 1e6 / samples, backend * 1e6 / samples, std::stod(bytes) / samples, rows);
    std::fflush(stdout);
  }

  Load load_;
  WriterWorld world_;
  SystemClock clock_;
  SystemRandom random_;
  Registry registry_;
  Logger log_{"bench", LogLevel::kError, clock_, make_fd_log_sink(STDERR_FILENO)};
  std::unique_ptr<postgres::Pool> pool_;
  double idle_writer_ = 0;
  double idle_backends_ = 0;
};

}  // namespace
}  // namespace sluice::tsdb

int main(int argc, char** argv) {
  sluice::tsdb::Load load;
  if (argc > 1) load.devices = std::strtoul(argv[1], nullptr, 10);
  if (argc > 2) load.times = std::strtoul(argv[2], nullptr, 10);
  std::println("{} devices, {} metrics, {} times: {} samples", load.devices, sluice::tsdb::kMetrics,
               load.times, load.samples());
  sluice::tsdb::Bench(load).run();
}
