#pragma once

#include "core/query/held_memory.h"
#include "core/storage_layout.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <sluice/base/clock.h>
#include <sluice/series/chunk.h>

namespace sluice::tsdb {

/// What is made of the values of a window. Quantiles are within QuantileSketch::kRelativeError.
enum class Aggregate : std::uint8_t {
  kAvg,
  kMin,
  kMax,
  kSum,
  kCount,
  kFirst,
  kLast,
  kP50,
  kP95,
  kP99
};
inline constexpr std::size_t kAggregateCount = 10;

/// "avg", "p95" and so on.
std::string_view to_string(Aggregate aggregate);
/// Whether it has a meaning for texts and booleans: count, first and last.
bool takes_any_type(Aggregate aggregate);
/// Whether it needs the sketch of a roll-up.
bool is_quantile(Aggregate aggregate);

/// What stands in windows without values.
enum class Fill : std::uint8_t { kNone, kNull, kPrevious, kLinear };
std::string_view to_string(Fill fill);

/// Widths of windows. Windows are counted from the epoch in UTC.
struct Resolution {
  enum class Kind : std::uint8_t { kRaw, kAuto, kFixed };
  Kind kind = Kind::kRaw;
  std::chrono::milliseconds width{0};  // of kFixed

  bool is_raw() const { return kind == Kind::kRaw; }
  bool operator==(const Resolution&) const = default;
};

enum class GroupBy : std::uint8_t { kFleet, kDeviceType };

/// The series with the highest or lowest aggregate over the whole range.
struct Top {
  std::size_t count = 0;
  Aggregate by = Aggregate::kAvg;
  bool is_lowest = false;
};

struct QueryRequest {
  /// Which devices: by id, or all that fit fleet and class.
  std::vector<std::string> devices{};
  std::optional<std::string> fleet{};
  std::optional<std::string> device_type{};
  /// Empty: every metric that the devices' classes have.
  std::vector<std::string> metrics{};
  WallTime from{};
  WallTime to{};
  Resolution resolution{};
  /// Empty for raw values.
  std::vector<Aggregate> aggregates{};
  Fill fill = Fill::kNone;
  /// Not none: values of all devices of a group are put together.
  std::optional<std::vector<GroupBy>> group_by{};
  /// With group_by: names of attributes that must be equal, too, in a group.
  std::vector<std::string> group_attributes{};
  std::optional<Top> top{};
  /// Raw values of one series at most; 0: as many as max_points lets.
  std::size_t limit = 0;
};

/// What one query may cost. Each is a setting, `query_` before its name.
struct QueryLimits {
  /// Values of an answer: windows times series times aggregates, or raw samples.
  std::size_t max_points = 1'000'000;
  std::size_t max_series = 2'000;
  std::size_t max_devices = 1'000;
  std::chrono::milliseconds max_range = std::chrono::days(3'660);
  /// Where no roll-up can answer and every sample must be looked at.
  std::chrono::milliseconds max_raw_range = std::chrono::days(31);
  /// Windows of all groups together, each of which is held in memory until all devices were read.
  std::size_t max_grouped_windows = 50'000;
  /// Samples that one PromQL query may look at.
  std::size_t max_promql_samples = 5'000'000;
  QueryMemoryLimits memory{};
  /// From the first read to the last byte.
  std::chrono::milliseconds timeout = std::chrono::seconds(60);
};

/// How long the tiers of a policy are kept; nullopt: for ever.
struct TierRetention {
  PolicyId policy;
  std::optional<std::chrono::milliseconds> raw{};
  std::optional<std::chrono::milliseconds> rollup_1m{};
  std::optional<std::chrono::milliseconds> rollup_1h{};
  std::optional<std::chrono::milliseconds> rollup_1d{};

  const std::optional<std::chrono::milliseconds>& of(Tier tier) const {
    if (tier == Tier::kRollup1m) return rollup_1m;
    if (tier == Tier::kRollup1h) return rollup_1h;
    if (tier == Tier::kRollup1d) return rollup_1d;
    return raw;
  }
};

struct StoredDevice {
  DeviceKey key;
  std::string id;
  std::string fleet;
  std::string device_type;
  /// Decides what is still kept, and where new rows go.
  PolicyId policy;
  /// Where older rows may be.
  std::vector<PolicyId> earlier_policies{};
  /// Of the attributes that DeviceFilter asks for, in its order; empty where it has none.
  std::vector<std::string> attributes{};
  /// By name, where DeviceFilter asks for all.
  std::map<std::string, std::string> all_attributes{};
};

struct StoredMetric {
  MetricKey key;
  std::string device_type;
  std::string name;
  std::string unit;
  series::ColumnType type = series::ColumnType::kDouble;
};

/// A value of an answer: nothing, a number, an integer as exact as it came, a truth, a text.
using Value = std::variant<std::monostate, double, std::int64_t, bool, std::string>;

}  // namespace sluice::tsdb
