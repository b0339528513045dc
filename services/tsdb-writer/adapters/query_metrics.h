#pragma once

#include "core/query/formats.h"

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/base/clock.h>
#include <sluice/base/result.h>
#include <sluice/metrics/metrics.h>

namespace sluice::tsdb {

/// What queries cost and how they end. Thread-safe.
class QueryMetrics {
 public:
  explicit QueryMetrics(Registry& registry) : registry_(registry) {}

  /// `endpoint` is one of our own names: "device", "query", "latest", "query_range" and so on.
  /// An outcome is "ok" or the code of the error.
  void note(std::string_view endpoint, const Result<>& outcome, std::chrono::nanoseconds took);
  void note_answer(const AnswerSize& size, const std::vector<std::string>& tiers);

 private:
  Registry& registry_;
};

}  // namespace sluice::tsdb
