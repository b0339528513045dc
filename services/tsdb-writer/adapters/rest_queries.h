#pragma once

#include "adapters/query_metrics.h"
#include "core/query/model.h"
#include "core/query/sample_source.h"

#include <sluice/base/clock.h>
#include <sluice/http/router.h>

namespace sluice::tsdb {

/// What the handlers of queries work with; all of it must outlive the router.
struct QueryParts {
  SampleSource& source;
  const QueryLimits& limits;
  const Clock& clock;
  QueryMetrics& metrics;
};

/// Adds GET /v1/devices/{device_id}/metrics, …/latest, …/metric-names and POST /v1/query.
void add_query_routes(http::Router& router, const QueryParts& parts);

}  // namespace sluice::tsdb
