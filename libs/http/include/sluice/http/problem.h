#pragma once

#include <chrono>
#include <optional>
#include <string_view>

#include <sluice/base/error.h>
#include <sluice/http/response.h>
#include <sluice/http_semantics/status.h>

namespace sluice::http {

/// An error as an RFC 9457 problem document:
///   {"type":"/problems/not_found","title":"Not Found","status":404,"detail":"no such device",
///    "reason":"…","trace_id":"…","errors":[{"pointer":"/name","detail":"must not be empty"}]}
/// A fault whose field is "" or begins with '/' is a JSON pointer into the body; any other names a
/// path, query or header `parameter`. From 500 on and for 401 the detail is generic, and reason
/// and faults are left out: what went wrong inside is for the log, under the same trace id.
Response problem(const Error& error, std::string_view trace_id,
                 std::optional<std::chrono::seconds> retry_after = std::nullopt);

inline constexpr std::string_view kProblemType = "application/problem+json";

}  // namespace sluice::http
