#include <sluice/testing/sim_clock.h>

#include <algorithm>

#include <sluice/base/check.h>

namespace sluice::testing {
namespace {

constexpr MonoTime kMonoStart{std::chrono::hours(1)};

std::chrono::milliseconds since_start(MonoTime time) {
  return std::chrono::floor<std::chrono::milliseconds>(time - kMonoStart);
}

}  // namespace

WallTime SimClock::wall() const {
  std::lock_guard lock(mutex_);
  return WallTime(wall_offset_ + since_start(mono_));
}

MonoTime SimClock::mono() const {
  std::lock_guard lock(mutex_);
  return mono_;
}

void SimClock::advance(std::chrono::nanoseconds by) {
  SLUICE_CHECK(by >= std::chrono::nanoseconds(0));
  const MonoTime limit = mono() + by;
  while (run_next_timer_until(limit)) {
  }
  std::lock_guard lock(mutex_);
  mono_ = std::max(mono_, limit);  // a timer may have moved it further
}

bool SimClock::advance_to_next_timer() { return run_next_timer_until(MonoTime::max()); }

void SimClock::jump_wall_to(WallTime time) {
  std::lock_guard lock(mutex_);
  wall_offset_ = time.time_since_epoch() - since_start(mono_);
}

SimClock::TimerId SimClock::at(MonoTime when, std::function<void()> action) {
  std::lock_guard lock(mutex_);
  const TimerId id = next_timer_++;
  timers_.emplace(std::pair(when, id), std::move(action));
  return id;
}

SimClock::TimerId SimClock::after(std::chrono::nanoseconds delay, std::function<void()> action) {
  return at(mono() + delay, std::move(action));
}

bool SimClock::cancel(TimerId timer) {
  std::lock_guard lock(mutex_);
  return std::erase_if(timers_, [&](const auto& entry) { return entry.first.second == timer; }) > 0;
}

std::size_t SimClock::pending_timers() const {
  std::lock_guard lock(mutex_);
  return timers_.size();
}

bool SimClock::run_next_timer_until(MonoTime limit) {
  std::function<void()> action;
  {
    std::lock_guard lock(mutex_);
    if (timers_.empty() || timers_.begin()->first.first > limit) return false;
    auto timer = timers_.extract(timers_.begin());
    mono_ = std::max(mono_, timer.key().first);
    action = std::move(timer.mapped());
  }
  // Without the lock, since the action asks for the time and sets further timers.
  action();
  return true;
}

}  // namespace sluice::testing
