#include "adapters/maintenance_config.h"

namespace sluice::tsdb {

using namespace std::chrono_literals;

void MaintenanceConfig::declare(Settings& settings) {
  settings.duration("compaction_interval", &compaction_interval, 1min, {.min = 1s, .max = 1h},
                    "Time between looks for arrival hours that are over.");
  settings.duration("compaction_delay", &compaction_delay, 2min, {.min = 0ms, .max = 24h},
                    "How long an arrival hour is left alone after its end.");
  settings.integer("compaction_busy_percent", &compaction_busy_percent, 50, {.min = 1, .max = 100},
                   "Share of the time that compaction works; it pauses for the rest, so that an "
                   "hour's work is spread and leaves the database to others.");
  settings.integer(
      "compaction_slice_rows", &compaction_slice_rows, 20'000, {.min = 1, .max = 1'000'000},
      "Rows of `hot` that one transaction of compaction takes; a device is never cut.");
  settings.bytes("compaction_slice_bytes", &compaction_slice_bytes, 16_MiB,
                 {.min = 64_KiB, .max = 1024_MiB}, "The same in bytes of their chunks.");
  settings.integer("compaction_slice_devices", &compaction_slice_devices, 200,
                   {.min = 1, .max = 100'000}, "The same in devices.");
  settings.duration("compaction_slice_timeout", &compaction_slice_timeout, 2min,
                    {.min = 1s, .max = 1h},
                    "Longest such transaction; waiting for writers of an hour that is sealed "
                    "included.");
  settings.duration("retention_interval", &retention_interval, 5min, {.min = 1s, .max = 24h},
                    "Time between looks for partitions that are over, and for devices whose class "
                    "was given another policy.");
}

Compactor::Options MaintenanceConfig::compactor() const {
  return {.delay = compaction_delay,
          .slice = {.rows = static_cast<std::size_t>(compaction_slice_rows),
                    .bytes = compaction_slice_bytes.count,
                    .devices = static_cast<std::size_t>(compaction_slice_devices)},
          .busy_percent = static_cast<int>(compaction_busy_percent),
          .slice_timeout = compaction_slice_timeout};
}

}  // namespace sluice::tsdb
