#pragma once

#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include <sluice/base/clock.h>
#include <sluice/base/random.h>
#include <sluice/postgres/pool.h>
#include <sluice/postgres/testing/test_database.h>
#include <sluice/postgres/transaction.h>
#include <sluice/testing/captured_log.h>
#include <sluice/testing/fault_proxy.h>

namespace sluice::postgres {

/// A pool and what it is given, as one instance of a service has it.
struct TestPool {
  explicit TestPool(Config config, std::string schema = "")
      : log(std::make_shared<sluice::testing::CapturedLog>()) {
    auto opened =
        Pool::open(std::move(config), {.schema = std::move(schema), .application_name = "test"},
                   clock, random, registry, log->logger("test", clock));
    if (!opened) throw std::runtime_error(opened.error().message());
    pool = *std::move(opened);
  }
  Pool& operator*() { return *pool; }

  SystemClock clock;
  SystemRandom random;
  Registry registry;
  std::shared_ptr<sluice::testing::CapturedLog> log;
  std::unique_ptr<Pool> pool;
};

/// A proxy in front of the server, and a configuration that goes through it.
struct ProxiedServer {
  explicit ProxiedServer(Config through) : config(std::move(through)) {
    const std::size_t begin = config.url.find('@') + 1;
    const std::size_t size = config.url.find('/', begin) - begin;
    auto started = sluice::testing::FaultProxy::start({.target = config.url.substr(begin, size)});
    if (!started) throw std::runtime_error(started.error().message());
    proxy = *std::move(started);
    config.url.replace(begin, size, proxy->address());
  }

  Config config;
  std::unique_ptr<sluice::testing::FaultProxy> proxy;
};

inline Result<std::int64_t> select_one(Pool& pool, const TransactionOptions& options = {}) {
  return transaction(pool, options, [](Transaction& tx) -> Result<std::int64_t> {
    SLUICE_TRY_ASSIGN(const Rows rows, tx.query("SELECT 1::bigint AS one"));
    return rows.one().get<std::int64_t>("one");
  });
}

}  // namespace sluice::postgres
