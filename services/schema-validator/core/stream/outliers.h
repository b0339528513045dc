#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace sluice::validator {

enum class OutlierAction : std::uint8_t {
  kPass,        // not looked at
  kFlag,        // kept with the quality "outlier"
  kQuarantine,  // the message goes to telemetry.rejected
};

/// Which check a value failed.
enum class OutlierKind : std::uint8_t { kRange, kStep, kRate, kSpread, kStuck };
inline constexpr std::size_t kOutlierKinds = 5;
/// "range", "step", "rate", "spread", "stuck".
std::string_view name_of(OutlierKind kind);

/// What is unusual for a metric. A check without a bound is off.
struct OutlierRule {
  OutlierAction action = OutlierAction::kFlag;
  std::optional<double> min{};
  std::optional<double> max{};
  std::optional<double> max_step{};              // from one value to the next, absolute
  std::optional<double> max_rate_per_s{};        // the same per second between them
  std::optional<double> max_deviations{8.0};     // of the decaying spread, from the decaying mean
  std::optional<std::uint32_t> stuck_count{};    // the same value so many times
  std::optional<std::uint32_t> stuck_seconds{};  // the same value for so long
  std::uint32_t warm_up = 16;                    // values before the spread is judged
  std::uint32_t half_life = 64;                  // values after which one weighs half
  double min_spread = 1e-3;                      // the spread is never taken for less than this,
  double min_spread_ratio = 0.005;               // nor for less than this part of the mean
};

/// Rules by metric. Owned by whoever configures; read by all.
class OutlierRules {
 public:
  OutlierRules() = default;
  explicit OutlierRules(OutlierRule fallback) : fallback_(fallback) {}
  /// A rule for one metric, in place of an earlier one for it.
  void set(std::string_view metric, const OutlierRule& rule);
  const OutlierRule& rule_for(std::uint32_t metric_key) const;
  /// How a metric is known to rules and states; never 0.
  static std::uint32_t key_of(std::string_view metric);
  /// The same by the hash_text() of the name.
  static std::uint32_t key_of(std::uint64_t hash) {
    const auto key = static_cast<std::uint32_t>(hash);
    return key == 0 ? 1 : key;
  }

 private:
  struct Entry {
    std::uint32_t key = 0;
    OutlierRule rule{};
  };
  OutlierRule fallback_{};
  std::vector<Entry> entries_{};  // by key
};

/// What is remembered of one metric of one device: 40 bytes.
struct MetricState {
  double mean = 0;
  double last = 0;           // last value that was no outlier
  std::int64_t time_ms = 0;  // event time of the newest value
  float spread = 0;          // decaying standard deviation; a float is plenty for a threshold
  std::uint32_t key = 0;
  std::uint32_t same_seconds = 0;  // how long the value has not changed
  std::uint16_t same_count = 0;    // how often it came in a row; saturates
  std::uint8_t count = 0;          // values so far; saturates
  std::uint8_t unusual_run = 0;    // values in a row that failed step or rate; saturates

  bool operator==(const MetricState&) const = default;
};
static_assert(sizeof(MetricState) == 40);

/// Judges `value` and lets it into the state. A value not newer than the state (buffered, late,
/// reordered) is judged by its range alone and leaves the state as it is. `value` is finite.
std::optional<OutlierKind> judge_value(MetricState& state, double value, std::int64_t event_time_ms,
                                       const OutlierRule& rule);

}  // namespace sluice::validator
