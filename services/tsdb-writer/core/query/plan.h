#pragma once

#include "core/query/device_group.h"
#include "core/query/model.h"
#include "core/query/result_sink.h"
#include "core/query/sample_source.h"
#include "core/query/slice.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <sluice/base/ids.h>
#include <sluice/base/result.h>

namespace sluice::tsdb {

/// What the values of a metric name are to an aggregate.
enum class ValueKind : std::uint8_t { kNumber, kBool, kText };

/// A metric by name: one column of an answer for each device that has it.
struct PlannedMetric {
  std::string name;
  std::string unit;
  series::ColumnType type = series::ColumnType::kDouble;
  ValueKind kind = ValueKind::kNumber;
};

/// A device with the metrics that are asked of it.
struct PlannedDevice {
  StoredDevice device;
  Tier tier = Tier::kWarm;
  std::vector<std::size_t> metrics;  // into QueryPlan::metrics, by name
  bool has_texts = false;            // some of them are texts, which no roll-up has
};

/// A query that can be carried out: everything that may be refused has been checked.
struct QueryPlan {
  QueryRequest request;
  AnswerHead head;
  std::vector<PlannedMetric> metrics;
  /// Metric keys to places in `metrics`, of every class.
  SeriesOfMetric keys;
  std::vector<PlannedDevice> devices;
  bool with_quantiles = false;
  /// Of windows; 0 for raw values.
  std::int64_t width_ms = 0;
  std::int64_t from_ms = 0;  // whole windows
  std::int64_t to_ms = 0;
  std::size_t limit_of_series = 0;  // raw values
  QueryMemoryLimits memory{};

  bool is_raw() const { return width_ms == 0; }
};

/// Finds out who and what is asked about and how it is to be answered. kNotFound for a device or a
/// metric that the tenant does not have; kInvalidArgument with a fault per parameter;
/// a limit that was met is the reason, "query_max_…".
Result<QueryPlan> plan_query(SampleSource& source, const TenantId& tenant, QueryRequest request,
                             const QueryLimits& limits, WallTime now);

}  // namespace sluice::tsdb
