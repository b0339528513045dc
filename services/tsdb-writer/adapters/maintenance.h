#pragma once

#include "adapters/compactor.h"
#include "adapters/maintenance_config.h"
#include "adapters/retention_keeper.h"
#include "ports.h"

#include <sluice/base/clock.h>
#include <sluice/base/random.h>
#include <sluice/log/logger.h>
#include <sluice/metrics/metrics.h>
#include <sluice/postgres/leadership.h>
#include <sluice/postgres/pool.h>
#include <sluice/service/periodic_task.h>

namespace sluice::tsdb {

/// Compaction and retention at work, each on a thread of its own and both under one leadership:
/// their transactions run one after the other, on the connection that holds the lock.
class Maintenance {
 public:
  /// Everything passed by reference must outlive it. Works from now on.
  Maintenance(const MaintenanceConfig& config, postgres::Pool& pool, PartitionManager& partitions,
              const Clock& clock, Random& random, const Logger& log, Registry& registry);

  /// Lets the transaction that is running end. Any thread.
  void stop();

 private:
  postgres::Leadership leader_;
  Compactor compactor_;
  RetentionKeeper keeper_;
  service::PeriodicTask retention_;
  service::PeriodicTask compaction_;
};

}  // namespace sluice::tsdb
