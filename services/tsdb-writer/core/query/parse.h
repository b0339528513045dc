#pragma once

#include "core/query/model.h"

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/base/clock.h>
#include <sluice/base/result.h>

namespace sluice::tsdb {

// The texts of a query. Each error is kInvalidArgument and says what would have been right.

/// RFC 3339, or milliseconds since 1970 as a whole number. Between the years 1900 and 2200, so that
/// no sum of times ever wraps.
Result<WallTime> parse_time(std::string_view text);
/// The same range for milliseconds that are a number already.
Result<WallTime> time_of_ms(std::int64_t ms);
/// Prometheus' spelling: "15s", "1h30m", "7d"; units ms, s, m, h, d, w and y (365 d), each once and
/// falling. At least 1 ms, at most 100 years.
Result<std::chrono::milliseconds> parse_span(std::string_view text);
/// The shortest such spelling.
std::string format_span(std::chrono::milliseconds span);
/// "raw", "auto" or a span of at least a second.
Result<Resolution> parse_resolution(std::string_view text);
Result<Aggregate> parse_aggregate(std::string_view text);
Result<Fill> parse_fill(std::string_view text);
/// "fleet" or "device_type".
Result<GroupBy> parse_group_by(std::string_view text);
/// Parts between commas; empty ones are kept, for whoever reads them to refuse.
std::vector<std::string> split_list(std::string_view text);

}  // namespace sluice::tsdb
