#include <sluice/postgres/leadership.h>

#include "test_pool.h"

#include <sluice/testing/eventually.h>

#include <gtest/gtest.h>

namespace sluice::postgres {
namespace {

using namespace std::chrono_literals;
using sluice::testing::eventually;
using testing::TestDatabase;

Result<> nothing(Transaction&) { return {}; }

TEST(Leadership, IsHeldByOneAtATime) {
  TestDatabase database;
  TestPool one(database.config());
  TestPool other(database.config());
  Leadership first(*one, "registry.outbox");
  Leadership second(*other, "registry.outbox");
  EXPECT_FALSE(first.was_leader());
  EXPECT_EQ(first.acquire(), true);
  EXPECT_EQ(first.acquire(), true);
  EXPECT_EQ(second.acquire(), false);
  EXPECT_TRUE(first.was_leader());
  EXPECT_FALSE(second.was_leader());

  Leadership of_another_name(*other, "registry.retention");
  EXPECT_EQ(of_another_name.acquire(), true);
}

TEST(Leadership, IsHandedOverAtOnceWhenReleased) {
  TestDatabase database;
  TestPool one(database.config());
  TestPool other(database.config());
  Leadership first(*one, "registry.outbox");
  Leadership second(*other, "registry.outbox");
  ASSERT_EQ(first.acquire(), true);
  first.release();
  EXPECT_EQ(second.acquire(), true);
  EXPECT_EQ(first.acquire(), false);
  EXPECT_EQ(first.term(), 1U);
  second.release();
  EXPECT_EQ(first.acquire(), true);
  EXPECT_EQ(first.term(), 2U);
}

TEST(Leadership, RunsTransactionsForTheLeaderAlone) {
  TestDatabase database;
  TestPool pool(database.config());
  Leadership leadership(*pool, "registry.outbox");
  const auto refused = leadership.transaction({}, nothing);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::kFailedPrecondition);
  EXPECT_EQ(refused.error().reason(), "not_leader");
  ASSERT_EQ(leadership.acquire(), true);
  const auto answer = leadership.transaction({}, [](Transaction& tx) -> Result<bool> {
    SLUICE_TRY_ASSIGN(
        const Rows rows,
        tx.query("SELECT count(*) = 1 AND bool_and(pid = pg_backend_pid()) FROM pg_locks "
                 "WHERE locktype = 'advisory' AND granted AND database = "  // others test beside us
                 "(SELECT oid FROM pg_database WHERE datname = current_database())"));
    return rows.one().get<bool>(0);
  });
  EXPECT_EQ(answer, true) << "it runs in the session that holds the lock";
}

TEST(Leadership, PassesToAnotherWhenTheLeadersConnectionIsCut) {
  TestDatabase database;
  ProxiedServer server(database.config());
  TestPool cut_off(server.config);
  TestPool other(database.config());
  Leadership first(*cut_off, "registry.outbox");
  Leadership second(*other, "registry.outbox");
  ASSERT_EQ(first.acquire(), true);
  ASSERT_EQ(second.acquire(), false);
  server.proxy->refuse_connections(true);
  server.proxy->reset();
  EXPECT_TRUE(eventually([&] { return second.acquire().value_or(false); }));

  const auto stale = first.transaction({}, nothing);
  EXPECT_FALSE(stale) << "what it would have written is refused";
  EXPECT_FALSE(first.was_leader());
  EXPECT_FALSE(first.acquire());
  server.proxy->heal();
  EXPECT_TRUE(eventually([&] { return first.acquire().has_value(); }));
  EXPECT_FALSE(first.was_leader());
  EXPECT_TRUE(second.was_leader());
}

TEST(Leadership, AsksAgainInOneSessionWhileAnotherLeads) {
  TestDatabase database;
  TestPool one(database.config());
  TestPool other(database.config());
  Leadership first(*one, "registry.outbox");
  Leadership second(*other, "registry.outbox");
  ASSERT_EQ(first.acquire(), true);
  ASSERT_EQ(second.acquire(), false);
  const auto sessions = [&] {
    return database.query_value(
        "SELECT string_agg(pid::text, ',' ORDER BY pid) FROM pg_stat_activity "
        "WHERE application_name = 'test' AND datname = current_database()");
  };
  const std::string before = sessions();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(second.acquire(), false);
  EXPECT_EQ(sessions(), before);
  // The waiting session may die like any other.
  database.terminate_backends();
  EXPECT_TRUE(eventually([&] { return second.acquire().value_or(false); }));
}

TEST(Leadership, IsLostByALeaderThatTheServerThrewOutInTheMiddleOfATransaction) {
  TestDatabase database;
  database.execute("CREATE TABLE t (id int)");
  TestPool one(database.config());
  TestPool other(database.config());
  Leadership first(*one, "registry.outbox");
  Leadership second(*other, "registry.outbox");
  ASSERT_EQ(first.acquire(), true);
  const auto result = first.transaction({}, [&](Transaction& tx) -> Result<> {
    SLUICE_TRY(tx.execute("INSERT INTO t VALUES (1)"));
    database.terminate_backends();
    EXPECT_TRUE(eventually([&] { return second.acquire().value_or(false); }));
    return {};
  });
  ASSERT_FALSE(result);
  EXPECT_FALSE(first.was_leader());
  EXPECT_EQ(database.query_value("SELECT count(*) FROM t"), "0");
}

}  // namespace
}  // namespace sluice::postgres
