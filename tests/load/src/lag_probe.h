#pragma once

#include <chrono>

#include <sluice/base/clock.h>
#include <sluice/swarm/histogram.h>

namespace sluice::load {

/// How late a loop comes to what is ready, measured from within: what the generator itself adds to
/// the latencies that it reports. Something is taken to become ready each millisecond, and to be
/// handled by the end of the poll that began after it: a loop that was away for 20 ms counts 20
/// times, as 20 answers would have waited for it. So it rather says too much than too little.
class LagProbe {
 public:
  static constexpr std::chrono::milliseconds kTick{1};

  /// `into` must outlive it, or the next record_in().
  LagProbe(MonoTime now, swarm::Histogram& into) : into_(&into) { restart(now); }

  /// Forgets what was until `now`, in which the loop was not meant to run.
  void restart(MonoTime now) { handled_ = seen_ = now + kTick; }
  void record_in(swarm::Histogram& into) { into_ = &into; }

  /// The longest that the next poll may wait.
  std::chrono::nanoseconds limit(MonoTime now, std::chrono::nanoseconds wanted) const;
  /// A poll has ended.
  void polled(MonoTime now);

 private:
  swarm::Histogram* into_;
  MonoTime handled_{};  // the first tick that no poll has handled
  MonoTime seen_{};     // the first that no poll has seen: the ticks before it go to the next one
};

}  // namespace sluice::load
