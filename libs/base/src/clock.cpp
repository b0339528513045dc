#include <sluice/base/clock.h>

#include <charconv>

namespace sluice {
namespace {

using std::chrono::milliseconds;

constexpr WallTime kEarliest = std::chrono::sys_days(std::chrono::year(0) / 1 / 1);
constexpr WallTime kEnd = std::chrono::sys_days(std::chrono::year(10'000) / 1 / 1);

/// Reads exactly `size` digits from the front of `text`; -1 when there are fewer.
int take_digits(std::string_view& text, std::size_t size) {
  if (text.size() < size) return -1;
  int value = 0;
  for (char c : text.substr(0, size)) {
    if (c < '0' || c > '9') return -1;
    value = value * 10 + (c - '0');
  }
  text.remove_prefix(size);
  return value;
}

bool take(std::string_view& text, char expected) {
  if (text.empty() || text.front() != expected) return false;
  text.remove_prefix(1);
  return true;
}

/// `value` in at least `width` digits. Years past 9999 grow longer, which RFC 3339 has no word for.
void append_digits(std::string& out, int value, std::size_t width) {
  char digits[16];
  const char* end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  const auto size = static_cast<std::size_t>(end - digits);
  if (size < width) out.append(width - size, '0');
  out.append(digits, size);
}

/// A fraction of any length, cut to milliseconds; -1 when there is no digit.
int take_fraction(std::string_view& text) {
  int value = 0;
  int digits = 0;
  while (!text.empty() && text.front() >= '0' && text.front() <= '9') {
    if (digits < 3) value = value * 10 + (text.front() - '0');
    ++digits;
    text.remove_prefix(1);
  }
  if (digits == 0) return -1;
  for (; digits < 3; ++digits) value *= 10;
  return value;
}

}  // namespace

WallTime SystemClock::wall() const {
  return std::chrono::floor<milliseconds>(std::chrono::system_clock::now());
}

MonoTime SystemClock::mono() const { return std::chrono::steady_clock::now(); }

std::string format_rfc3339(WallTime time) {
  std::string out;
  append_rfc3339(out, time);
  return out;
}

void append_rfc3339(std::string& out, WallTime time) {
  // By hand, since std::format takes a microsecond here and every log line pays it.
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date{day};
  const std::chrono::hh_mm_ss clock{time - day};
  append_digits(out, static_cast<int>(date.year()), 4);
  append_digits(out += '-', static_cast<int>(static_cast<unsigned>(date.month())), 2);
  append_digits(out += '-', static_cast<int>(static_cast<unsigned>(date.day())), 2);
  append_digits(out += 'T', static_cast<int>(clock.hours().count()), 2);
  append_digits(out += ':', static_cast<int>(clock.minutes().count()), 2);
  append_digits(out += ':', static_cast<int>(clock.seconds().count()), 2);
  append_digits(out += '.', static_cast<int>(clock.subseconds().count()), 3);
  out += 'Z';
}

Result<WallTime> parse_rfc3339(std::string_view text) {
  auto refuse = [] {
    return fail(ErrorCode::kInvalidArgument,
                "is not an RFC 3339 time such as 2026-01-31T12:00:00.000Z");
  };
  const int year = take_digits(text, 4);
  if (year < 0 || !take(text, '-')) return refuse();
  const int month = take_digits(text, 2);
  if (month < 0 || !take(text, '-')) return refuse();
  const int day = take_digits(text, 2);
  if (day < 0 || (!take(text, 'T') && !take(text, 't') && !take(text, ' '))) return refuse();
  const int hour = take_digits(text, 2);
  if (hour < 0 || hour > 23 || !take(text, ':')) return refuse();
  const int minute = take_digits(text, 2);
  if (minute < 0 || minute > 59 || !take(text, ':')) return refuse();
  const int second = take_digits(text, 2);
  if (second < 0 || second > 60)
    return refuse();  // 60: a leap second, counted into the next minute
  const int millis = take(text, '.') ? take_fraction(text) : 0;
  if (millis < 0) return refuse();

  std::chrono::minutes offset{0};
  if (!take(text, 'Z') && !take(text, 'z')) {
    const bool east = take(text, '+');
    if (!east && !take(text, '-')) return refuse();
    const int offset_hour = take_digits(text, 2);
    if (offset_hour < 0 || offset_hour > 23 || !take(text, ':')) return refuse();
    const int offset_minute = take_digits(text, 2);
    if (offset_minute < 0 || offset_minute > 59) return refuse();
    offset = std::chrono::hours(offset_hour) + std::chrono::minutes(offset_minute);
    if (!east) offset = -offset;
  }
  const std::chrono::year_month_day date{std::chrono::year(year),
                                         std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day))};
  if (!text.empty() || !date.ok()) return refuse();
  const WallTime time = WallTime(std::chrono::sys_days(date)) + std::chrono::hours(hour) +
                        std::chrono::minutes(minute) + std::chrono::seconds(second) +
                        milliseconds(millis) - offset;
  // An offset or a leap second may lead out of the years that four digits can write.
  if (time < kEarliest || time >= kEnd) return refuse();
  return time;
}

}  // namespace sluice
