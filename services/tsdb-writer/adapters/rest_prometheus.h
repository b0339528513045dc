#pragma once

#include "adapters/rest_queries.h"

#include <sluice/http/router.h>

namespace sluice::tsdb {

/// Adds what Prometheus' HTTP API has for reading, so that Grafana and promtool work:
/// /api/v1/query, query_range, labels, label/{name}/values, series, metadata and status/buildinfo.
/// Errors are in Prometheus' form, but for what is refused before a handler is reached.
void add_prometheus_routes(http::Router& router, const QueryParts& parts);

}  // namespace sluice::tsdb
