#pragma once

#include "prometheus_answer.h"

#include <chrono>
#include <functional>
#include <string>
#include <string_view>

#include <sluice/base/result.h>

namespace sluice::status {

/// Asks Prometheus: the answer's body, bounded, to a query over a grid.
using Ask = std::function<Result<std::string>(const std::string& query, const TimeGrid& grid)>;

/// How the page's data stands, as the page reads it.
enum class State {
  kOk,
  kWaiting,      // nobody looked until now; ask again at once
  kUnset,        // prometheus_url is empty
  kUnreachable,  // Prometheus does not answer, or not sensibly
};

/// The data of all charts as JSON, or the error that the first query ended with.
Result<std::string> take_picture(const Ask& ask, const TimeGrid& grid,
                                 std::chrono::milliseconds rate_window);

/// The same where there is no picture, with the reason in words.
std::string no_picture(State state, std::string_view why);

}  // namespace sluice::status
