#pragma once

#include "core/query/sample_source.h"
#include "ports.h"

#include <chrono>
#include <cstddef>
#include <mutex>
#include <optional>
#include <semaphore>
#include <vector>

#include <sluice/base/clock.h>
#include <sluice/metrics/metrics.h>
#include <sluice/postgres/pool.h>
#include <sluice/postgres/rows.h>
#include <sluice/postgres/statement.h>

namespace sluice::tsdb {

/// What the tables and the writer's memory hold, for queries. Each read is one statement under one
/// snapshot, taken after the partitions were locked: a chunk that compaction moves meanwhile is
/// seen where it was or where it is, never nowhere. In two statements a partition of `hot` could be
/// dropped between them, whose rows an older snapshot does not yet see in `warm`.
///
/// Thread-safe. Everything passed must outlive it; `recent` may be null.
class PostgresSampleSource final : public SampleSource {
 public:
  /// `connections`: how many reads may be under way at once; others wait for up to kMaxWait.
  PostgresSampleSource(postgres::Pool& pool, std::size_t connections, const RecentSamples* recent,
                       const Clock& clock, Registry& registry);

  static constexpr std::chrono::seconds kMaxWait{5};

  Result<std::vector<TierRetention>> retentions() override;
  Result<std::vector<StoredDevice>> devices(const TenantId& tenant, const DeviceFilter& filter,
                                            std::size_t limit) override;
  Result<std::vector<StoredMetric>> metrics(const TenantId& tenant, const MetricFilter& filter,
                                            std::size_t limit) override;
  Result<std::vector<std::string>> attribute_names(const TenantId& tenant,
                                                   std::size_t limit) override;
  Result<std::vector<std::string>> attribute_values(const TenantId& tenant,
                                                    const std::vector<std::string>& names,
                                                    std::size_t limit) override;
  Result<DeviceSlice> read(const StoredDevice& device, Tier tier, series::TimeRange range) override;
  Result<DeviceSlice> read_newest(const StoredDevice& device, std::size_t rows) override;

 private:
  struct Recent;

  Recent recent_of(DeviceKey device, series::TimeRange range) const;
  Result<DeviceSlice> read(const postgres::Statement& statement, Recent recent);
  /// The column "text".
  Result<std::vector<std::string>> texts(const TenantId& tenant, const postgres::Statement& search);
  Result<postgres::Rows> query(const std::optional<TenantId>& tenant,
                               const postgres::Statement& statement,
                               postgres::Answer answer = postgres::Answer::kText);

  postgres::Pool& pool_;
  /// Free connections: the pool is the writing's, too, which must not wait behind queries.
  std::counting_semaphore<> free_;
  const RecentSamples* recent_;
  const Clock& clock_;
  Counter bytes_read_;
  std::mutex mutex_;  // guards the two below
  std::vector<TierRetention> retentions_;
  std::optional<MonoTime> retentions_read_;
};

}  // namespace sluice::tsdb
