#pragma once

#include "core/payload/sample.h"

#include <cstdint>
#include <optional>

namespace sluice::validator {

struct TimeSettings {
  std::int64_t max_age_ms = 7LL * 24 * 3600 * 1000;  // a device's time up to this old is credible
  std::int64_t max_ahead_ms = 5LL * 60 * 1000;       // and up to this far ahead of ours
  std::int64_t allowed_lateness_ms = 60LL * 60 * 1000;  // beyond it a sample is late
  /// Subtract the estimated clock offset of a device whose clock is off by more than
  /// correct_above_ms. Off by default: it changes what a device said.
  bool corrects_offset = false;
  std::int64_t correct_above_ms = 60'000;
};

/// How far a device's clock is ahead of ours, by what its live messages say. One message tells
/// received - device time = delay - offset. Delays vary and are never negative, offsets hardly
/// change, so the least difference is the one with the least delay in it: the estimate is the
/// negated minimum over the current and the last window, off by the fastest delay alone.
class ClockEstimate {
 public:
  static constexpr std::int64_t kWindowMs =
      15LL * 60 * 1000;                                 // a stepped clock is believed after two
  static constexpr std::uint32_t kMinObservations = 8;  // before that the delay may be all we see

  /// One live message: not buffered, and the newest of its samples.
  void observe(std::int64_t device_time_ms, std::int64_t received_at_ms);

  /// Positive where the device is ahead; nullopt before kMinObservations.
  std::optional<std::int64_t> offset_ms() const;

  struct State {
    std::int64_t window_start_ms = 0;
    std::int64_t current_min_ms = 0;
    std::int64_t previous_min_ms = 0;
    std::uint32_t observations = 0;  // of the current and the last window
    std::uint32_t current_observations = 0;
    bool operator==(const State&) const = default;
  };
  const State& state() const { return state_; }
  void restore(const State& state) { state_ = state; }

 private:
  State state_{};
};

struct EventTime {
  std::int64_t event_time_ms = 0;
  QualityBits quality = 0;         // kClockSkewed, kLate
  bool keeps_device_time = false;  // the device's figure was not used: store it beside
  bool is_credible = false;        // the device told a time, and it lies in the window
};

/// When it happened. The device's time where it is at most max_age_ms before and max_ahead_ms after
/// `received_at_ms`, bounds included; else `received_at_ms`, flagged kClockSkewed, the device's
/// figure kept. A device that tells no time gets `received_at_ms` without a flag: nothing is wrong
/// with it.
EventTime event_time_of(std::optional<std::int64_t> device_time_ms, std::int64_t received_at_ms,
                        const ClockEstimate& clock, const TimeSettings& settings);

}  // namespace sluice::validator
