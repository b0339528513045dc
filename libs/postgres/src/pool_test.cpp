#include <sluice/postgres/pool.h>

#include "test_pool.h"

#include <atomic>
#include <chrono>
#include <latch>
#include <thread>
#include <vector>

#include <sluice/testing/eventually.h>

#include <gtest/gtest.h>

namespace sluice::postgres {
namespace {

using namespace std::chrono_literals;
using sluice::testing::eventually;
using testing::TestDatabase;

/// Short where a test waits for it to pass.
Config impatient(Config config) {
  config.connect_timeout = 200ms;
  config.statement_timeout = 2s;
  config.lock_timeout = 1s;
  return config;
}

TEST(Pool, RefusesAConfigurationThatCannotWork) {
  SystemClock clock;
  SystemRandom random;
  Registry registry;
  auto log = std::make_shared<sluice::testing::CapturedLog>();
  Config config;
  config.url = "postgresql://user:password@localhost/x";
  config.pool_size = 1;
  config.connect_timeout = config.statement_timeout = config.lock_timeout =
      config.idle_in_transaction_timeout = 1s;
  const auto pool = Pool::open(config, {.schema = "", .application_name = ""}, clock, random,
                               registry, log->logger("test", clock));
  ASSERT_FALSE(pool);
  EXPECT_EQ(pool.error().code(), ErrorCode::kInvalidArgument);
}

TEST(Pool, NeverHasMoreConnectionsThanItsSize) {
  TestDatabase database;
  Config config = database.config();
  config.pool_size = 3;
  TestPool pool(config);
  std::atomic<int> failures{0};
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 12; ++i) {
      threads.emplace_back([&] {
        for (int j = 0; j < 5; ++j) {
          if (!select_one(*pool)) ++failures;
        }
      });
    }
  }
  EXPECT_EQ(failures, 0);
  EXPECT_EQ(pool.registry
                .counter("sluice_postgres_connects_total", "Attempts to connect to PostgreSQL.",
                         {{"outcome", "connected"}})
                .value(),
            std::stoull(database.query_value(
                "SELECT count(*) FROM pg_stat_activity "
                "WHERE datname = current_database() AND application_name = 'test'")));
  EXPECT_LE(database.query_value(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                "AND application_name = 'test'"),
            "3");
  EXPECT_EQ((*pool).in_use(), 0U);
}

TEST(Pool, SaysThatItIsExhaustedAndGoesOnWhenAConnectionComesBack) {
  TestDatabase database;
  Config config = database.config();
  config.pool_size = 1;
  TestPool pool(config);
  const auto outer = transaction(*pool, {}, [&](Transaction&) -> Result<int> {
    const auto inner = select_one(*pool, {.timeout = 50ms});
    EXPECT_FALSE(inner);
    if (!inner) {
      EXPECT_EQ(inner.error().code(), ErrorCode::kResourceExhausted);
      EXPECT_TRUE(inner.error().message().contains("postgres_pool_size"));
    }
    return 1;
  });
  ASSERT_TRUE(outer);
  EXPECT_TRUE(select_one(*pool));
}

TEST(Pool, IsReadyWhileAllItsConnectionsAreAtWork) {
  TestDatabase database;
  Config config = database.config();
  config.pool_size = 1;
  TestPool pool(config);
  ASSERT_TRUE(transaction(*pool, {}, [&](Transaction&) -> Result<> { return (*pool).ping(); }));
}

TEST(Pool, OutlivesThatTheServerEndsItsSessions) {
  TestDatabase database;
  TestPool pool(database.config());
  ASSERT_TRUE(select_one(*pool));
  ASSERT_GE(database.terminate_backends(), 1);
  EXPECT_TRUE(select_one(*pool)) << "a connection found dead at BEGIN is replaced";
  ASSERT_GE(database.terminate_backends(), 1);
  EXPECT_TRUE((*pool).ping());
}

TEST(Pool, TellsAtOnceThatThereIsNoServerAndFindsItAgain) {
  TestDatabase database;
  ProxiedServer server(impatient(database.config()));
  server.proxy->refuse_connections(true);
  TestPool pool(server.config);
  for (int i = 0; i < 20; ++i) {
    const auto answer = select_one(*pool);
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code(), ErrorCode::kUnavailable) << answer.error().message();
  }
  EXPECT_FALSE((*pool).ping());
  EXPECT_EQ(pool.log->count("postgres_down"), 1U) << "once, not for each caller";
  EXPECT_LT(server.proxy->stats().refused, 21U) << "callers do not each try";
  server.proxy->refuse_connections(false);
  EXPECT_TRUE(eventually([&] { return (*pool).ping().has_value(); }));
  EXPECT_TRUE(select_one(*pool));
  EXPECT_EQ(pool.log->count("postgres_up"), 1U);
}

TEST(Pool, GoesOnAfterAllConnectionsWereReset) {
  TestDatabase database;
  ProxiedServer server(database.config());
  TestPool pool(server.config);
  ASSERT_TRUE(select_one(*pool));
  server.proxy->reset();
  EXPECT_TRUE(select_one(*pool));
}

