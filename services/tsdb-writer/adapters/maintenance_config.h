#pragma once

#include "adapters/compactor.h"

#include <chrono>
#include <cstdint>

#include <sluice/config/settings.h>

namespace sluice::tsdb {

/// The settings of compaction and retention.
struct MaintenanceConfig {
  std::chrono::milliseconds compaction_interval{0};
  std::chrono::milliseconds compaction_delay{0};
  std::int64_t compaction_busy_percent = 0;
  std::int64_t compaction_slice_rows = 0;
  Bytes compaction_slice_bytes;
  std::int64_t compaction_slice_devices = 0;
  std::chrono::milliseconds compaction_slice_timeout{0};
  std::chrono::milliseconds retention_interval{0};

  void declare(Settings& settings);
  Compactor::Options compactor() const;
};

}  // namespace sluice::tsdb
