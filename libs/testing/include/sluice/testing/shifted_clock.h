#pragma once

#include <atomic>
#include <chrono>

#include <sluice/base/clock.h>

namespace sluice::testing {

/// The machine's clock, with a monotonic time that a test can put forward: for what runs on real
/// threads and sockets, where a SimClock would stand still. Thread-safe.
class ShiftedClock final : public Clock {
 public:
  WallTime wall() const override { return system_.wall(); }
  MonoTime mono() const override { return system_.mono() + shift_.load(); }
  void put_forward(std::chrono::nanoseconds by) { shift_ = shift_.load() + by; }

 private:
  SystemClock system_;
  std::atomic<std::chrono::nanoseconds> shift_ = std::chrono::nanoseconds(0);
};

}  // namespace sluice::testing
