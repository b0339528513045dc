#pragma once

#include "adapters/schema_store.h"
#include "migrations.h"

#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

#include <sluice/base/clock.h>
#include <sluice/base/random.h>
#include <sluice/metrics/metrics.h>
#include <sluice/postgres/migrate.h>
#include <sluice/postgres/pool.h>
#include <sluice/postgres/testing/test_database.h>
#include <sluice/postgres/transaction.h>
#include <sluice/testing/captured_log.h>
#include <sluice/testing/eventually.h>

namespace sluice::validator::testing {

/// A database with the validator's tables, owned by an ordinary role as in production, so that row
/// security binds whoever uses the pool.
struct ValidatorDatabase {
  /// `last`: the migration to stop at; all of them unless told.
  explicit ValidatorDatabase(std::size_t last = schema_validator::migrations().size()) {
    database.execute("GRANT CREATE ON DATABASE " + database.name() + " TO " +
                     database.ordinary_role());
    auto opened = postgres::Pool::open(
        database.config_of_ordinary_role(),
        {.schema = std::string(kDatabaseSchema), .application_name = "validator_test"}, clock,
        random, metrics, log->logger("test", clock));
    if (!opened) throw std::runtime_error(opened.error().message());
    pool = *std::move(opened);
    migrate(last);
  }
  void migrate(std::size_t last = schema_validator::migrations().size()) {
    const auto migrated =
        postgres::migrate(*pool, kDatabaseSchema, schema_validator::migrations().first(last));
    if (!migrated) throw std::runtime_error(migrated.error().message());
  }

  /// How many rows a transaction of these options sees in a table.
  std::int64_t count(const postgres::TransactionOptions& options, const std::string& table) {
    const std::string text = "SELECT count(*) AS n FROM " + table;
    const auto rows = postgres::transaction(*pool, options, [&](postgres::Transaction& sql) {
      return sql.query(postgres::Sql::from_trusted_text(text));
    });
    if (!rows) throw std::runtime_error(rows.error().message());
    return rows->one().get<std::int64_t>("n");
  }
  /// Whether a statement of this database waits for a lock that another holds, within the time that
  /// tests have.
  bool has_waiting_statement() const {
    return sluice::testing::eventually([&] {
      return database.query_value(
                 "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
                 "AND datname = current_database()") != "0";
    });
  }

  SystemClock clock;
  SystemRandom random;
  Registry metrics;
  // Shared with its loggers.
  std::shared_ptr<sluice::testing::CapturedLog> log =
      std::make_shared<sluice::testing::CapturedLog>();
  postgres::testing::TestDatabase database;
  std::unique_ptr<postgres::Pool> pool;
};

}  // namespace sluice::validator::testing
