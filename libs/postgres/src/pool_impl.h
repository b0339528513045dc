#pragma once

#include "connection.h"

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include <sluice/base/backoff.h>
#include <sluice/postgres/pool.h>

namespace sluice::postgres {

struct PoolMetrics {
  explicit PoolMetrics(Registry& registry);

  Gauge up;
  Gauge in_use;
  Counter connected;
  Counter connect_failed;
  Counter exhausted;
  Histogram wait_seconds;
  Histogram transaction_seconds;
  Counter committed;
  Counter rolled_back;
  Counter unknown;
  Counter repeated_conflicts;
  Counter repeated_connections;
};

/// The inside of Pool, and what Leadership and migrate() need of it. Thread-safe.
struct PoolImpl {
  PoolImpl(Config config, Pool::Options options, Secret conninfo, const Clock& clock,
           Random& random, Registry& registry, Logger log);

  /// A new connection, not counted. While PostgreSQL is known to be down it fails at once, but for
  /// one caller at a time who is due to try.
  Result<std::unique_ptr<Connection>> connect(MonoTime deadline);
  /// A connection of the pool: waits for one until `wait_until`, connects until `deadline`.
  Result<std::unique_ptr<Connection>> acquire(MonoTime wait_until, MonoTime deadline);
  void give_back(std::unique_ptr<Connection> connection);
  /// One was found dead, so the others that lie idle probably are too; better than finding out one
  /// by one.
  void drop_idle();
  void close();

  /// Runs attempts of a transaction until one has succeeded, cannot be repeated, or time is up.
  using Attempt = std::function<Result<Connection::Outcome>(MonoTime deadline)>;
  Result<> run_attempts(const TransactionOptions& options, const Attempt& attempt);

  const Config config;
  const Pool::Options options;
  const Clock& clock;
  Registry& registry;
  const Logger log;
  PoolMetrics metrics;

  std::size_t in_use() const;

 private:
  Error closed_error() const;
  void note_connect(const Result<std::unique_ptr<Connection>>& opened, bool is_probe);
  /// Waits before the next attempt; false when that would be too late.
  bool pause(int attempt, MonoTime deadline);
  void take_one();
  void put_one_back();

  const Secret conninfo_;
  const std::string setup_;

  mutable std::mutex mutex_;
  std::condition_variable freed_;
  std::condition_variable closing_;
  Random& random_;  // under the mutex
  std::vector<std::unique_ptr<Connection>>
      idle_;                // last used last: the others may grow old together
  std::size_t in_use_ = 0;  // lent, or being made
  bool is_closed_ = false;
  std::optional<Error> down_because_;
  bool is_probing_ = false;
  MonoTime next_probe_{};
  Backoff probe_backoff_;
};

/// A connection of the pool for as long as this lives.
class Lease {
 public:
  static Result<Lease> take(PoolImpl& pool, MonoTime wait_until, MonoTime deadline) {
    SLUICE_TRY_ASSIGN(auto connection, pool.acquire(wait_until, deadline));
    return Lease(pool, std::move(connection));
  }
  Lease(Lease&&) = default;
  Lease& operator=(Lease&&) = delete;
  ~Lease() {
    if (connection_) pool_.give_back(std::move(connection_));
  }

  Connection* operator->() { return connection_.get(); }

 private:
  Lease(PoolImpl& pool, std::unique_ptr<Connection> connection)
      : pool_(pool), connection_(std::move(connection)) {}

  PoolImpl& pool_;
  std::unique_ptr<Connection> connection_;
};

PoolImpl& impl_of(Pool& pool);

}  // namespace sluice::postgres
