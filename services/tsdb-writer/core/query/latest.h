#pragma once

#include "core/query/sample_source.h"

#include <optional>
#include <string>
#include <vector>

#include <sluice/base/ids.h>
#include <sluice/base/result.h>

namespace sluice::tsdb {

/// The newest value of a metric.
struct LatestValue {
  std::string metric;
  std::string unit;
  series::ColumnType type = series::ColumnType::kDouble;
  std::int64_t time_ms = 0;
  Value value;
  /// "raw", or "1d" where raw values are gone and the last number of a day's roll-up is told.
  std::string_view tier;
};

/// Event hours of warm data, and months of days, that are looked through.
inline constexpr std::size_t kLatestRows = 24;

/// The newest value of each metric of a device, by name; of metrics that have one in what is fresh,
/// in the last kLatestRows event hours with data, or in a roll-up of the last kLatestRows months.
/// No names: all metrics of the device's class.
Result<std::vector<LatestValue>> latest_values(SampleSource& source, const TenantId& tenant,
                                               const std::string& device_id,
                                               const std::vector<std::string>& names);

/// The device, or kNotFound with reason "no_such_device".
Result<StoredDevice> find_device(SampleSource& source, const TenantId& tenant,
                                 const std::string& device_id);

}  // namespace sluice::tsdb
