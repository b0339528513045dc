#include "core/stream/event_time.h"

#include <algorithm>

namespace sluice::validator {
namespace {

/// a - b, or the bound it would pass: a device may claim any 64 bits as its time.
std::int64_t saturating_difference(std::int64_t a, std::int64_t b) {
  std::int64_t result = 0;
  if (!__builtin_sub_overflow(a, b, &result)) return result;
  return a < b ? INT64_MIN : INT64_MAX;
}

bool is_within(std::int64_t device_time_ms, std::int64_t received_at_ms,
               const TimeSettings& settings) {
  const std::int64_t age_ms = saturating_difference(received_at_ms, device_time_ms);
  return age_ms <= settings.max_age_ms && age_ms >= -settings.max_ahead_ms;
}

}  // namespace

void ClockEstimate::observe(std::int64_t device_time_ms, std::int64_t received_at_ms) {
  // INT64_MIN is kept out, so that the estimate can be negated.
  const std::int64_t difference =
      std::max(saturating_difference(received_at_ms, device_time_ms), INT64_MIN + 1);
  State& s = state_;
  const bool is_over =
      saturating_difference(received_at_ms, s.window_start_ms) >= kWindowMs || s.observations == 0;
  if (is_over) {
    const bool has_previous = s.current_observations > 0;
    s.previous_min_ms = has_previous ? s.current_min_ms : difference;
    s.observations = s.current_observations;
    s.current_observations = 0;
    s.current_min_ms = difference;
    s.window_start_ms = received_at_ms;
  }
  s.current_min_ms = std::min(s.current_min_ms, difference);
  if (s.current_observations < UINT32_MAX / 2) ++s.current_observations;
  if (s.observations < UINT32_MAX / 2) ++s.observations;
}

std::optional<std::int64_t> ClockEstimate::offset_ms() const {
  if (state_.observations < kMinObservations) return std::nullopt;
  return -std::min(state_.current_min_ms, state_.previous_min_ms);
}

EventTime event_time_of(std::optional<std::int64_t> device_time_ms, std::int64_t received_at_ms,
                        const ClockEstimate& clock, const TimeSettings& settings) {
  EventTime result{.event_time_ms = received_at_ms};
  if (!device_time_ms) return result;
  result.is_credible = is_within(*device_time_ms, received_at_ms, settings);
  if (result.is_credible) {
    result.event_time_ms = *device_time_ms;
  } else {
    result.quality = kClockSkewed;
    result.keeps_device_time = true;
  }
  if (settings.corrects_offset) {
    const auto offset = clock.offset_ms();
    if (offset && (*offset > settings.correct_above_ms || *offset < -settings.correct_above_ms)) {
      const std::int64_t corrected = saturating_difference(*device_time_ms, *offset);
      if (is_within(corrected, received_at_ms, settings)) {
        result.event_time_ms = corrected;
        result.quality = kClockSkewed;
        result.keeps_device_time = true;
      }
    }
  }
  if (saturating_difference(received_at_ms, result.event_time_ms) > settings.allowed_lateness_ms) {
    result.quality |= kLate;
  }
  return result;
}

}  // namespace sluice::validator
