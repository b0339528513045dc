#pragma once

#include "ports.h"

#include <sluice/postgres/pool.h>

namespace sluice::tsdb {

/// The tables `hot`, `offsets` and `hot_hours`. Thread-safe.
class PostgresHotStore final : public HotStore {
 public:
  PostgresHotStore(postgres::Pool& pool, PartitionManager& partitions)
      : pool_(pool), partitions_(partitions) {}

  Result<std::vector<std::optional<Offset>>> positions(
      std::span<const TopicPartition> partitions) override;
  Result<FlushReport> flush(std::span<const PartitionSpan> spans, HotRowSource& rows) override;

  /// Sees to it that rows can be written in the hours to come, by the database's clock.
  Result<> make_room();

 private:
  postgres::Pool& pool_;
  PartitionManager& partitions_;
};

}  // namespace sluice::tsdb
