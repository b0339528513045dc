#pragma once

#include "core/query/sample_source.h"
#include "core/rollup/rollup_block.h"

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

namespace sluice::tsdb::testing {

/// A value that a device sent.
struct Sent {
  MetricKey metric;
  std::int64_t time_ms = 0;
  std::variant<double, std::int64_t, bool, std::string> value;
};

/// Bytes of a chunk as the tables hold them; a later one of `sent` overrides.
std::string chunk_of(const std::vector<Sent>& sent);
/// The roll-ups of a row of a tier, which all of `sent` belong to; "" where there are only texts.
std::string rollups_of(Tier tier, const std::vector<Sent>& sent);

/// One device's rows, as compaction would have made them.
class StoredHistory {
 public:
  /// What is compacted: warm chunks and all three roll-ups.
  void compact(const std::vector<Sent>& sent);
  /// What is compacted, its raw values gone meanwhile.
  void compact_and_drop_raw(const std::vector<Sent>& sent);
  /// What one flush brought; not compacted.
  void flush(const std::vector<Sent>& sent);

  /// Rows by their beginning.
  const std::map<std::int64_t, std::string>& rows(Tier tier) const;
  const std::vector<StoredRow>& fresh() const { return fresh_; }

  DeviceSlice read(Tier tier, series::TimeRange range) const;

 private:
  std::vector<Sent> warm_;
  std::vector<Sent> rolled_up_;
  std::vector<StoredRow> fresh_;
  mutable std::map<Tier, std::map<std::int64_t, std::string>> rows_;  // made when asked for
};

/// Devices and their histories in memory.
class FakeSampleSource final : public SampleSource {
 public:
  struct Device {
    std::string tenant;
    StoredDevice stored;
    StoredHistory history;
    std::map<std::string, std::string> attributes{};
  };

  Device& add_device(const std::string& tenant, const std::string& id,
                     const std::string& fleet = "north", const std::string& device_type = "meter");
  MetricKey add_metric(const std::string& tenant, const std::string& name,
                       series::ColumnType type = series::ColumnType::kDouble,
                       const std::string& device_type = "meter");

  Result<std::vector<TierRetention>> retentions() override { return policies; }
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

  std::vector<TierRetention> policies;
  int reads = 0;
  std::size_t largest_slice = 0;  // bytes

 private:
  struct Metric {
    std::string tenant;
    StoredMetric stored;
  };

  std::vector<std::unique_ptr<Device>> devices_;
  std::vector<Metric> metrics_;
};

}  // namespace sluice::tsdb::testing
