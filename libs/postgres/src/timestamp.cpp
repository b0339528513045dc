#include "timestamp.h"

#include <charconv>
#include <chrono>
#include <format>

namespace sluice::postgres {
namespace {

using std::chrono::milliseconds;

constexpr WallTime kEpoch = std::chrono::sys_days(std::chrono::year(2000) / 1 / 1);
// PostgreSQL's range is 4713 BC to 294276 AD. The type std::chrono::year ends at 32767, so ours
// ends there: what could be stored and not read again is refused when it is written.
constexpr milliseconds kEarliest = milliseconds(-211'813'488'000'000);
constexpr WallTime kEnd =
    std::chrono::sys_days(std::chrono::year::max() / 12 / 31) + std::chrono::days(1);
// The first value past PostgreSQL's range: refused as "timestamp out of range".
constexpr std::int64_t kOutOfRange = 9'223'371'331'200'000'000;

bool take_number(std::string_view& text, int& value) {
  if (text.empty() || text.front() < '0' || text.front() > '9') return false;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc()) return false;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return true;
}

bool take(std::string_view& text, std::string_view expected) {
  if (!text.starts_with(expected)) return false;
  text.remove_prefix(expected.size());
  return true;
}

/// Up to six digits after the point, of which the first three count.
bool take_milliseconds(std::string_view& text, int& value) {
  value = 0;
  int digits = 0;
  for (; !text.empty() && text.front() >= '0' && text.front() <= '9';
       text.remove_prefix(1), ++digits) {
    if (digits < 3) value = value * 10 + (text.front() - '0');
  }
  for (int i = digits; i < 3; ++i) value *= 10;
  return digits > 0;
}

}  // namespace

std::string format_timestamp(WallTime time) {
  constexpr WallTime kFirst = std::chrono::sys_days(std::chrono::year::min() / 1 / 1);
  if (time < kFirst || time >= kEnd) return "out of range";  // for the server to refuse
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date{day};
  const std::chrono::hh_mm_ss clock{time - day};
  const int year = static_cast<int>(date.year());
  const bool is_before_christ = year < 1;  // the year before 1 is 1 BC for PostgreSQL
  return std::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z{}",
                     is_before_christ ? 1 - year : year, static_cast<unsigned>(date.month()),
                     static_cast<unsigned>(date.day()), clock.hours().count(),
                     clock.minutes().count(), clock.seconds().count(), clock.subseconds().count(),
                     is_before_christ ? " BC" : "");
}

std::optional<WallTime> parse_timestamp(std::string_view text) {
  int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0, millis = 0;
  if (!take_number(text, year) || !take(text, "-") || !take_number(text, month) ||
      !take(text, "-") || !take_number(text, day) || !take(text, " ") || !take_number(text, hour) ||
      !take(text, ":") || !take_number(text, minute) || !take(text, ":") ||
      !take_number(text, second)) {
    return std::nullopt;
  }
  if (take(text, ".") && !take_milliseconds(text, millis)) return std::nullopt;
  if (!take(text, "+00")) return std::nullopt;
  if (take(text, " BC")) year = 1 - year;
  if (!text.empty() || year > static_cast<int>(std::chrono::year::max())) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(year),
                                         std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day))};
  if (!date.ok()) return std::nullopt;
  return WallTime(std::chrono::sys_days(date)) + std::chrono::hours(hour) +
         std::chrono::minutes(minute) + std::chrono::seconds(second) + milliseconds(millis);
}

std::int64_t to_binary_timestamp(WallTime time) {
  if (time.time_since_epoch() < kEarliest || time >= kEnd) return kOutOfRange;
  return milliseconds(time - kEpoch).count() * 1000;
}

std::optional<WallTime> from_binary_timestamp(std::int64_t microseconds) {
  // Infinity and its opposite are the ends of the range, outside of ours like some finite times.
  const auto since = std::chrono::floor<milliseconds>(std::chrono::microseconds(microseconds));
  if (since < kEarliest - kEpoch.time_since_epoch() || since >= kEnd - kEpoch) return std::nullopt;
  return kEpoch + since;
}

}  // namespace sluice::postgres
