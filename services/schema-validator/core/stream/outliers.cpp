#include "core/stream/outliers.h"

#include "core/stream/hash.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numbers>

namespace sluice::validator {
namespace {

/// How far a value may pull mean and spread at once, in spreads: one spike moves them by next to
/// nothing, while a level that stays is believed after some hundred values.
constexpr double kClip = 4.0;
/// Values in a row that differ from the last accepted one before the new level is accepted.
constexpr std::uint8_t kNewLevelAfter = 5;

double least_spread(const MetricState& state, const OutlierRule& rule) {
  return std::max(std::max(rule.min_spread, rule.min_spread_ratio * std::abs(state.mean)),
                  std::numeric_limits<double>::min());
}

bool is_outside(double value, const OutlierRule& rule) {
  return (rule.min && value < *rule.min) || (rule.max && value > *rule.max);
}

std::optional<OutlierKind> judge_change(const MetricState& state, double value,
                                        std::int64_t elapsed_ms, const OutlierRule& rule) {
  const double step = std::abs(value - state.last);
  if (rule.max_step && step > *rule.max_step) return OutlierKind::kStep;
  if (rule.max_rate_per_s &&
      step * 1000.0 > *rule.max_rate_per_s * static_cast<double>(elapsed_ms)) {
    return OutlierKind::kRate;
  }
  return std::nullopt;
}

/// What one value counts for, by what is divided by, so that a value of a message costs no
/// division.
constexpr std::size_t kKnownHalfLives = 257;
constexpr double steady_weight(std::uint32_t half_life) {
  // 1 - 2^(-1/h) to two parts in a hundred, without a logarithm.
  const double step = std::numbers::ln2 / std::max(1U, half_life);
  return step / (1.0 + step / 2);
}
constexpr auto kSteadyWeights = [] {
  std::array<double, kKnownHalfLives> weights{};
  for (std::uint32_t i = 0; i < weights.size(); ++i) weights[i] = steady_weight(i);
  return weights;
}();
constexpr auto kYoungWeights = [] {  // by values so far
  std::array<double, 256> weights{};
  for (std::size_t i = 0; i < weights.size(); ++i)
    weights[i] = 1.0 / (static_cast<double>(i) + 1.0);
  return weights;
}();

/// Before the spread is known it is measured as it is; afterwards a value counts for no more
/// than kClip spreads.
void follow(MetricState& state, double value, const OutlierRule& rule) {
  const double steady = rule.half_life < kKnownHalfLives ? kSteadyWeights[rule.half_life]
                                                         : steady_weight(rule.half_life);
  const double weight = std::max(steady, kYoungWeights[state.count]);
  // Two doubles may be further apart than a double can say.
  constexpr double kFurthest = std::numeric_limits<double>::max() / 2;
  double difference = std::clamp(value - state.mean, -kFurthest, kFurthest);
  if (state.count >= rule.warm_up || state.count == UINT8_MAX) {
    const double bound =
        kClip * std::max(static_cast<double>(state.spread), least_spread(state, rule));
    difference = std::clamp(difference, -bound, bound);
  }
  const double spread = state.spread;
  const double variance = (1.0 - weight) * (spread * spread + weight * difference * difference);
  state.mean += weight * difference;
  // Squares of the largest doubles have no finite sum; a bound keeps the state usable.
  state.spread = static_cast<float>(
      std::min(std::sqrt(variance), static_cast<double>(std::numeric_limits<float>::max())));
}

void count_same(MetricState& state, bool is_same, std::int64_t elapsed_ms) {
  if (!is_same) {
    state.same_count = 1;
    state.same_seconds = 0;
    return;
  }
  if (state.same_count < UINT16_MAX) ++state.same_count;
  const std::uint64_t seconds =
      state.same_seconds + static_cast<std::uint64_t>(elapsed_ms + 500) / 1000;
  state.same_seconds = static_cast<std::uint32_t>(std::min<std::uint64_t>(seconds, UINT32_MAX));
}

bool is_stuck(const MetricState& state, const OutlierRule& rule) {
  return (rule.stuck_count && state.same_count >= *rule.stuck_count) ||
         (rule.stuck_seconds && state.same_seconds >= *rule.stuck_seconds && state.same_count > 1);
}

}  // namespace

std::string_view name_of(OutlierKind kind) {
  switch (kind) {
    case OutlierKind::kRange:
      return "range";
    case OutlierKind::kStep:
      return "step";
    case OutlierKind::kRate:
      return "rate";
    case OutlierKind::kSpread:
      return "spread";
    case OutlierKind::kStuck:
      return "stuck";
  }
  return "unknown";
}

std::uint32_t OutlierRules::key_of(std::string_view metric) { return key_of(hash_text(metric)); }

void OutlierRules::set(std::string_view metric, const OutlierRule& rule) {
  const std::uint32_t key = key_of(metric);
  const auto at = std::ranges::lower_bound(entries_, key, {}, &Entry::key);
  if (at != entries_.end() && at->key == key) {
    at->rule = rule;
  } else {
    entries_.insert(at, {.key = key, .rule = rule});
  }
}

const OutlierRule& OutlierRules::rule_for(std::uint32_t metric_key) const {
  if (entries_.empty()) return fallback_;
  const auto at = std::ranges::lower_bound(entries_, metric_key, {}, &Entry::key);
  return at != entries_.end() && at->key == metric_key ? at->rule : fallback_;
}

std::optional<OutlierKind> judge_value(MetricState& state, double value, std::int64_t event_time_ms,
                                       const OutlierRule& rule) {
  const bool is_first = state.count == 0;
  if (!is_first && event_time_ms <= state.time_ms) {
    if (is_outside(value, rule)) return OutlierKind::kRange;
    return std::nullopt;
  }
  std::int64_t elapsed_ms = 0;
  if (is_first || __builtin_sub_overflow(event_time_ms, state.time_ms, &elapsed_ms)) elapsed_ms = 1;
  // A restored state is bytes from outside: its figures may be any.
  elapsed_ms = std::min<std::int64_t>(elapsed_ms, std::int64_t{1} << 50);

  std::optional<OutlierKind> found;
  bool is_change_unusual = false;
  if (is_outside(value, rule)) {
    found = OutlierKind::kRange;
  } else if (!is_first) {
    found = judge_change(state, value, elapsed_ms, rule);
    is_change_unusual = found.has_value();
    if (!found && rule.max_deviations &&
        state.count >= std::min<std::uint32_t>(rule.warm_up, UINT8_MAX)) {
      const double spread = std::max(static_cast<double>(state.spread), least_spread(state, rule));
      if (std::abs(value - state.mean) > *rule.max_deviations * spread)
        found = OutlierKind::kSpread;
    }
  }

  // `last` is what the next step is measured from: a spike must not make its end a step as well.
  const bool is_same = !is_first && value == state.last;
  if (is_change_unusual && state.unusual_run + 1 < kNewLevelAfter) {
    ++state.unusual_run;
  } else {
    if (found != OutlierKind::kRange) state.last = value;
    state.unusual_run = 0;
  }
  count_same(state, is_same, elapsed_ms);
  if (!found && is_stuck(state, rule)) found = OutlierKind::kStuck;
  // Out of its physical range a value says nothing of the level.
  if (found != OutlierKind::kRange) {
    if (is_first) {
      state.mean = value;
    } else {
      follow(state, value, rule);
    }
    if (state.count < UINT8_MAX) ++state.count;
  }
  state.time_ms = event_time_ms;
  return found;
}

}  // namespace sluice::validator
