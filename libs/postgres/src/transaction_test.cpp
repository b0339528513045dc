#include <sluice/postgres/transaction.h>

#include "test_pool.h"

#include <atomic>
#include <barrier>
#include <thread>

#include <sluice/testing/eventually.h>

#include <gtest/gtest.h>

namespace sluice::postgres {
namespace {

using namespace std::chrono_literals;
using testing::TestDatabase;

/// One database and pool for tests that ask for nothing special.
class TransactionTest : public ::testing::Test {
 protected:
  /// Runs one statement in a transaction of its own.
  Result<Rows> run(Sql sql, Params params = {}, TransactionOptions options = {}) {
    return transaction(*pool, options, [&](Transaction& tx) { return tx.query(sql, params); });
  }

  TestDatabase database;
  TestPool pool{database.config()};
};

TEST_F(TransactionTest, RefusesTextsThatPostgresCannotStore) {
  const auto zero = run("SELECT $1::text", {std::string_view("a\0b", 3)});
  ASSERT_FALSE(zero);
  EXPECT_EQ(zero.error().code(), ErrorCode::kInvalidArgument);
  const auto no_utf8 = run("SELECT $1::text", {"\xff"});
  ASSERT_FALSE(no_utf8);
  EXPECT_EQ(no_utf8.error().code(), ErrorCode::kInvalidArgument);
  EXPECT_TRUE(select_one(*pool));
}

TEST_F(TransactionTest, NamesTheConstraintThatWasViolated) {
  database.execute(
      "CREATE TABLE parents (id int CONSTRAINT parents_pk PRIMARY KEY); "
      "CREATE TABLE t (id int CONSTRAINT t_pk PRIMARY KEY, n int NOT NULL, p int CONSTRAINT "
      "t_parent REFERENCES parents, "
      "CONSTRAINT t_small CHECK (n < 10)); INSERT INTO t VALUES (1, 1)");
  const auto check = [&](Sql sql, ErrorCode code, std::string_view reason) {
    const auto result = run(sql);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code(), code) << result.error().message();
    EXPECT_EQ(result.error().reason(), reason);
  };
  check("INSERT INTO t VALUES (1, 1)", ErrorCode::kAlreadyExists, "t_pk");
  check("INSERT INTO t VALUES (2, 1, 7)", ErrorCode::kFailedPrecondition, "t_parent");
  check("INSERT INTO t VALUES (2, 10)", ErrorCode::kInvalidArgument, "t_small");
  check("INSERT INTO t VALUES (2, NULL)", ErrorCode::kInvalidArgument, "n");
}

TEST_F(TransactionTest, LooksNotCommittedWhenAFailedStatementWasIgnored) {
  database.execute("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)");
  const auto result = transaction(*pool, {}, [](Transaction& tx) -> Result<int> {
    SLUICE_TRY(tx.execute("INSERT INTO t VALUES (2)"));
    static_cast<void>(tx.execute("INSERT INTO t VALUES (1)"));
    return 5;
  });
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), ErrorCode::kAlreadyExists);
  EXPECT_EQ(database.query_value("SELECT count(*) FROM t"), "1");
}

TEST_F(TransactionTest, RollsBackWhenItsFunctionFails) {
  database.execute("CREATE TABLE t (id int)");
  const auto result = transaction(*pool, {}, [](Transaction& tx) -> Result<> {
    SLUICE_TRY_ASSIGN(const std::int64_t changed, tx.execute("INSERT INTO t VALUES (1), (2)"));
    EXPECT_EQ(changed, 2);
    return fail(ErrorCode::kNotFound, "on second thoughts");
  });
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(database.query_value("SELECT count(*) FROM t"), "0");
}

TEST_F(TransactionTest, DoesNotLetAStatementEndIt) {
  const auto result =
      transaction(*pool, {}, [](Transaction& tx) { return tx.execute_script("COMMIT"); });
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), ErrorCode::kInternal);
  EXPECT_TRUE(select_one(*pool));
}

TEST_F(TransactionTest, ChangesNothingWhenReadOnly) {
  database.execute("CREATE TABLE t (id int)");
  EXPECT_FALSE(run("INSERT INTO t VALUES (1)", {}, {.read_only = true}));
  EXPECT_TRUE(run("SELECT * FROM t", {}, {.read_only = true}));
}

