#pragma once

#include "core/query/plan.h"
#include "core/query/result_sink.h"
#include "core/query/sample_source.h"
#include "core/query/window.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

#include <sluice/base/clock.h>
#include <sluice/base/result.h>

namespace sluice::tsdb {

/// When a query must be over.
class Deadline {
 public:
  Deadline(const Clock& clock, std::chrono::milliseconds timeout)
      : clock_(clock), ends_(clock.mono() + timeout) {}

  /// kDeadlineExceeded with reason "query_timeout" once it has passed.
  Result<> check() const;

 private:
  const Clock& clock_;
  MonoTime ends_;
};

/// Carries a plan out, device by device and stretch of time by stretch of time: what is in memory
/// is one stretch of one device and, for windows, that device's windows. Values of one series come
/// by rising time.
Result<> run_query(SampleSource& source, const QueryPlan& plan, const Deadline& deadline,
                   ResultSink& sink);

/// The stretch in which rows of a tier are read at once: small enough for memory, large enough for
/// a query of usual length to be one statement. Shorter for many series, all of which are decoded
/// at once.
std::chrono::milliseconds stretch_of(Tier tier, std::size_t series = 1);

/// Calls `each` for the stretches of [from, to), cut at multiples of their length.
Result<> for_each_stretch(Tier tier, series::TimeRange range,
                          const std::function<Result<>(series::TimeRange)>& each,
                          std::size_t series = 1);

}  // namespace sluice::tsdb
