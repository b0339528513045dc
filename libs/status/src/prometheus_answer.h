#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/base/result.h>

namespace sluice::status {

/// The moments that charts have points at, oldest first. Whole multiples of the step, so that a
/// moment keeps its value from one look to the next.
struct TimeGrid {
  std::int64_t first_ms = 0;  // since the epoch
  std::int64_t step_ms = 1;
  std::size_t count = 0;

  std::int64_t last_ms() const {
    return first_ms + (static_cast<std::int64_t>(count) - 1) * step_ms;
  }
  /// The `count` moments up to `now_ms`.
  static TimeGrid until(std::int64_t now_ms, std::int64_t step_ms, std::size_t count);
};

/// A value for each moment of the grid; NaN where there is none.
using Values = std::vector<double>;

/// Most lines that one answer may have, and most bytes of the name of one: topics times services
/// are fewer, and the page could not show more.
inline constexpr std::size_t kMaxLines = 64;
inline constexpr std::size_t kMaxNameSize = 96;

/// What Prometheus answered, by the names of lines: from the labels given, joined by a blank.
/// Whatever it says is believed only as far as it fits the grid: more lines than kMaxLines, more
/// points than moments, points between moments and longer names are an error.
Result<std::map<std::string, Values>> read_matrix(std::string_view body, const TimeGrid& grid,
                                                  const std::vector<std::string_view>& labels);

}  // namespace sluice::status
