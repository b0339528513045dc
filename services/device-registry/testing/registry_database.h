#pragma once

#include "adapters/postgres_store.h"

#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include <sluice/base/clock.h>
#include <sluice/base/random.h>
#include <sluice/metrics/metrics.h>
#include <sluice/postgres/pool.h>
#include <sluice/postgres/testing/test_database.h>
#include <sluice/testing/captured_log.h>

namespace sluice::registry::testing {

/// A pool with what it needs around it.
struct RegistryPool {
  explicit RegistryPool(postgres::Config config) {
    auto opened = postgres::Pool::open(std::move(config),
                                       {.schema = kSchema, .application_name = "registry_test"},
                                       clock, random, metrics, log->logger("test", clock));
    if (!opened) throw std::runtime_error(opened.error().message());
    pool = *std::move(opened);
  }

  SystemClock clock;
  SystemRandom random;
  Registry metrics;
  std::shared_ptr<sluice::testing::CapturedLog> log =
      std::make_shared<sluice::testing::CapturedLog>();  // and loggers
  std::unique_ptr<postgres::Pool> pool;
};

/// A database with the registry's tables, owned by an ordinary role as in production, so that row
/// security binds whoever uses the pool.
struct RegistryDatabase {
  RegistryDatabase() {
    database.execute("GRANT CREATE ON DATABASE " + database.name() + " TO " +
                     database.ordinary_role());
    const auto migrated = migrate_schema(pool());
    if (!migrated) throw std::runtime_error(migrated.error().message());
  }
  postgres::Pool& pool() { return *opened.pool; }

  postgres::testing::TestDatabase database;
  RegistryPool opened{database.config_of_ordinary_role()};
};

}  // namespace sluice::registry::testing
