#include "link.h"

#include <algorithm>

namespace sluice::testing {

std::chrono::nanoseconds FaultState::draw_delay() {
  const std::int64_t jitter = faults.jitter.count();
  return faults.delay + std::chrono::milliseconds(jitter > 0 ? random_.between(0, jitter) : 0);
}

std::size_t FaultState::budget(MonoTime now) {
  if (faults.bytes_per_second == 0) {
    refilled_ = now;
    allowance_ = 0;
    return kUnlimited;
  }
  const auto rate = static_cast<double>(faults.bytes_per_second);
  // No more than a twentieth of a second is saved up, so that a pause does not end in a burst.
  const double most = std::max(1.0, rate / 20);
  const double passed = std::chrono::duration<double>(now - refilled_).count();
  refilled_ = now;
  allowance_ = std::min(most, allowance_ + passed * rate);
  return allowance_ >= 1 ? static_cast<std::size_t>(allowance_) : 0;
}

}  // namespace sluice::testing
