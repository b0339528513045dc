#pragma once

#include "core/query/sample_source.h"

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <sluice/base/result.h>
#include <sluice/series/chunk.h>
#include <sluice/series/rollup.h>

namespace sluice::tsdb {

/// A value as it was sent. `text` is a view into the slice it was read from.
struct Sample {
  std::int64_t timestamp = 0;
  double number = 0;
  std::int64_t integer = 0;
  std::string_view text;
  series::ColumnType type = series::ColumnType::kDouble;

  /// Of a number or a boolean.
  double as_double() const;
  Value as_value() const;
};

/// The roll-up of a bucket that begins at `start`.
struct TimedRollup {
  std::int64_t start = 0;
  series::Rollup rollup;
};

/// Which series a metric's values belong to: several keys may be of one name.
using SeriesOfMetric = std::unordered_map<std::int32_t, std::size_t>;

/// The samples of a slice within a range: per series by rising time, one value for a time, the
/// latest written. kDataLoss for bytes that are no chunk. `out` is made `series` long.
Result<> read_samples(const DeviceSlice& slice, const SeriesOfMetric& index, std::size_t series,
                      series::TimeRange range, std::vector<std::vector<Sample>>& out);

/// The buckets of a roll-up tier within a range, by rising time, brought up to date with what is
/// not rolled up yet: an hour that is still warm is made anew from its samples; where those are
/// gone, what is fresh is added to what is stored.
Result<> read_rollups(const DeviceSlice& slice, Tier tier, const SeriesOfMetric& index,
                      std::size_t series, series::TimeRange range,
                      std::vector<std::vector<TimedRollup>>& out);

}  // namespace sluice::tsdb