TEST_F(TransactionTest, RepeatsSerializationFailuresUntilBothAreDone) {
  database.execute("CREATE TABLE counters (n bigint); INSERT INTO counters VALUES (0)");
  constexpr int kThreads = 2;
  std::barrier both_have_read(kThreads);
  std::atomic<int> attempts{0};
  const auto add_one = [&] {
    bool is_first = true;
    const auto done = transaction(
        *pool, {.isolation = Isolation::kSerializable}, [&](Transaction& tx) -> Result<> {
          ++attempts;
          SLUICE_TRY_ASSIGN(const Rows rows, tx.query("SELECT n FROM counters"));
          if (std::exchange(is_first, false)) both_have_read.arrive_and_wait();
          SLUICE_TRY(
              tx.execute("UPDATE counters SET n = $1", {rows.one().get<std::int64_t>("n") + 1}));
          return {};
        });
    EXPECT_TRUE(done) << done.error().message();
  };
  {
    std::jthread one(add_one);
    std::jthread other(add_one);
  }
  EXPECT_EQ(database.query_value("SELECT n FROM counters"), "2");
  EXPECT_GE(attempts, 3);
}

TEST_F(TransactionTest, GivesUpAfterItsAttempts) {
  int attempts = 0;
  const auto result = transaction(*pool, {.max_attempts = 3}, [&](Transaction& tx) -> Result<> {
    ++attempts;
    return tx.execute_script("DO $$ BEGIN RAISE serialization_failure; END $$");
  });
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), ErrorCode::kAborted);
  EXPECT_EQ(attempts, 3);
}

TEST_F(TransactionTest, PreparesAnewWhenTheTableWasChanged) {
  database.execute("CREATE TABLE t (a int); INSERT INTO t VALUES (1)");
  const Sql all = "SELECT * FROM t";
  ASSERT_TRUE(run(all));
  database.execute("ALTER TABLE t ADD COLUMN b int DEFAULT 2");
  const auto rows = run(all);
  ASSERT_TRUE(rows) << rows.error().message();
  EXPECT_EQ(rows->one().get<std::int32_t>("b"), 2);
}

TEST_F(TransactionTest, KeepsABoundedNumberOfPreparedStatements) {
  std::vector<std::string> texts;
  for (int i = 0; i < 600; ++i) texts.push_back(std::format("SELECT {}", i));
  ASSERT_TRUE(transaction(*pool, {}, [&](Transaction& tx) -> Result<> {
    for (const std::string& text : texts) SLUICE_TRY(tx.query(Sql::from_trusted_text(text)));
    SLUICE_TRY_ASSIGN(const Rows rows, tx.query("SELECT count(*) FROM pg_prepared_statements"));
    EXPECT_LE(rows.one().get<std::int64_t>(0), 256);
    return {};
  }));
}

TEST_F(TransactionTest, FindsTablesOfItsSchemaFirst) {
  database.execute(
      "CREATE SCHEMA device_registry; CREATE TABLE device_registry.t AS SELECT 1 AS n; "
      "CREATE TABLE public.t AS SELECT 2 AS n");
  TestPool own(database.config(), "device_registry");
  const auto rows =
      transaction(*own, {}, [](Transaction& tx) { return tx.query("SELECT n FROM t"); });
  ASSERT_TRUE(rows);
  EXPECT_EQ(rows->one().get<std::int32_t>("n"), 1);
}

TEST(TransactionOutcome, IsUnknownWhenTheAnswerToCommitIsLost) {
  TestDatabase database;
  database.execute("CREATE TABLE t (id int)");
  ProxiedServer server(database.config());
  TestPool pool(server.config);
  int attempts = 0;
  const auto result = transaction(*pool, {.timeout = 1s}, [&](Transaction& tx) -> Result<> {
    ++attempts;
    SLUICE_TRY(tx.execute("INSERT INTO t VALUES (1)"));
    server.proxy->set_faults(sluice::testing::Direction::kDown, {.dropped = true});
    return {};
  });
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().reason(), "outcome_unknown");
  EXPECT_EQ(attempts, 1);
  EXPECT_TRUE(sluice::testing::eventually([&] {
    return database.query_value("SELECT count(*) FROM t") == "1";
  })) << "it was committed, which nobody could know";
}

