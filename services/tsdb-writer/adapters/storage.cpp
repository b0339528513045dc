#include "adapters/storage.h"

#include "adapters/partition_managers.h"
#include "migrations.h"

#include <utility>

#include <sluice/postgres/migrate.h>

namespace sluice::tsdb {

Result<std::unique_ptr<Storage>> Storage::open(const postgres::Config& config,
                                               const std::string& application_name,
                                               const Clock& clock, Random& random,
                                               Registry& registry, const Logger& log) {
  SLUICE_TRY_ASSIGN(
      auto pool, postgres::Pool::open(
                     config, {.schema = std::string(kSchema), .application_name = application_name},
                     clock, random, registry, log));
  SLUICE_TRY(postgres::migrate(*pool, kSchema, tsdb_writer::migrations()));
  SLUICE_TRY_ASSIGN(auto partitions, probe_partition_manager(*pool));
  std::unique_ptr<Storage> storage(new Storage(std::move(pool), std::move(partitions)));
  SLUICE_TRY(storage->hot().make_room());
  return storage;
}

Storage::Storage(std::unique_ptr<postgres::Pool> pool, std::unique_ptr<PartitionManager> partitions)
    : pool_(std::move(pool)), partitions_(std::move(partitions)), hot_(*pool_, *partitions_) {}

}  // namespace sluice::tsdb
