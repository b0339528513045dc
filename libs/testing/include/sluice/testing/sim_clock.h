#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <utility>

#include <sluice/base/clock.h>

namespace sluice::testing {

/// A clock that moves only when told to. Wall and monotonic time advance together; the wall alone
/// can be made to jump, as a machine's does when somebody corrects it.
///
/// Thread-safe. Timers run on the thread that calls advance(), in order of their time and, among
/// equals, in the order in which they were set; while one runs the clock shows its time.
class SimClock final : public Clock {
 public:
  using TimerId = std::uint64_t;

  /// 2026-01-01T00:00:00Z: a fixed start, so that a test prints the same times in every run.
  static constexpr WallTime kDefaultStart{std::chrono::milliseconds(1'767'225'600'000)};

  explicit SimClock(WallTime start = kDefaultStart) : wall_offset_(start.time_since_epoch()) {}

  WallTime wall() const override;
  MonoTime mono() const override;

  /// Moves time on and runs every timer that falls due on the way, those included that timers set.
  void advance(std::chrono::nanoseconds by);
  /// Moves to the next timer and runs it; false when there is none.
  bool advance_to_next_timer();
  /// Sets the wall clock alone, forwards or back.
  void jump_wall_to(WallTime time);

  /// Runs `action` when monotonic time reaches `when`; one that has passed runs at the next
  /// advance().
  TimerId at(MonoTime when, std::function<void()> action);
  TimerId after(std::chrono::nanoseconds delay, std::function<void()> action);
  /// False when the timer has run or was never set.
  bool cancel(TimerId timer);
  std::size_t pending_timers() const;

 private:
  bool run_next_timer_until(MonoTime limit);

  mutable std::mutex mutex_;
  // Not zero, so that code which takes "0" for "never" shows its fault in tests.
  MonoTime mono_{std::chrono::hours(1)};
  std::chrono::milliseconds wall_offset_;  // wall time at mono_ == kMonoStart
  std::map<std::pair<MonoTime, TimerId>, std::function<void()>> timers_;
  TimerId next_timer_ = 1;
};

}  // namespace sluice::testing
