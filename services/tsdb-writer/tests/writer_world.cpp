#include "writer_world.h"

#include <algorithm>
#include <chrono>
#include <format>
#include <stdexcept>
#include <utility>

#include <sluice/kafka/producer.h>
#include <sluice/kafka/record.h>
#include <sluice/kafka/topic_admin.h>
#include <sluice/kafka/topics.h>
#include <sluice/postgres/transaction.h>
#include <sluice/testing/environment.h>
#include <sluice/testing/eventually.h>

#include <unistd.h>

namespace sluice::tsdb::testing {

using namespace std::chrono_literals;

namespace {

template <typename T>
T checked(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message());
  return *std::move(result);
}

}  // namespace

WriterWorld::WriterWorld(bool with_timescaledb)
    : database_(std::make_unique<postgres::testing::TestDatabase>()),
      log_("test", LogLevel::kError, clock_, make_fd_log_sink(STDERR_FILENO)),
      start_ms_(clock_.wall().time_since_epoch().count()),
      hour_of_test_(event_hour_of(clock_.wall()) - kHoursOfTest) {
  if (with_timescaledb) {
    is_possible_ = database_->query_value("SHOW shared_preload_libraries").contains("timescaledb");
    if (is_possible_) database_->execute("CREATE EXTENSION timescaledb");
  }
  begin(database_->config(), surroundings_.settings_of_database(*database_));
}

WriterWorld::WriterWorld(const OwnPostgres& server)
    : log_("test", LogLevel::kError, clock_, make_fd_log_sink(STDERR_FILENO)),
      start_ms_(clock_.wall().time_since_epoch().count()),
      hour_of_test_(event_hour_of(clock_.wall()) - kHoursOfTest) {
  begin(server.config(), {{"SLUICE_POSTGRES_URL", server.config().url}});
}

void WriterWorld::begin(const postgres::Config& database,
                        platform::Environment settings_of_database) {
  kafka::Config kafka;
  kafka.brokers = sluice::testing::require_env("SLUICE_TEST_KAFKA_BROKERS");
  kafka.name_space = surroundings_.kafka_namespace();
  // Tests send before there is a writer, which would make the topics; Kafka does not by itself.
  const auto admin = checked(kafka::open_topic_admin(kafka, log_));
  const auto made =
      admin->ensure(std::vector{kafka::topics::kTelemetryValid, kafka::topics::kTelemetryTimeseries,
                                kafka::topics::kTelemetryLate},
                    30s);
  if (!made) throw std::runtime_error(made.error().message());
  sender_ = std::make_unique<kafka::Sender>(
      checked(kafka::open_producer(kafka, {}, clock_, random_, log_, registry_)), clock_);
  pool_ = checked(postgres::Pool::open(database,
                                       {.schema = std::string(kSchema), .application_name = "test"},
                                       clock_, random_, registry_, log_));
  settings_ = surroundings_.settings();
  settings_.merge(std::move(settings_of_database));
  const crypto::TlsIdentity identity = surroundings_.identity_of("tsdb-writer");
  settings_.merge(platform::Environment{{"SLUICE_HTTP_LISTEN", "127.0.0.1:0"},
                                        {"SLUICE_TLS_CERT_FILE", identity.cert_file},
                                        {"SLUICE_TLS_KEY_FILE", identity.key_file},
                                        {"SLUICE_TLS_CA_FILE", identity.ca_file},
                                        // Whom queries ask about keys: nobody is there.
                                        {"SLUICE_DEVICE_REGISTRY_ADDRESS", "127.0.0.1:1"},
                                        {"SLUICE_BATCH_MAX_AGE", "20ms"},
                                        {"SLUICE_BATCH_MAX_SAMPLES", "5000"},
                                        {"SLUICE_KAFKA_CONSUMER_SESSION_TIMEOUT", "6s"},
                                        {"SLUICE_KAFKA_CONSUMER_FETCH_WAIT", "10ms"},
                                        {"SLUICE_KAFKA_CONSUMER_COMMIT_INTERVAL", "50ms"},
                                        // Content is looked for in hot.
                                        {"SLUICE_COMPACTION_DELAY", "24h"}});
}

platform::Environment WriterWorld::eager_maintenance() {
  return {{"SLUICE_COMPACTION_INTERVAL", "1s"},
          // The hour that is being written into is left alone even when it ends during the test.
          {"SLUICE_COMPACTION_DELAY", "2h"},
          {"SLUICE_COMPACTION_BUSY_PERCENT", "100"},
          // Several slices an hour, so that a kill falls between two of them.
          {"SLUICE_COMPACTION_SLICE_DEVICES", "5"},
          {"SLUICE_RETENTION_INTERVAL", "1s"}};
}

std::unique_ptr<platform::ServiceProcess> WriterWorld::writer(
    platform::Environment settings) const {
  settings.merge(platform::Environment(settings_));
  return std::make_unique<platform::ServiceProcess>("tsdb-writer", std::move(settings));
}

std::unique_ptr<sluice::testing::ChildProcess> WriterWorld::doomed_writer(
    const std::string& crash_point, platform::Environment settings) const {
  settings["SLUICE_CRASH_POINT"] = crash_point;
  settings.merge(platform::Environment(settings_));
  return std::make_unique<sluice::testing::ChildProcess>(sluice::testing::ChildProcess::Options{
      .program = sluice::testing::built_program("tsdb-writer"),
      .environment = std::move(settings)});
}

