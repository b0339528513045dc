#pragma once

#include "core/query/model.h"

#include <chrono>
#include <cstdint>

#include <sluice/config/settings.h>

namespace sluice::tsdb {

/// The settings of queries.
struct QueryConfig {
  std::int64_t connections = 0;
  std::int64_t max_points = 0;
  std::int64_t max_series = 0;
  std::int64_t max_devices = 0;
  std::int64_t max_grouped_windows = 0;
  std::int64_t max_promql_samples = 0;
  Bytes max_memory;
  Bytes memory;
  std::chrono::milliseconds max_range{0};
  std::chrono::milliseconds max_raw_range{0};
  std::chrono::milliseconds timeout{0};

  void declare(Settings& settings);
  /// `all` is what all queries share, of `memory` bytes.
  QueryLimits limits(QueryMemory& all) const;
};

}  // namespace sluice::tsdb
