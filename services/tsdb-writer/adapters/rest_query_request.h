#pragma once

#include "core/query/formats.h"
#include "core/query/model.h"

#include <sluice/base/result.h>
#include <sluice/http/request.h>

namespace sluice::tsdb {

/// A query and how its answer is to look.
struct ReadQuery {
  QueryRequest request;
  FormatOptions format;
};

/// Metrics that one query may name.
inline constexpr std::size_t kMaxNames = 100;
/// The longest name of a metric.
inline constexpr std::size_t kMaxNameBytes = 255;

/// Out of the parameters of GET /v1/devices/{device_id}/metrics; every fault at once.
Result<ReadQuery> read_device_query(const http::Request& request, WallTime now);
/// Out of the body of POST /v1/query.
Result<ReadQuery> read_query_body(const http::Request& request, const QueryLimits& limits,
                                  WallTime now);

}  // namespace sluice::tsdb