void WriterWorld::send(const std::vector<Said>& messages, std::string_view topic) {
  std::vector<std::string> keys;
  std::vector<std::string> values;
  for (const Said& said : messages) {
    keys.push_back(said.tenant + "/" + said.device);
    values.push_back(record_of(said));
    store_into(said, wanted_);
  }
  const auto spec = std::ranges::find(kafka::topics::kAll, topic, &kafka::TopicSpec::name);
  std::vector<kafka::Record> records;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const kafka::Partition partition = kafka::partition_for_key(keys[i], spec->partitions);
    records.push_back({.topic = topic, .key = keys[i], .value = values[i], .partition = partition});
    logs_[{std::string(topic), partition.value()}].push_back(messages[i]);
  }
  const auto sent = sender_->send_and_wait(records, 30s);
  if (!sent) throw std::runtime_error(sent.error().message());
}

std::vector<Said> WriterWorld::some_messages(std::size_t count) {
  std::vector<Said> messages;
  for (std::size_t i = 0; i < count; ++i) {
    if (i > 10 && random_.below(10) == 0) {  // said again, word for word, as a redelivery is
      messages.push_back(messages[random_.below(messages.size())]);
      continue;
    }
    const std::int64_t number = made_++;
    const std::int64_t age_ms =
        random_.below(5) == 0 ? static_cast<std::int64_t>(random_.below(7'200'000)) : 0;
    // Never two different values for one time: a word-for-word repeat must not override another.
    messages.push_back(
        {.device = std::format("d{}", number % 23),
         .device_type = number % 2 == 0 ? "meter" : "valve",
         .event_time_ms = start_ms_ - age_ms / 1'000'000 * 1'000'000 + number,
         .readings = {{"temperature", 0.1 * static_cast<double>(number)},
                      {"count", number},
                      {"is_open", number % 3 == 0},
                      {std::format("m{}", number % 7), std::format("v{}", number)}}});
  }
  return messages;
}

std::string WriterWorld::wait_for_content() {
  std::string left;
  sluice::testing::eventually(
      [&] {
        left = difference(wanted_, read_raw(*pool_));
        return left.empty();
      },
      60s);
  return left;
}

std::string WriterWorld::rows_against_positions() {
  Content below;
  const auto read = postgres::run_transaction(
      *pool_, {.all_tenants = true, .read_only = true}, [&](postgres::Transaction& tx) -> Result<> {
        SLUICE_TRY_ASSIGN(const auto rows,
                          tx.query("SELECT topic, partition, next_offset FROM offsets "
                                   "WHERE topic LIKE 'telemetry.%'"));
        for (const auto row : rows) {
          const std::vector<Said>& log =
              logs_[{row.get<std::string>("topic"), row.get<std::int32_t>("partition")}];
          for (std::int64_t i = 0; i < row.get<std::int64_t>("next_offset"); ++i) {
            store_into(log.at(static_cast<std::size_t>(i)), below);
          }
        }
        return {};
      });
  if (!read) throw std::runtime_error(read.error().message());
  return difference(below, read_raw(*pool_));
}

void WriterWorld::make_extension() {
  const auto made =
      postgres::run_transaction(*pool_, {}, [](postgres::Transaction& tx) -> Result<> {
        return tx.execute_script("CREATE EXTENSION timescaledb SCHEMA public");
      });
  if (!made) throw std::runtime_error(made.error().message());
}

bool WriterWorld::move_hour_back() {
  const auto moved = postgres::transaction(
      *pool_, {.all_tenants = true, .timeout = 20s},
      [&](postgres::Transaction& tx) -> Result<bool> {
        // Whoever writes holds these rows until he commits, and waits here afterwards.
        SLUICE_TRY(tx.execute("SELECT FROM hot_hours WHERE arrival_hour > $1 FOR UPDATE",
                              {hour_of_test_}));
        SLUICE_TRY(tx.execute("INSERT INTO hot_hours (arrival_hour) VALUES ($1)", {hour_of_test_}));
        SLUICE_TRY_ASSIGN(const auto kind, tx.query("SELECT partition_manager FROM layout"));
        if (kind.one().text(0) == "plain") {
          SLUICE_TRY(tx.query("SELECT make_partition('hot', $1, $2)",
                              {hour_of_test_, hour_of_test_ + 1h}));
        }
        SLUICE_TRY_ASSIGN(
            const std::int64_t rows,
            tx.execute("WITH moved AS (DELETE FROM hot WHERE arrival > $1 RETURNING *) INSERT INTO "
                       "hot (flush_id, device_key, event_hour, ts_min, ts_max, arrival, n, chunk) "
                       "SELECT flush_id, device_key, event_hour, ts_min, ts_max, $1, n, chunk "
                       "FROM moved",
                       {hour_of_test_}));
        return rows > 0;
      });
  if (moved) hour_of_test_ += 1h;
  return moved.value_or(false);
}

bool WriterWorld::compact_all() {
  return sluice::testing::eventually(
      [&] {
        move_hour_back();
        return count("SELECT count(*) FROM hot") == 0;
      },
      120s);
}

std::int64_t WriterWorld::count(postgres::Sql sql, postgres::Params params,
                                std::chrono::milliseconds timeout) const {
  return postgres::transaction(*pool_, {.all_tenants = true, .timeout = timeout},
                               [&](postgres::Transaction& tx) -> Result<std::int64_t> {
                                 SLUICE_TRY_ASSIGN(const auto rows, tx.query(sql, params));
                                 return rows.one().get<std::int64_t>(0);
                               })
      .value_or(-1);
}

std::int64_t WriterWorld::stored_records() const {
  // Before the first writer there is no such table, and a server that was killed says nothing:
  // whoever goes on without it must not be held up for long.
  return std::max(std::int64_t{0},
                  count("SELECT coalesce(sum(next_offset), 0)::bigint FROM offsets "
                        "WHERE next_offset > 0 AND topic LIKE 'telemetry.%'",
                        {}, 1s));
}

}  // namespace sluice::tsdb::testing
