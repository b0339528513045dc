#pragma once

#include "core/retention/retention_book.h"
#include "ports.h"

#include <chrono>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/base/clock.h>
#include <sluice/base/ids.h>
#include <sluice/base/result.h>
#include <sluice/log/logger.h>
#include <sluice/metrics/metrics.h>
#include <sluice/postgres/leadership.h>
#include <sluice/postgres/pool.h>

namespace sluice::tsdb {

/// Lets go of what no policy keeps any more, partition by partition, and makes partitions ahead.
/// Rows are never deleted. Of many instances the one that leads does it. One thread.
///
/// A table's `dropped_before` is moved on and committed before its partitions are dropped: from
/// then on nothing is written below, and compaction knows that raw values are gone. Killed in
/// between, the next run drops what is left.
class RetentionKeeper {
 public:
  /// Everything passed by reference must outlive it.
  RetentionKeeper(postgres::Leadership& leader, PartitionManager& partitions, const Logger& log,
                  Registry& registry);

  Result<> run(const std::stop_token& stop);

 private:
  struct Table {
    std::string name;
    WallTime dropped_before;
  };

  Result<> move_devices(const std::stop_token& stop);
  Result<std::vector<Table>> move_horizons();
  Result<> drop_expired(const Table& table, const std::stop_token& stop);
  Result<> drop_empty_hours();
  Result<> make_ahead(const std::vector<Table>& tables);

  postgres::Leadership& leader_;
  PartitionManager& partitions_;
  const Logger& log_;
  Counter dropped_;
  Counter dropped_bytes_;
  Counter moved_devices_;
};

/// The tables of policies and of who chose them.
class RetentionTables final : public RetentionBook {
 public:
  RetentionTables(postgres::Pool& pool, PartitionManager& partitions)
      : pool_(pool), partitions_(partitions) {}

  Result<RetentionOverview> overview(const TenantId& tenant) override;
  Result<> check_policy(std::string_view policy) override;
  Result<> set_class_policy(const TenantId& tenant, std::string_view device_type,
                            std::string_view policy, const ChoiceNotice& notice) override;

 private:
  postgres::Pool& pool_;
  PartitionManager& partitions_;
};

}  // namespace sluice::tsdb
