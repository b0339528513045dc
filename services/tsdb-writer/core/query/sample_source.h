#pragma once

#include "core/query/model.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <sluice/base/clock.h>
#include <sluice/base/ids.h>
#include <sluice/base/result.h>
#include <sluice/series/chunk_reader.h>

namespace sluice::tsdb {

/// The bytes of a row that begins at `start`: a chunk of an event hour, or a block of roll-ups.
struct StoredRow {
  WallTime start;
  std::string bytes;
};

/// What is stored of one device in a range of time, all of one moment: nothing that compaction
/// moves meanwhile is missing or twice.
struct DeviceSlice {
  /// Of the tier asked for, by time; none for raw.
  std::vector<StoredRow> rollups;
  /// Rows of rollup_1h for the days in which something is not rolled up yet; for kRollup1d alone.
  std::vector<StoredRow> hours_of_days;
  /// Chunks of the warm tier by time: all for raw, else those of the hours in `fresh`.
  std::vector<StoredRow> warm;
  /// Chunks not compacted yet and then those in the writer's memory, oldest first: each overrides
  /// those before it, and all of them what is warm.
  std::vector<StoredRow> fresh;

  std::size_t bytes() const;
};

/// Which devices; all conditions together.
struct DeviceFilter {
  std::optional<std::vector<std::string>> ids{};
  std::optional<std::string> fleet{};
  std::optional<std::string> device_type{};
  /// An attribute with one of these names has this value.
  struct AttributeIs {
    std::vector<std::string> names;
    std::string value;
  };
  std::vector<AttributeIs> attributes_are{};
  /// No condition: attributes to tell of each.
  std::vector<std::string> attributes{};
  /// No condition: tell all of them.
  bool with_all_attributes = false;
};

/// Which metrics; all conditions together.
struct MetricFilter {
  std::optional<std::vector<std::string>> names{};
  std::optional<std::vector<std::string>> device_types{};
  /// Names after this one, for pages.
  std::optional<std::string> after{};
};

/// Port: what was stored. Thread-safe; each call may block for seconds at the most.
class SampleSource {
 public:
  virtual ~SampleSource() = default;

  virtual Result<std::vector<TierRetention>> retentions() = 0;
  /// By id, at most `limit`; only the tenant's.
  virtual Result<std::vector<StoredDevice>> devices(const TenantId& tenant,
                                                    const DeviceFilter& filter,
                                                    std::size_t limit) = 0;
  /// By name, then key, at most `limit`; only the tenant's.
  virtual Result<std::vector<StoredMetric>> metrics(const TenantId& tenant,
                                                    const MetricFilter& filter,
                                                    std::size_t limit) = 0;
  /// Names of the attributes that devices of the tenant have or had, at most `limit`.
  virtual Result<std::vector<std::string>> attribute_names(const TenantId& tenant,
                                                           std::size_t limit) = 0;
  /// The values that attributes of these names have or had, at most `limit`.
  virtual Result<std::vector<std::string>> attribute_values(const TenantId& tenant,
                                                            const std::vector<std::string>& names,
                                                            std::size_t limit) = 0;
  /// The rows of [range.from, range.to), which may hold more at both ends. kWarm stands for raw.
  virtual Result<DeviceSlice> read(const StoredDevice& device, Tier tier,
                                   series::TimeRange range) = 0;
  /// The newest rows: what is fresh, up to `rows` each of warm and, in `rollups`, of the daily
  /// tier.
  virtual Result<DeviceSlice> read_newest(const StoredDevice& device, std::size_t rows) = 0;
};

}  // namespace sluice::tsdb