TEST(TransactionOutcome, IsAFailureWhenTheConnectionIsLostBeforeCommit) {
  TestDatabase database;
  database.execute("CREATE TABLE t (id int)");
  ProxiedServer server(database.config());
  TestPool pool(server.config);
  const auto result = transaction(*pool, {}, [&](Transaction& tx) -> Result<> {
    SLUICE_TRY(tx.execute("INSERT INTO t VALUES (1)"));
    server.proxy->reset();
    SLUICE_TRY(tx.execute("INSERT INTO t VALUES (2)"));
    return {};
  });
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), ErrorCode::kUnavailable);
  EXPECT_EQ(result.error().reason(), "");
  EXPECT_EQ(database.query_value("SELECT count(*) FROM t"), "0");
}

/// Row security as README.md has it.
class RowSecurityTest : public ::testing::Test {
 protected:
  RowSecurityTest() {
    database.execute(
        "CREATE TABLE devices (tenant_id text, id text); "
        "INSERT INTO devices VALUES ('acme', 'a1'), ('acme', 'a2'), ('globex', 'g1'); "
        "ALTER TABLE devices ENABLE ROW LEVEL SECURITY; ALTER TABLE devices FORCE ROW LEVEL "
        "SECURITY; "
        "CREATE POLICY tenant ON devices USING (tenant_id = current_setting('sluice.tenant', true) "
        "OR current_setting('sluice.tenant', true) = '*'); "
        "GRANT SELECT, INSERT ON devices TO " +
        database.ordinary_role());
    Config config = database.config_of_ordinary_role();
    config.pool_size = 1;  // so that what one transaction left behind would be seen by the next
    pool = std::make_unique<TestPool>(config);
  }

  Result<std::int64_t> count(const TransactionOptions& options) {
    return transaction(**pool, options, [](Transaction& tx) -> Result<std::int64_t> {
      SLUICE_TRY_ASSIGN(const Rows rows, tx.query("SELECT count(*) FROM devices"));
      return rows.one().get<std::int64_t>(0);
    });
  }

  TestDatabase database;
  std::unique_ptr<TestPool> pool;
};

TEST_F(RowSecurityTest, ShowsATenantItsOwnRowsAlone) {
  EXPECT_EQ(count({.tenant = TenantId("acme")}), 2);
  EXPECT_EQ(count({.tenant = TenantId("globex")}), 1);
  EXPECT_EQ(count({.tenant = TenantId("nobody")}), 0);
  EXPECT_EQ(count({.all_tenants = true}), 3);
}

TEST_F(RowSecurityTest, ShowsNothingWithoutATenant) {
  EXPECT_EQ(count({}), 0);
  ASSERT_EQ(count({.tenant = TenantId("acme")}), 2);
  EXPECT_EQ(count({}), 0) << "nothing is left over from the transaction before";
  ASSERT_TRUE(transaction(
      **pool, {}, [](Transaction& tx) { return tx.execute_script("SET sluice.tenant = 'acme'"); }));
  EXPECT_EQ(count({}), 0) << "not even what was set for the session";
}

TEST_F(RowSecurityTest, RefusesRowsOfAnotherTenant) {
  const auto inserted = transaction(**pool, {.tenant = TenantId("acme")}, [](Transaction& tx) {
    return tx.execute("INSERT INTO devices VALUES ('globex', 'g2')");
  });
  ASSERT_FALSE(inserted);
  EXPECT_EQ(inserted.error().code(), ErrorCode::kPermissionDenied);
}

TEST_F(RowSecurityTest, RefusesIdsThatAreNone) {
  for (const auto* id : {"*", "", "a'b", "a b"}) {
    const auto result = count({.tenant = TenantId(id)});
    ASSERT_FALSE(result) << id;
    EXPECT_EQ(result.error().code(), ErrorCode::kInvalidArgument);
  }
  EXPECT_FALSE(count({.tenant = TenantId("acme"), .all_tenants = true}));
}

using RowsDeathTest = TransactionTest;

TEST_F(RowsDeathTest, NamesTheColumnThatCannotBeReadAsAsked) {
  const auto rows = run("SELECT 'x'::text AS t, NULL::int AS n, '{1,NULL}'::bigint[] AS a");
  ASSERT_TRUE(rows);
  const Row row = rows->one();
  EXPECT_DEATH(row.get<std::int64_t>("t"), "\"t\"");
  EXPECT_DEATH(row.get<std::int32_t>("n"), "\"n\"");
  EXPECT_DEATH(row.get<std::vector<std::int64_t>>("a"), "\"a\"");
  EXPECT_DEATH(row.text("no_such"), "\"no_such\"");
}

}  // namespace
}  // namespace sluice::postgres
