#pragma once

#include "own_postgres.h"
#include "testing/stored_content.h"
#include "testing/telemetry_source.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sluice/base/clock.h>
#include <sluice/base/random.h>
#include <sluice/kafka/sender.h>
#include <sluice/log/logger.h>
#include <sluice/metrics/metrics.h>
#include <sluice/platform/service_process.h>
#include <sluice/platform/surroundings.h>
#include <sluice/postgres/pool.h>
#include <sluice/postgres/testing/test_database.h>
#include <sluice/postgres/value.h>
#include <sluice/testing/child_process.h>

namespace sluice::tsdb::testing {

/// A source that knows what it sent, Kafka, writers as programs, and their database. Everything is
/// a test's own but the servers.
class WriterWorld {
 public:
  explicit WriterWorld(bool with_timescaledb = false);
  /// With a server that the test may kill in between; database() is not there. It must outlive
  /// this.
  explicit WriterWorld(const OwnPostgres& server);

  /// On a server of the test's own: big tables will be hypertables. Before the first writer.
  void make_extension();

  /// Whether the server can do what was asked for; a test that cannot run skips itself.
  bool is_possible() const { return is_possible_; }

  /// A writer that is ready. `settings` are added to those that make batches small and quick.
  std::unique_ptr<platform::ServiceProcess> writer(platform::Environment settings = {}) const;
  /// One that kills itself at a crash point, which may be before it is ready.
  std::unique_ptr<sluice::testing::ChildProcess> doomed_writer(
      const std::string& crash_point, platform::Environment settings = {}) const;

  /// Appends to the topic in this order and returns when Kafka has all of it. Each counts among
  /// what is wanted.
  void send(const std::vector<Said>& messages, std::string_view topic = "telemetry.valid");
  /// `count` further messages of some devices, of the last hours, a few of them out of order, late
  /// or twice.
  std::vector<Said> some_messages(std::size_t count);

  /// Waits until the tables hold what is wanted; gives the difference that stayed.
  std::string wait_for_content();
  /// The difference between the rows and what lies below the positions in Kafka: while nobody
  /// writes, there is none at any moment, or rows and positions are not of one transaction.
  std::string rows_against_positions();
  /// Makes what has come in so far arrive in an earlier hour, which is over, so that compaction
  /// takes it; of the hours that it is given the next one is later. Whether there was anything;
  /// false also where the database could not. For kHoursOfTest hours at the most.
  bool move_hour_back();
  static constexpr std::chrono::hours kHoursOfTest{2'000};
  /// Moves back whatever there is until everything is compacted; false when it does not come to an
  /// end.
  bool compact_all();
  /// Settings with which a writer compacts what has been moved, and at once.
  static platform::Environment eager_maintenance();

  /// Of all partitions, by their positions; 0 before the first writer and while there is no
  /// server. Any thread.
  std::int64_t stored_records() const;
  /// The number that a statement gives; -1 where the database gives none in time. Any thread.
  std::int64_t count(postgres::Sql sql, postgres::Params params = {},
                     std::chrono::milliseconds timeout = std::chrono::seconds(30)) const;
  postgres::Pool& pool() { return *pool_; }
  const Content& wanted() const { return wanted_; }
  const postgres::testing::TestDatabase& database() const { return *database_; }
  const platform::Surroundings& surroundings() const { return surroundings_; }

 private:
  void begin(const postgres::Config& database, platform::Environment settings_of_database);

  platform::Surroundings surroundings_;
  std::unique_ptr<postgres::testing::TestDatabase> database_;
  bool is_possible_ = true;
  SystemClock clock_;
  SystemRandom random_;
  Registry registry_;
  Logger log_;
  std::unique_ptr<kafka::Sender> sender_;
  std::unique_ptr<postgres::Pool> pool_;
  platform::Environment settings_;
  Content wanted_;
  // What was appended to each partition, in order.
  std::map<std::pair<std::string, std::int32_t>, std::vector<Said>> logs_;
  std::int64_t start_ms_;
  WallTime hour_of_test_;
  std::int64_t made_ = 0;
};

}  // namespace sluice::tsdb::testing
