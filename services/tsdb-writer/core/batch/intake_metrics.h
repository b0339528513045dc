#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include <sluice/metrics/metrics.h>

namespace sluice::tsdb {

/// Why a message or one of its readings is not stored. Each has a counter.
enum class Refusal : std::uint8_t {
  kMalformed,      // no ValidMessage
  kIdentity,       // tenant, device, fleet or class that no id can be
  kEventTime,      // older than max_age or further ahead than max_ahead
  kMetricName,     // empty, longer than kMaxMetricNameBytes, or with a zero byte
  kUnit,           // longer than kMaxUnitBytes, or with a zero byte
  kNoValue,        // a type of value that this program does not know
  kTextTooLong,    // max_text_bytes
  kTooManyMetrics  // max_metrics_per_class
};
inline constexpr std::size_t kRefusalCount = 8;
std::string_view to_string(Refusal refusal);

/// Counts what is refused. Messages for the first three reasons, readings for the others.
class RefusalCounters {
 public:
  explicit RefusalCounters(Registry& registry);
  void count(Refusal refusal, std::uint64_t times = 1);
  std::uint64_t value(Refusal refusal) const;

 private:
  std::vector<Counter> counters_;
};

}  // namespace sluice::tsdb
