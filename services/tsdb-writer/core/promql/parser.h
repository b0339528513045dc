#pragma once

#include "core/promql/ast.h"

#include <cstddef>
#include <string_view>

#include <sluice/base/result.h>

namespace sluice::tsdb::promql {

inline constexpr std::size_t kMaxQueryBytes = 8 * 1024;
inline constexpr int kMaxDepth = 64;

/// Reads a query of the subset that the service's README names. kInvalidArgument says what is wrong
/// and where, in Prometheus' manner: "1:7: parse error: …".
Result<ExprPtr> parse_query(std::string_view text);

/// A selector alone, as `match[]` has it.
Result<std::vector<Matcher>> parse_selector(std::string_view text);

}  // namespace sluice::tsdb::promql
