#pragma once

#include "ports.h"

#include <memory>

#include <sluice/base/result.h>
#include <sluice/postgres/pool.h>

namespace sluice::tsdb {

/// PostgreSQL's own partitions, made ahead by whoever calls ensure().
class PlainPartitions final : public PartitionManager {
 public:
  std::string_view name() const override { return "plain"; }
  Result<> ensure(postgres::Transaction& tx, std::string_view table, WallTime from,
                  WallTime until) override;
  Result<std::vector<TimePartition>> list(postgres::Transaction& tx,
                                          std::string_view table) override;
  Result<> drop(postgres::Transaction& tx, std::string_view table,
                const TimePartition& partition) override;
};

/// Hypertables of TimescaleDB's Apache edition, which makes its chunks itself when rows come.
class HypertablePartitions final : public PartitionManager {
 public:
  std::string_view name() const override { return "hypertable"; }
  Result<> ensure(postgres::Transaction& tx, std::string_view table, WallTime from,
                  WallTime until) override;
  Result<std::vector<TimePartition>> list(postgres::Transaction& tx,
                                          std::string_view table) override;
  Result<> drop(postgres::Transaction& tx, std::string_view table,
                const TimePartition& partition) override;
};

/// The one that this database's tables were made for, which the first migration decided.
Result<std::unique_ptr<PartitionManager>> probe_partition_manager(postgres::Pool& pool);

}  // namespace sluice::tsdb
