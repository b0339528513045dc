#pragma once

#include "adapters/postgres_store.h"
#include "ports.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include <sluice/base/clock.h>
#include <sluice/base/random.h>
#include <sluice/base/result.h>
#include <sluice/log/logger.h>
#include <sluice/metrics/metrics.h>
#include <sluice/postgres/config.h>
#include <sluice/postgres/pool.h>

namespace sluice::registry {

/// The registry's connections to PostgreSQL: three pools on one database, so that no kind of work
/// can take the connections of another. What operators look for may be slow, and writes may wait
/// for each other; neither may keep a device from the door. Thread-safe.
class Databases {
 public:
  struct Options {
    postgres::Config postgres;
    std::string application_name;
    std::int64_t door_connections = 8;
    std::chrono::milliseconds door_timeout{2'000};
    std::int64_t search_connections = 4;
    std::chrono::milliseconds search_timeout{1'000};
    std::int64_t max_searches = 16;
  };

  /// Opens the pools and brings the schema up to date. Everything passed by reference must outlive
  /// it.
  static Result<std::unique_ptr<Databases>> open(const Options& options, const Clock& clock,
                                                 Random& random, Registry& registry,
                                                 const Logger& log);

  /// For single things and for writes, imports and the outbox among them.
  postgres::Pool& pool() { return *pool_; }
  Store& store() { return store_; }
  /// For those at the door: devices, operators' keys, and whether a tenant is active.
  Store& door_store() { return door_store_; }
  /// For lists and searches.
  Store& search_store() { return search_store_; }
  /// How many of these may be let in at once: more would only hold threads, waiting for the few
  /// connections.
  std::size_t max_searches() const { return max_searches_; }

  /// Whether all of them answer.
  Result<> ping();

 private:
  using PoolPtr = std::unique_ptr<postgres::Pool>;
  Databases(PoolPtr pool, PoolPtr door, PoolPtr search, std::size_t max_searches);

  PoolPtr pool_;
  PoolPtr door_;
  PoolPtr search_;
  PostgresStore store_;
  PostgresStore door_store_;
  PostgresStore search_store_;
  const std::size_t max_searches_;
};

}  // namespace sluice::registry
