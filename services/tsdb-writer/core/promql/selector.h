#pragma once

#include "core/promql/ast.h"
#include "core/promql/token_cursor.h"

#include <string>
#include <vector>

#include <sluice/base/result.h>

namespace sluice::tsdb::promql {

/// `name{label="value"}[5m] offset 1h`, its name having been taken already; "" where it has none.
Result<ExprPtr> parse_selector_at(TokenCursor& cursor, const std::string& name);

/// `(a, b)`, as `by` and `on` have it.
Result<std::vector<std::string>> parse_label_list(TokenCursor& cursor);

}  // namespace sluice::tsdb::promql
