#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>

#include <sluice/base/clock.h>
#include <sluice/base/random.h>
#include <sluice/base/result.h>
#include <sluice/log/logger.h>
#include <sluice/metrics/metrics.h>
#include <sluice/postgres/config.h>
#include <sluice/postgres/transaction.h>

namespace sluice::postgres {

class Lease;
struct PoolImpl;

/// A bounded number of connections to one database, made when needed and kept. Thread-safe; lives
/// longer than every transaction, Leadership and migration that uses it.
///
/// Promises: never more than postgres_pool_size connections (those of Leadership and migrate() are
/// their own); who cannot get one before its deadline is told kResourceExhausted with the setting's
/// name; while PostgreSQL is down, callers are told kUnavailable at once and one of them at a time,
/// by backoff with jitter, tries to connect; no call outlasts its deadline, even toward a server
/// that has stopped answering.
class Pool {
 public:
  struct Options {
    /// First in the search path of every connection, so that statements name tables without it.
    /// Give the service's schema: "device_registry".
    std::string schema;
    /// Shown to the database's administrators: the service's name.
    std::string application_name;
  };

  /// Fails only on a configuration that cannot work; a server that is down is waited for.
  static Result<std::unique_ptr<Pool>> open(Config config, Options options, const Clock& clock,
                                            Random& random, Registry& registry, Logger log);
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  /// Whether a connection answers within the connect timeout: for readiness. Takes part in
  /// reconnecting, so that a pool without traffic finds its way back by being asked.
  Result<> ping();

  /// Connections in use at this moment.
  std::size_t in_use() const;

  /// Makes every call fail with kUnavailable from now on, waiting ones included. Transactions that
  /// are running go on. Called by the destructor; call it early to stop quickly.
  void close();

 private:
  friend class Lease;
  friend class Leadership;
  friend PoolImpl& impl_of(Pool& pool);
  explicit Pool(std::unique_ptr<PoolImpl> impl);

  std::unique_ptr<PoolImpl> impl_;
};

}  // namespace sluice::postgres
