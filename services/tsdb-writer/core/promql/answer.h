#pragma once

#include "core/promql/evaluator.h"
#include "core/query/formats.h"

#include <string>
#include <string_view>

namespace sluice::tsdb::promql {

// The answers of Prometheus' HTTP API, as JSON.

/// {"status":"success","data":{"resultType":"matrix",…}}, in pieces. Series are ordered by their
/// labels.
Result<> write_matrix(Evaluated value, const Steps& steps, const WritePiece& write);
/// The same of one moment: vector, scalar or string.
Result<> write_instant(Evaluated value, const Steps& steps, const WritePiece& write);
/// {"status":"error","errorType":"bad_data","error":"…"}; `type` is "bad_data", "execution",
/// "timeout", "unavailable" or "internal".
std::string error_text(std::string_view type, std::string_view message);

/// As Prometheus spells numbers: "1.5", "NaN", "+Inf"; never with an exponent.
std::string spelled(double value);
/// {"__name__":"…","device":"…"}
std::string to_json(const LabelSet& labels);

}  // namespace sluice::tsdb::promql
