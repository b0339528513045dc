#pragma once

#include "adapters/postgres_hot_store.h"
#include "ports.h"

#include <memory>
#include <string>

#include <sluice/base/clock.h>
#include <sluice/base/random.h>
#include <sluice/base/result.h>
#include <sluice/log/logger.h>
#include <sluice/metrics/metrics.h>
#include <sluice/postgres/config.h>
#include <sluice/postgres/pool.h>

namespace sluice::tsdb {

/// The database: the schema brought up to date, how its tables are cut, and the write path's view
/// of it. Thread-safe.
class Storage {
 public:
  /// Everything passed by reference must outlive it.
  static Result<std::unique_ptr<Storage>> open(const postgres::Config& config,
                                               const std::string& application_name,
                                               const Clock& clock, Random& random,
                                               Registry& registry, const Logger& log);

  postgres::Pool& pool() { return *pool_; }
  PartitionManager& partitions() { return *partitions_; }
  PostgresHotStore& hot() { return hot_; }

 private:
  Storage(std::unique_ptr<postgres::Pool> pool, std::unique_ptr<PartitionManager> partitions);

  std::unique_ptr<postgres::Pool> pool_;
  std::unique_ptr<PartitionManager> partitions_;
  PostgresHotStore hot_;
};

}  // namespace sluice::tsdb
