#include <sluice/postgres/migrate.h>

#include "test_pool.h"

#include <array>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <latch>
#include <thread>
#include <vector>

#include <sluice/testing/child_process.h>
#include <sluice/testing/environment.h>

#include <gtest/gtest.h>

namespace sluice::postgres {
namespace {

using namespace std::chrono_literals;
using testing::TestDatabase;

constexpr std::array<Migration, 2> kMigrations = {{
    {.number = 1,
     .name = "devices",
     .sql = "CREATE TABLE devices (id int); INSERT INTO devices VALUES (1);"},
    {.number = 2, .name = "more", .sql = "INSERT INTO devices VALUES (2)"},
}};
constexpr std::string_view kSchema = "device_registry";

class MigrateTest : public ::testing::Test {
 protected:
  std::string devices() {
    return database.query_value("SELECT count(*) FROM device_registry.devices");
  }
  std::string applied() {
    return database.query_value(
        "SELECT string_agg(number || name, ' ' ORDER BY number) "
        "FROM device_registry.schema_migrations");
  }

  TestDatabase database;
  TestPool pool{database.config(), std::string(kSchema)};
};

TEST_F(MigrateTest, RunsWhatIsMissingOnce) {
  EXPECT_EQ(migrate(*pool, kSchema, std::span(kMigrations).first(1)), 1U);
  EXPECT_EQ(migrate(*pool, kSchema, kMigrations), 1U);
  EXPECT_EQ(migrate(*pool, kSchema, kMigrations), 0U);
  EXPECT_EQ(applied(), "1devices 2more");
  EXPECT_EQ(devices(), "2");
}

TEST_F(MigrateTest, RunsEachOnceThoughManyInstancesStartTogether) {
  constexpr int kInstances = 8;
  std::latch all_are_ready(kInstances);
  std::atomic<std::size_t> ran{0};
  {
    std::vector<std::jthread> instances;
    for (int i = 0; i < kInstances; ++i) {
      instances.emplace_back([&] {
        TestPool own(database.config(), std::string(kSchema));
        all_are_ready.arrive_and_wait();
        const auto done = migrate(*own, kSchema, kMigrations);
        EXPECT_TRUE(done) << done.error().message();
        ran += done.value_or(0);
      });
    }
  }
  EXPECT_EQ(ran, 2U);
  EXPECT_EQ(devices(), "2");
}

TEST_F(MigrateTest, LeavesNothingOfAMigrationThatFails) {
  const std::array<Migration, 2> broken = {{
      kMigrations[0],
      {.number = 2, .name = "broken", .sql = "INSERT INTO devices VALUES (2); SELECT 1 / 0"},
  }};
  const auto failed = migrate(*pool, kSchema, broken);
  ASSERT_FALSE(failed);
  EXPECT_TRUE(failed.error().message().contains("migration 2 (broken)"))
      << failed.error().message();
  EXPECT_EQ(applied(), "1devices");
  EXPECT_EQ(devices(), "1");
  EXPECT_EQ(migrate(*pool, kSchema, kMigrations), 1U) << "nobody holds the lock any more";
}

TEST_F(MigrateTest, RefusesADatabaseThatIsNewer) {
  ASSERT_TRUE(migrate(*pool, kSchema, kMigrations));
  const auto refused = migrate(*pool, kSchema, std::span(kMigrations).first(1));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::kFailedPrecondition);
  EXPECT_EQ(refused.error().reason(), "schema_is_newer");
}

TEST_F(MigrateTest, RefusesAnotherTextThanTheOneThatWasRunAndRunsNothing) {
  ASSERT_TRUE(migrate(*pool, kSchema, std::span(kMigrations).first(1)));
  std::array<Migration, 2> changed = kMigrations;
  changed[0].sql = "CREATE TABLE devices (id bigint)";
  const auto refused = migrate(*pool, kSchema, changed);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::kFailedPrecondition);
  EXPECT_EQ(refused.error().reason(), "migration_changed");
  EXPECT_EQ(applied(), "1devices");
}

