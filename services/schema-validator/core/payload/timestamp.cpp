#include "core/payload/timestamp.h"

#include <chrono>
#include <cmath>

namespace sluice::validator {
namespace {

constexpr std::int64_t kSecondsBelow = 100'000'000'000;
constexpr std::int64_t kMillisecondsBelow = kSecondsBelow * 1000;
constexpr std::int64_t kMicrosecondsBelow = kMillisecondsBelow * 1000;

/// Takes `digits` decimal digits off the front.
bool take_number(std::string_view& rest, std::size_t digits, int& value) {
  if (rest.size() < digits) return false;
  value = 0;
  for (const char digit : rest.substr(0, digits)) {
    if (digit < '0' || digit > '9') return false;
    value = value * 10 + (digit - '0');
  }
  rest.remove_prefix(digits);
  return true;
}

bool take(std::string_view& rest, char expected) {
  if (!rest.starts_with(expected)) return false;
  rest.remove_prefix(1);
  return true;
}

/// Takes ".250" off the front, if it is there.
bool take_fraction(std::string_view& rest, int& milliseconds) {
  milliseconds = 0;
  if (!take(rest, '.')) return true;
  int weight = 100;
  std::size_t digits = 0;
  for (; digits < rest.size() && rest[digits] >= '0' && rest[digits] <= '9'; ++digits) {
    milliseconds += weight * (rest[digits] - '0');
    weight /= 10;
  }
  rest.remove_prefix(digits);
  return digits > 0;
}

bool take_offset(std::string_view& rest, int& minutes) {
  minutes = 0;
  if (rest.empty()) return true;
  if (take(rest, 'Z') || take(rest, 'z')) return rest.empty();
  const bool is_west = rest.front() == '-';
  if (!is_west && rest.front() != '+') return false;
  rest.remove_prefix(1);
  int hour = 0;
  int minute = 0;
  if (!take_number(rest, 2, hour)) return false;
  if (!rest.empty() && (rest.front() == ':' ? !take(rest, ':') : false)) return false;
  if (!rest.empty() && !take_number(rest, 2, minute)) return false;
  if (!rest.empty() || hour > 23 || minute > 59) return false;
  minutes = (is_west ? -1 : 1) * (hour * 60 + minute);
  return true;
}

}  // namespace

std::optional<std::int64_t> epoch_ms(std::int64_t value) {
  if (value < 0) return std::nullopt;
  if (value < kSecondsBelow) return value * 1000;
  if (value < kMillisecondsBelow) return value;
  return value < kMicrosecondsBelow ? value / 1000 : value / 1'000'000;
}

std::optional<std::int64_t> epoch_ms(double value) {
  if (!(value >= 0) || value >= 9.2e18) return std::nullopt;  // NaN is not at least 0 either
  // Seconds with a fraction are what is meant by far most often; rounded, since 0.1 is no double.
  if (value < static_cast<double>(kSecondsBelow)) return std::llround(value * 1000);
  return epoch_ms(static_cast<std::int64_t>(value));
}

std::optional<std::int64_t> parse_timestamp(std::string_view text) {
  int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0, milliseconds = 0, offset = 0;
  if (!take_number(text, 4, year) || !take(text, '-') || !take_number(text, 2, month) ||
      !take(text, '-') || !take_number(text, 2, day)) {
    return std::nullopt;
  }
  if (!take(text, 'T') && !take(text, 't') && !take(text, ' ')) return std::nullopt;
  if (!take_number(text, 2, hour) || !take(text, ':') || !take_number(text, 2, minute) ||
      !take(text, ':') || !take_number(text, 2, second) || !take_fraction(text, milliseconds) ||
      !take_offset(text, offset)) {
    return std::nullopt;
  }
  const std::chrono::year_month_day date(std::chrono::year(year),
                                         std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day)));
  // A leap second is told as the second before it, as clocks that smear or repeat it do.
  if (!date.ok() || hour > 23 || minute > 59 || second > 60) return std::nullopt;
  if (second == 60) second = 59;
  const auto moment = std::chrono::sys_days(date).time_since_epoch() + std::chrono::hours(hour) +
                      std::chrono::minutes(minute - offset) + std::chrono::seconds(second) +
                      std::chrono::milliseconds(milliseconds);
  const auto count = std::chrono::duration_cast<std::chrono::milliseconds>(moment).count();
  if (count < 0) return std::nullopt;
  return count;
}

}  // namespace sluice::validator
