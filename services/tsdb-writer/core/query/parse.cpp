#include "core/query/parse.h"

#include <array>
#include <charconv>
#include <format>
#include <utility>

namespace sluice::tsdb {
namespace {

using std::chrono::milliseconds;

constexpr std::array<std::string_view, kAggregateCount> kAggregateNames = {
    "avg", "min", "max", "sum", "count", "first", "last", "p50", "p95", "p99"};
constexpr std::array<std::string_view, 4> kFillNames = {"none", "null", "previous", "linear"};

constexpr std::int64_t kFirstMs = -2'208'988'800'000;  // 1900-01-01
constexpr std::int64_t kLastMs = 7'258'118'400'000;    // 2200-01-01
constexpr std::int64_t kLongestMs = std::int64_t{100} * 365 * 86'400'000;

struct Unit {
  std::string_view name;
  std::int64_t ms;
};
constexpr std::array<Unit, 7> kUnits = {{{"y", std::int64_t{365} * 86'400'000},
                                         {"w", std::int64_t{7} * 86'400'000},
                                         {"d", 86'400'000},
                                         {"h", 3'600'000},
                                         {"m", 60'000},
                                         {"s", 1'000},
                                         {"ms", 1}}};

template <std::size_t N>
std::string joined(const std::array<std::string_view, N>& names) {
  std::string all;
  for (const std::string_view name : names) {
    if (!all.empty()) all += ", ";
    all += name;
  }
  return all;
}

template <typename T, std::size_t N>
Result<T> one_of(std::string_view text, const std::array<std::string_view, N>& names) {
  for (std::size_t i = 0; i < N; ++i) {
    if (names[i] == text) return static_cast<T>(i);
  }
  return fail(ErrorCode::kInvalidArgument, "must be one of " + joined(names));
}

}  // namespace

std::string_view to_string(Aggregate aggregate) {
  return kAggregateNames[static_cast<std::size_t>(aggregate)];
}

bool takes_any_type(Aggregate aggregate) {
  return aggregate == Aggregate::kCount || aggregate == Aggregate::kFirst ||
         aggregate == Aggregate::kLast;
}

bool is_quantile(Aggregate aggregate) {
  return aggregate == Aggregate::kP50 || aggregate == Aggregate::kP95 ||
         aggregate == Aggregate::kP99;
}

std::string_view to_string(Fill fill) { return kFillNames[static_cast<std::size_t>(fill)]; }

Result<WallTime> time_of_ms(std::int64_t ms) {
  if (ms < kFirstMs || ms >= kLastMs) {
    return fail(ErrorCode::kInvalidArgument, "must be between the years 1900 and 2200");
  }
  return WallTime(milliseconds(ms));
}

Result<WallTime> parse_time(std::string_view text) {
  std::int64_t ms = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), ms);
  if (error == std::errc() && end == text.data() + text.size()) return time_of_ms(ms);
  const auto time = parse_rfc3339(text);
  if (!time) {
    return fail(ErrorCode::kInvalidArgument,
                "must be like 2026-01-31T12:00:00Z or milliseconds since 1970");
  }
  return time_of_ms(time->time_since_epoch().count());
}

Result<milliseconds> parse_span(std::string_view text) {
  const auto refused = [] {
    return fail(ErrorCode::kInvalidArgument,
                "must be like 90s, 5m, 1h30m or 7d: units ms, s, m, h, d, w, y, at most 100y");
  };
  if (text.empty()) return refused();
  std::int64_t total = 0;
  std::size_t next_unit = 0;
  while (!text.empty()) {
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || number < 0 || text.front() == '-') return refused();
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    std::size_t letters = 0;
    while (letters < text.size() && text[letters] >= 'a' && text[letters] <= 'z') ++letters;
    const std::string_view name = text.substr(0, letters);
    text.remove_prefix(letters);
    while (next_unit < kUnits.size() && kUnits[next_unit].name != name) ++next_unit;
    if (next_unit == kUnits.size()) return refused();
    const std::int64_t unit = kUnits[next_unit++].ms;
    if (number > kLongestMs / unit) return refused();
    total += number * unit;
    if (total > kLongestMs) return refused();
  }
  if (total == 0) return refused();
  return milliseconds(total);
}

std::string format_span(milliseconds span) {
  std::int64_t left = span.count();
  if (left <= 0) return "0s";
  // Only exact weeks and days are shorter so; years are not used, since nobody means 365 days.
  std::string text;
  for (const Unit& unit : std::span(kUnits).subspan(2)) {
    if (left < unit.ms) continue;
    text += std::format("{}{}", left / unit.ms, unit.name);
    left %= unit.ms;
  }
  return text;
}

Result<Resolution> parse_resolution(std::string_view text) {
  if (text == "raw") return Resolution{.kind = Resolution::Kind::kRaw};
  if (text == "auto") return Resolution{.kind = Resolution::Kind::kAuto};
  const auto span = parse_span(text);
  if (!span || *span < std::chrono::seconds(1)) {
    return fail(ErrorCode::kInvalidArgument,
                "must be raw, auto or a span of at least 1s such as 1m, 15m, 1h or 1d");
  }
  return Resolution{.kind = Resolution::Kind::kFixed, .width = *span};
}

Result<Aggregate> parse_aggregate(std::string_view text) {
  return one_of<Aggregate>(text, kAggregateNames);
}

Result<Fill> parse_fill(std::string_view text) { return one_of<Fill>(text, kFillNames); }

Result<GroupBy> parse_group_by(std::string_view text) {
  return one_of<GroupBy>(text, std::array<std::string_view, 2>{"fleet", "device_type"});
}

std::vector<std::string> split_list(std::string_view text) {
  std::vector<std::string> parts;
  while (true) {
    const std::size_t comma = text.find(',');
    parts.emplace_back(text.substr(0, comma));
    if (comma == std::string_view::npos) return parts;
    text.remove_prefix(comma + 1);
  }
}

}  // namespace sluice::tsdb
