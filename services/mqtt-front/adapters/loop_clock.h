#pragma once

#include <sluice/base/clock.h>
#include <sluice/net/loop.h>

namespace sluice::front {

/// The time as a loop's turn began. The core asks several times per message, and a turn serves
/// hundreds: asking the machine each time was 3 % of a message's cost. One owner: the loop.
class LoopClock final : public Clock {
 public:
  LoopClock(const net::Loop& loop, const Clock& clock) : loop_(loop), clock_(clock) {}

  MonoTime mono() const override { return loop_.now(); }
  WallTime wall() const override {
    if (read_at_ != loop_.now()) {
      read_at_ = loop_.now();
      wall_ = clock_.wall();
    }
    return wall_;
  }

 private:
  const net::Loop& loop_;
  const Clock& clock_;
  mutable MonoTime read_at_{};
  mutable WallTime wall_{};
};

}  // namespace sluice::front
