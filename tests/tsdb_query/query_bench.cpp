// How long queries take from the request's plan to the last byte of its answer as JSON, PostgreSQL
// included: one device, one day, one metric from warm chunks; a year of hours from roll-ups.
#include "adapters/query_source.h"
#include "adapters/storage.h"
#include "core/query/formats.h"
#include "core/query/run.h"
#include "testing/process_cpu.h"
#include "testing/stored_history.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <format>
#include <map>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include <sluice/postgres/copy_writer.h>
#include <sluice/postgres/testing/test_database.h>
#include <sluice/testing/captured_log.h>

#include <unistd.h>

namespace sluice::tsdb {
namespace {

using namespace std::chrono_literals;
using testing::cpu_seconds;
using testing::Sent;

constexpr std::int64_t kHourMs = 3'600'000;
constexpr std::int64_t kDayMs = 24 * kHourMs;
constexpr int kRounds = 51;

template <typename T>
T checked(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message());
  if constexpr (!std::is_void_v<T>) return *std::move(result);
}

class Bench {
 public:
  explicit Bench(int metrics) : metrics_(metrics) {
    const char* values =
        "INSERT INTO tsdb.devices (tenant, device, device_type, policy) VALUES "
        "('blue', 'd1', 'meter', 4)";
    database_.execute(values);
    for (int i = 0; i < metrics_; ++i) {
      database_.execute(
          std::format("INSERT INTO tsdb.metrics (tenant, device_type, name, type) "
                      "VALUES ('blue', 'meter', 'm{}', 0)",
                      i));
    }
    end_ = std::chrono::floor<std::chrono::days>(clock_.wall()).time_since_epoch() / 1ms;
    make_partitions();
  }

  /// As many as there are in service, since looking into an empty one costs, too.
  void make_partitions() {
    const WallTime now = clock_.wall();
    const auto ensure = [&](std::string_view table, WallTime from) {
      checked(postgres::run_transaction(
          storage_->pool(), {.all_tenants = true}, [&](postgres::Transaction& tx) {
            return storage_->partitions().ensure(tx, table, from, now + 24h);
          }));
    };
    ensure("hot", now - 2h);
    ensure(table_name(Tier::kWarm, PolicyId(4)), now - std::chrono::days(30));
    ensure(table_name(Tier::kRollup1h, PolicyId(4)), now - std::chrono::days(365));
  }

  /// All metrics at 1 Hz for a day, hour by hour.
  void fill_day() {
    for (int hour = 0; hour < 24; ++hour) {
      std::vector<Sent> sent;
      const std::int64_t start = end_ - kDayMs + hour * kHourMs;
      for (int second = 0; second < 3'600; ++second) add(sent, start + second * 1'000LL);
      write(Tier::kWarm, start, testing::chunk_of(sent));
    }
  }

