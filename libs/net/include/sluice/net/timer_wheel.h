#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace sluice::net {

/// One deadline, embedded in (or a base of) what waits for it: 32 bytes, no allocation, ever.
/// Destroying an armed timer cancels it. One owner thread: that of the wheel.
class Timer {
 public:
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  bool is_armed() const { return next_ != nullptr; }
  /// Does nothing when it is not armed.
  void cancel();

 protected:
  Timer() = default;
  virtual ~Timer() { cancel(); }  // virtual for the compiler's peace; nobody deletes a Timer

 private:
  friend class TimerWheel;

  /// Called once per arming, never before the deadline. The timer is not armed any more: it may be
  /// armed again, and its owner may be destroyed, here.
  virtual void on_timer() = 0;

  Timer* next_ = nullptr;  // a ring through the slot's head; null when not armed
  Timer* prev_ = nullptr;
  std::uint32_t due_ = 0;     // tick; low 32 bits
  std::uint32_t placed_ = 0;  // the tick at which its slot is looked at: due_ or earlier
};

/// Hierarchical timing wheel, 6 bits a level, ticks of 1 ms. Arming, re-arming and cancelling are
/// O(1); putting a deadline off, as every packet of a device does with its keep-alive, is one
/// store: the timer stays in its slot and is moved on when the slot comes up. Delays of kCoarseFrom
/// or more are rounded up to whole kCoarse, so that a hundred thousand keep-alives wake the loop 8
/// times a second and not each for itself. Pure: time is what advance() is told. One owner thread.
class TimerWheel {
 public:
  using Ticks = std::uint64_t;  // milliseconds

  static constexpr Ticks kCoarse = 128;
  static constexpr Ticks kCoarseFrom = 2000;
  /// Longer delays are cut to this, 12 days: half of what 32 bits of difference can hold.
  static constexpr Ticks kMaxDelay = Ticks{1} << 30;

  TimerWheel();
  TimerWheel(const TimerWheel&) = delete;
  TimerWheel& operator=(const TimerWheel&) = delete;
  ~TimerWheel();  // disarms what is left

  /// Fires at the first advance() to `now() + delay` or later; a delay of 0 counts as 1.
  /// Re-arms a timer that is armed.
  void arm(Timer& timer, Ticks delay);

  /// Moves time on and fires what falls due on the way, in order of ticks. A timer that re-arms
  /// itself fires at most once a tick, so that it cannot hold it.
  void advance(Ticks now);
  Ticks now() const { return now_; }

  /// When advance() has something to do next, at the earliest; nullopt when nothing is armed. May
  /// be too early (a timer was cancelled or put off), never too late.
  std::optional<Ticks> next_due() const;

 private:
  static constexpr unsigned kLevelBits = 6;
  static constexpr std::size_t kSlots = std::size_t{1} << kLevelBits;
  static constexpr std::size_t kLevels = 6;  // 2^36 ms, past kMaxDelay and a wrap

  struct Head final : Timer {
    void on_timer() override {}
  };
  struct Next {
    std::size_t level;
    std::size_t slot;
    Ticks at;
  };

  void place(Timer& timer, Ticks due);
  void fire_slot(Head& head);
  std::optional<Next> find_next() const;
  Ticks widen(std::uint32_t tick) const;

  Ticks now_ = 0;
  std::array<std::uint64_t, kLevels> occupied_{};  // bit per slot; may be set for an emptied one
  std::array<std::array<Head, kSlots>, kLevels> slots_;
};

}  // namespace sluice::net