TEST_F(MigrateTest, DoesNotLetAMigrationEndItsTransaction) {
  const std::array<Migration, 1> sly = {
      {{.number = 1, .name = "sly", .sql = "CREATE TABLE devices (id int); COMMIT"}}};
  EXPECT_FALSE(migrate(*pool, kSchema, sly));
}

TEST_F(MigrateTest, WaitsForATableWithoutHoldingUpItsUsersForLong) {
  ASSERT_TRUE(migrate(*pool, kSchema, std::span(kMigrations).first(1)));
  const std::array<Migration, 2> altering = {{
      kMigrations[0],
      {.number = 2, .name = "alter", .sql = "ALTER TABLE devices ADD COLUMN n int"},
  }};
  Config config = database.config();
  config.lock_timeout = 20ms;
  TestPool impatient(config, std::string(kSchema));
  std::jthread migrating;
  ASSERT_TRUE(transaction(*pool, {}, [&](Transaction& tx) -> Result<> {
    SLUICE_TRY(tx.query("SELECT * FROM devices"));
    migrating = std::jthread([&] {
      const auto done = migrate(*impatient, kSchema, altering);
      EXPECT_TRUE(done) << done.error().message();
    });
    // It gives way at least once while we hold the table, and another reader gets through.
    SLUICE_TRY(tx.query("SELECT pg_sleep(0.2)"));
    EXPECT_TRUE(transaction(
        *pool, {}, [](Transaction& other) { return other.query("SELECT * FROM devices"); }));
    return {};
  }));
}

TEST_F(MigrateTest, TellsWhoWaitsForWhomWhenTheLockDoesNotComeFree) {
  ASSERT_TRUE(migrate(*pool, kSchema, kMigrations));
  // The other instance's session: any that holds the lock which migrate() takes.
  const std::array<Migration, 3> slow = {
      {kMigrations[0],
       kMigrations[1],
       {.number = 3, .name = "slow", .sql = "SELECT pg_sleep(30)"}}};
  std::jthread other([&] { EXPECT_FALSE(migrate(*pool, kSchema, slow)); });
  while (database.query_value(
             "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' "
             "AND datname = current_database()") == "0") {
    std::this_thread::yield();
  }
  TestPool impatient(database.config(), std::string(kSchema));
  const auto waited = migrate(*impatient, kSchema, kMigrations, {.timeout = 100ms});
  ASSERT_FALSE(waited);
  EXPECT_EQ(waited.error().code(), ErrorCode::kDeadlineExceeded);
  EXPECT_TRUE(waited.error().message().contains("another instance")) << waited.error().message();
  database.terminate_backends();
}

/// Not a test of its own: the process that the next one kills.
TEST(MigrateProcess, DISABLED_Migrates) {
  Config config;
  config.url = sluice::testing::require_env("SLUICE_TEST_MIGRATE_URL");
  config.password = Secret(sluice::testing::require_env("SLUICE_TEST_MIGRATE_PASSWORD"));
  config.pool_size = 1;
  config.connect_timeout = config.statement_timeout = config.lock_timeout =
      config.idle_in_transaction_timeout = 10s;
  TestPool pool(config, std::string(kSchema));
  ASSERT_TRUE(migrate(*pool, kSchema, kMigrations));
}

TEST_F(MigrateTest, IsTakenUpByTheNextWhenKilledInTheMiddle) {
  const auto killed = sluice::testing::run_program(
      {.program = std::filesystem::read_symlink("/proc/self/exe"),
       .arguments = {"--gtest_also_run_disabled_tests", "--gtest_filter=MigrateProcess.*"},
       .environment = {{"SLUICE_TEST_MIGRATE_URL", database.url_without_password()},
                       {"SLUICE_TEST_MIGRATE_PASSWORD", database.password()},
                       {"SLUICE_CRASH_POINT", "postgres_inside_migration:2"}},
       .address_file = false});
  EXPECT_EQ(killed.status.signal, SIGKILL) << killed.standard_output;
  EXPECT_EQ(migrate(*pool, kSchema, kMigrations), 1U);
  EXPECT_EQ(devices(), "2");
}

}  // namespace
}  // namespace sluice::postgres
