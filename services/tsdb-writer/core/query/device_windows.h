#pragma once

#include "core/query/plan.h"
#include "core/query/run.h"
#include "core/query/sample_source.h"
#include "core/query/slice.h"
#include "core/query/window.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include <sluice/base/result.h>

namespace sluice::tsdb {

/// The window of one series that is being filled.
struct OpenWindow {
  explicit OpenWindow(bool with_quantiles) : numbers(with_quantiles) {}

  bool is_open = false;
  std::int64_t start = 0;
  Window numbers;
  // Of texts.
  std::uint64_t texts = 0;
  Value first_text;
  Value last_text;
};

/// A window that is full.
using TakeWindow = std::function<void(std::size_t place, const OpenWindow& window)>;

/// Reads one device and cuts its values into windows. `place` is into PlannedDevice::metrics. One
/// thread; everything passed must outlive it.
class DeviceWindows {
 public:
  DeviceWindows(SampleSource& source, const QueryPlan& plan, const PlannedDevice& device,
                const Deadline& deadline, TakeWindow take);

  /// All windows of all metrics: each metric's by rising time.
  Result<> read();

 private:
  Result<> read(series::TimeRange range);
  OpenWindow& window_at(std::size_t place, std::int64_t time);
  void close(std::size_t place);

  SampleSource& source_;
  const QueryPlan& plan_;
  const PlannedDevice& device_;
  const Deadline& deadline_;
  const TakeWindow take_;
  SeriesOfMetric keys_;
  std::vector<OpenWindow> open_;
  std::vector<std::vector<Sample>> samples_;
  std::vector<std::vector<TimedRollup>> rollups_;
};

}  // namespace sluice::tsdb
