#include "lag_probe.h"

#include <algorithm>

namespace sluice::load {

std::chrono::nanoseconds LagProbe::limit(MonoTime now, std::chrono::nanoseconds wanted) const {
  if (handled_ < seen_) return std::chrono::nanoseconds(0);
  return std::clamp<std::chrono::nanoseconds>(seen_ - now, std::chrono::nanoseconds(0), wanted);
}

void LagProbe::polled(MonoTime now) {
  for (; handled_ < seen_; handled_ += kTick) into_->record(now - handled_);
  while (seen_ <= now) seen_ += kTick;
}

}  // namespace sluice::load
