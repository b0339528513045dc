#pragma once

#include "core/decode/format.h"
#include "core/payload/rejection.h"
#include "core/stream/outliers.h"

#include <array>
#include <cstddef>

#include <sluice/metrics/metrics.h>

namespace sluice::validator {

inline constexpr std::size_t kRejectReasons = static_cast<std::size_t>(RejectReason::kInternal) + 1;

/// What the pipeline counts: by cause, never by device.
struct PipelineMetrics {
  explicit PipelineMetrics(Registry& registry);
  std::array<Counter, kRejectReasons> rejected;
  std::array<Counter, kFormats> formats;
  std::array<Counter, kOutlierKinds> outliers;
  Counter samples;
  Counter readings;
  Counter replays;
  Counter maybe_duplicates;
  Counter skewed;
  Counter late;
  Counter unjudged_readings;
  Counter schemaless;
  Counter redriven;
};

}  // namespace sluice::validator
