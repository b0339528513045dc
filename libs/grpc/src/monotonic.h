#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

#include <grpc/support/time.h>

namespace sluice::rpc {

// gRPC counts deadlines on its own clock; these two are the only places where its time meets ours,
// and both carry a distance from now, never a point in time.

inline gpr_timespec grpc_time_after(std::chrono::milliseconds distance) {
  return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                      gpr_time_from_millis(distance.count(), GPR_TIMESPAN));
}

/// Zero when it has passed, `most` when it is further away or never.
inline std::chrono::milliseconds distance_to(gpr_timespec time, std::chrono::milliseconds most) {
  const gpr_timespec now = gpr_now(GPR_CLOCK_MONOTONIC);
  const gpr_timespec there = gpr_convert_clock_type(time, GPR_CLOCK_MONOTONIC);
  if (gpr_time_cmp(there, now) <= 0) return std::chrono::milliseconds(0);
  return std::min(most, std::chrono::milliseconds(gpr_time_to_millis(gpr_time_sub(there, now))));
}

}  // namespace sluice::rpc
