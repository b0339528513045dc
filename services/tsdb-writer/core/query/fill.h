#pragma once

#include "core/query/model.h"
#include "core/query/result_sink.h"

#include <cstddef>
#include <cstdint>
#include <vector>

#include <sluice/base/result.h>

namespace sluice::tsdb {

/// The windows of a series that have values, by rising time, row by row.
struct WindowTable {
  std::vector<std::int64_t> times;
  std::vector<Value> values;
};

struct FillRule {
  Fill fill = Fill::kNone;
  std::int64_t from = 0;
  std::int64_t to = 0;
  std::int64_t width = 1;
  std::size_t columns = 1;
};

/// Tells the windows and, as the rule says, those between them. `previous` repeats the last values,
/// `linear` draws a line between the numbers on both sides; before the first and, for a line, after
/// the last there is nothing. Counts are filled like all else.
Result<> tell_filled(const WindowTable& table, const FillRule& rule, ResultSink& sink);

}  // namespace sluice::tsdb
