#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

#include <sluice/base/clock.h>

namespace sluice::load {

/// How many connections the null sink lets in: so many a second, twice that at once, as servers
/// with such a limit do.
class SinkLimit {
 public:
  /// 0: no limit.
  explicit SinkLimit(std::uint32_t per_second) : per_second_(per_second), room_(2.0 * per_second) {}

  bool admits(MonoTime now) {
    if (per_second_ == 0) return true;
    const std::chrono::duration<double> passed = now - last_;
    last_ = now;
    room_ = std::min(2.0 * per_second_, room_ + passed.count() * per_second_);
    if (room_ < 1) return false;
    --room_;
    return true;
  }

 private:
  std::uint32_t per_second_;
  double room_;
  MonoTime last_{};
};

}  // namespace sluice::load
