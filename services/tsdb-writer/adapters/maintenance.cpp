#include "adapters/maintenance.h"

#include <stop_token>

namespace sluice::tsdb {

Maintenance::Maintenance(const MaintenanceConfig& config, postgres::Pool& pool,
                         PartitionManager& partitions, const Clock& clock, Random& random,
                         const Logger& log, Registry& registry)
    : leader_(pool, "tsdb.maintenance"),
      compactor_(config.compactor(), leader_, partitions, clock, log, registry),
      keeper_(leader_, partitions, log, registry),
      retention_({.name = "retention", .interval = config.retention_interval}, clock, random, log,
                 registry, [this](const std::stop_token& stop) { return keeper_.run(stop); }),
      compaction_({.name = "compaction", .interval = config.compaction_interval}, clock, random,
                  log, registry,
                  [this](const std::stop_token& stop) { return compactor_.run(stop); }) {}

void Maintenance::stop() {
  compaction_.stop();
  retention_.stop();
}

}  // namespace sluice::tsdb