  /// All metrics at one value in six minutes for a year, day by day.
  void fill_year() {
    for (int day = 366; day > 0; --day) {
      const std::int64_t start = end_ - day * kDayMs;
      std::vector<Sent> sent;
      for (int i = 0; i < 240; ++i) add(sent, start + i * 360'000LL);
      write(Tier::kRollup1h, start, testing::rollups_of(Tier::kRollup1h, sent));
    }
  }

  void run(const char* name, QueryRequest request) {
    std::vector<double> times;
    AnswerSize size;
    std::string tiers;
    const double cpu_before = cpu_seconds(::getpid());
    const double backends_before = cpu_of_backends();
    for (int round = 0; round < kRounds; ++round) {
      size = {};
      const MonoTime begun = clock_.mono();
      const auto plan = checked(plan_query(*source_, TenantId("blue"), request, {}, clock_.wall()));
      const auto sink = make_format({}, [](std::string_view) { return Result<>(); }, size);
      checked(run_query(*source_, plan, Deadline(clock_, 60s), *sink));
      times.push_back(std::chrono::duration<double, std::milli>(clock_.mono() - begun).count());
      tiers = plan.head.tiers.front();
    }
    std::ranges::sort(times);
    const double ms_per_round = 1e3 / kRounds;
    std::printf(
        "%-38s tier %-4s %8lu points %9lu bytes   median %7.2f ms   95%% %7.2f ms   CPU of program "
        "%6.2f, of PostgreSQL %6.2f ms\n",
        name, tiers.c_str(), static_cast<unsigned long>(size.points),
        static_cast<unsigned long>(size.bytes), times[kRounds / 2], times[kRounds * 95 / 100],
        (cpu_seconds(::getpid()) - cpu_before) * ms_per_round,
        (cpu_of_backends() - backends_before) * ms_per_round);
  }

  /// Of the sessions of this bench, which stay open.
  double cpu_of_backends() const {
    std::istringstream pids(
        database_.query_value("SELECT coalesce(string_agg(pid::text, ' '), '') FROM "
                              "pg_stat_activity WHERE application_name = "
                              "'bench'"));
    double seconds = 0;
    for (int pid = 0; pids >> pid;) seconds += cpu_seconds(pid);
    return seconds;
  }

  void run_all() {
    std::printf("a device with %d metric(s)\n", metrics_);
    const auto at = [](std::int64_t ms) { return WallTime(std::chrono::milliseconds(ms)); };
    const auto hours = Resolution{.kind = Resolution::Kind::kFixed, .width = 1h};
    const QueryRequest day{
        .devices = {"d1"}, .metrics = {"m0"}, .from = at(end_ - kDayMs), .to = at(end_)};
    run("one day at 1 Hz, raw", day);
    QueryRequest seconds = day;
    seconds.resolution = {.kind = Resolution::Kind::kFixed, .width = 10s};
    seconds.aggregates = {Aggregate::kAvg, Aggregate::kMax};
    run("one day at 1 Hz, avg and max of 10 s", seconds);
    QueryRequest year = day;
    year.from = at(end_ - 364 * kDayMs);
    year.resolution = hours;
    year.aggregates = {Aggregate::kAvg, Aggregate::kMin, Aggregate::kMax};
    run("a year of hours, avg, min, max", year);
    year.aggregates = {Aggregate::kP95};
    run("a year of hours, p95", year);
  }

 private:
  void add(std::vector<Sent>& sent, std::int64_t time) {
    for (int i = 0; i < metrics_; ++i) {
      const double value =
          std::round(200 + 30 * std::sin(static_cast<double>(time) * 1e-6 + i)) / 10;
      sent.push_back({MetricKey(i + 1), time, value});
    }
  }

  void write(Tier tier, std::int64_t start, const std::string& bytes) {
    const WallTime time{std::chrono::milliseconds(start)};
    const std::string table = table_name(tier, PolicyId(4));
    checked(postgres::run_transaction(
        storage_->pool(), {.all_tenants = true}, [&](postgres::Transaction& tx) -> Result<> {
          SLUICE_TRY(storage_->partitions().ensure(tx, table, time, time + 1h));
          if (tier == Tier::kWarm) {
            SLUICE_TRY_ASSIGN(auto copy, postgres::CopyWriter::begin(
                                             tx, {.table = table},
                                             {{"device_key", postgres::ColumnType::kInt8},
                                              {"event_hour", postgres::ColumnType::kTimestamptz},
                                              {"ts_min", postgres::ColumnType::kTimestamptz},
                                              {"ts_max", postgres::ColumnType::kTimestamptz},
                                              {"n", postgres::ColumnType::kInt4},
                                              {"chunk", postgres::ColumnType::kBytea}}));
            copy.int8(1), copy.timestamptz(time), copy.timestamptz(time), copy.timestamptz(time);
            copy.int4(1), copy.bytea(bytes);
            SLUICE_TRY(copy.end_row());
            return copy.finish().transform([](std::int64_t) {});
          }
          SLUICE_TRY_ASSIGN(auto copy, postgres::CopyWriter::begin(
                                           tx, {.table = table},
                                           {{"device_key", postgres::ColumnType::kInt8},
                                            {"event_day", postgres::ColumnType::kTimestamptz},
                                            {"data", postgres::ColumnType::kBytea}}));
          copy.int8(1), copy.timestamptz(time), copy.bytea(bytes);
          SLUICE_TRY(copy.end_row());
          return copy.finish().transform([](std::int64_t) {});
        }));
  }

  const int metrics_;
  postgres::testing::TestDatabase database_;
  SystemClock clock_;
  SystemRandom random_;
  Registry registry_;
  std::shared_ptr<sluice::testing::CapturedLog> lines_ =
      std::make_shared<sluice::testing::CapturedLog>();
  Logger log_ = lines_->logger("bench", clock_);
  std::unique_ptr<Storage> storage_ =
      checked(Storage::open(database_.config(), "bench", clock_, random_, registry_, log_));
  std::unique_ptr<PostgresSampleSource> source_ =
      std::make_unique<PostgresSampleSource>(storage_->pool(), 4, nullptr, clock_, registry_);
  std::int64_t end_ = 0;
};

}  // namespace
}  // namespace sluice::tsdb

int main() {
  for (const int metrics : {1, 10}) {
    sluice::tsdb::Bench bench(metrics);
    bench.fill_day();
    bench.fill_year();
    bench.run_all();
  }
}