TEST(Pool, GivesUpOnAServerThatHasStoppedAnsweringAndComesBack) {
  TestDatabase database;
  ProxiedServer server(impatient(database.config()));
  TestPool pool(server.config);
  ASSERT_TRUE(select_one(*pool));
  server.proxy->freeze();
  const auto answer = select_one(*pool, {.timeout = 30s});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code(), ErrorCode::kUnavailable) << "long before its own deadline";
  server.proxy->thaw();
  EXPECT_TRUE(eventually([&] { return select_one(*pool).has_value(); }));
}

TEST(Pool, DoesNotCallTheServerDownBecauseOneCallerHadTooLittleTimeToConnect) {
  TestDatabase database;
  ProxiedServer server(database.config());
  server.config.connect_timeout = 30s;
  TestPool pool(server.config);
  server.proxy->freeze();
  const auto hasty = select_one(*pool, {.timeout = 50ms});
  ASSERT_FALSE(hasty);
  EXPECT_EQ(hasty.error().code(), ErrorCode::kDeadlineExceeded) << hasty.error().message();
  EXPECT_EQ(pool.log->count("postgres_down"), 0U);
  server.proxy->thaw();
  EXPECT_TRUE(select_one(*pool)) << "nobody else is told that the server is down";
}

TEST(Pool, FindsTheServerAgainThoughTheCallerWhoLookedForItHadTooLittleTime) {
  TestDatabase database;
  ProxiedServer server(database.config());
  server.config.connect_timeout = 30s;
  TestPool pool(server.config);
  server.proxy->refuse_connections(true);
  ASSERT_FALSE(select_one(*pool));
  server.proxy->freeze();
  server.proxy->refuse_connections(false);
  ASSERT_TRUE(eventually([&] {
    const auto hasty = select_one(*pool, {.timeout = 50ms});
    return !hasty && hasty.error().code() == ErrorCode::kDeadlineExceeded;
  }));
  server.proxy->thaw();
  EXPECT_TRUE(eventually([&] { return select_one(*pool).has_value(); }));
}

TEST(Pool, EndsAStatementAtItsDeadlineThoughTheServerIsSilent) {
  TestDatabase database;
  ProxiedServer server(database.config());
  TestPool pool(server.config);
  const auto answer = transaction(*pool, {.timeout = 300ms}, [&](Transaction& tx) -> Result<> {
    server.proxy->freeze();
    SLUICE_TRY(tx.query("SELECT 1"));
    return {};
  });
  server.proxy->heal();
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code(), ErrorCode::kDeadlineExceeded);
  EXPECT_TRUE(select_one(*pool));
}

TEST(Pool, KeepsTheConnectionWhenTheServerEndsAStatementInTime) {
  TestDatabase database;
  Config config = database.config();
  config.pool_size = 1;
  TestPool pool(config);
  const auto backend = [&](Transaction& tx) -> Result<std::int64_t> {
    SLUICE_TRY_ASSIGN(const Rows rows, tx.query("SELECT pg_backend_pid()::bigint"));
    return rows.one().get<std::int64_t>(0);
  };
  const auto before = transaction(*pool, {}, backend);
  const auto slow = transaction(*pool, {.timeout = 2s}, [](Transaction& tx) -> Result<> {
    SLUICE_TRY(tx.query("SELECT pg_sleep(60)"));
    return {};
  });
  ASSERT_FALSE(slow);
  EXPECT_EQ(slow.error().code(), ErrorCode::kDeadlineExceeded);
  const auto after = transaction(*pool, {}, backend);
  ASSERT_TRUE(before && after);
  EXPECT_EQ(*before, *after);
}

TEST(Pool, CloseWakesWhoWaitsForAConnection) {
  TestDatabase database;
  Config config = database.config();
  config.pool_size = 1;
  TestPool pool(config);
  std::latch is_lent(1);
  std::latch may_end(1);
  std::jthread holder([&] {
    EXPECT_TRUE(transaction(*pool, {}, [&](Transaction&) -> Result<> {
      is_lent.count_down();
      may_end.wait();
      return {};
    })) << "a transaction that runs goes on";
  });
  is_lent.wait();
  std::jthread waiter([&] {
    const auto answer = select_one(*pool);
    EXPECT_FALSE(answer);
    if (!answer) {
      EXPECT_EQ(answer.error().code(), ErrorCode::kUnavailable);
    }
  });
  (*pool).close();
  waiter.join();
  may_end.count_down();
}

TEST(Pool, LogsNeitherPasswordNorUrl) {
  TestDatabase database;
  Config config = database.config();
  config.password = Secret("planted-secret");
  TestPool pool(config);
  const auto answer = select_one(*pool);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code(), ErrorCode::kUnavailable);
  EXPECT_FALSE(answer.error().message().contains("planted-secret"));
  EXPECT_EQ(pool.log->count("postgres_down"), 1U);
  EXPECT_FALSE(pool.log->contains("planted-secret"));
}

}  // namespace
}  // namespace sluice::postgres
