#include "values.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <format>
#include <limits>
#include <numeric>
#include <optional>

#include <sluice/base/utf8.h>

namespace sluice::config_detail {
namespace {

using std::chrono::milliseconds;

/// A unit and how many of the base unit it is; largest last.
struct Unit {
  std::string_view name;
  std::uint64_t factor;
};
constexpr std::array<Unit, 5> kTimeUnits = {
    {{"ms", 1}, {"s", 1'000}, {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}}};
constexpr std::array<Unit, 5> kByteUnits = {
    {{"B", 1}, {"KiB", 1ULL << 10}, {"MiB", 1ULL << 20}, {"GiB", 1ULL << 30}, {"TiB", 1ULL << 40}}};

std::unexpected<Error> refuse(std::string message) {
  return fail(ErrorCode::kInvalidArgument, std::move(message));
}

/// The whole of `text` as a number; nullopt when it is something else or too large.
template <typename Number>
std::optional<Number> read_whole(std::string_view text) {
  Number value{};
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (text.empty() || error != std::errc() || stop != end) return std::nullopt;
  return value;
}

/// Digits and a unit, as a count of the base unit. `bare` stands for a number without a unit.
std::optional<std::uint64_t> read_with_unit(std::string_view text, std::span<const Unit> units,
                                            std::uint64_t bare) {
  const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  const auto count = read_whole<std::uint64_t>(text.substr(0, digits));
  if (!count) return std::nullopt;
  const std::string_view name = text.substr(digits);
  const auto unit = std::ranges::find(units, name, &Unit::name);
  const std::uint64_t factor = unit != units.end() ? unit->factor : name.empty() ? bare : 0;
  if (factor == 0 || *count > std::numeric_limits<std::uint64_t>::max() / factor)
    return std::nullopt;
  return *count * factor;
}

/// In the largest unit that leaves a whole number.
std::string write_with_unit(std::uint64_t value, std::span<const Unit> units,
                            std::string_view zero) {
  if (value == 0) return std::string(zero);
  const Unit* best = &units.front();
  for (const Unit& unit : units) {
    if (value % unit.factor == 0) best = &unit;
  }
  return std::format("{}{}", value / best->factor, best->name);
}

/// Insertions, deletions, replacements and swaps of neighbours that lead from one text to the
/// other.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1);
  std::vector<std::size_t> above(b.size() + 1);
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(above.begin(), above.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      row[j] =
          std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + (a[i - 1] == b[j - 1] ? 0U : 1U)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
    std::swap(before, above);
    std::swap(above, row);
  }
  return above[b.size()];
}

bool is_host(std::string_view host) {
  const bool is_bracketed = host.size() > 2 && host.starts_with('[') && host.ends_with(']');
  if (is_bracketed) host = host.substr(1, host.size() - 2);
  const auto is_allowed = [&](char c) {
    const bool is_name = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                         (c >= 'A' && c <= 'Z') || c == '.' || c == '-';
    return is_name || (is_bracketed && c == ':');
  };
  return !host.empty() && std::ranges::all_of(host, is_allowed);
}

}  // namespace

Result<std::int64_t> read_integer(std::string_view text) {
  if (const auto value = read_whole<std::int64_t>(text)) return *value;
  return refuse(quote(text) + " is not a whole number");
}

Result<double> read_number(std::string_view text) {
  const auto value = read_whole<double>(text);
  if (value && std::isfinite(*value)) return *value;
  return refuse(quote(text) + " is not a number");
}

Result<bool> read_boolean(std::string_view text) {
  if (text == "true") return true;
  if (text == "false") return false;
  return refuse(quote(text) + " is neither true nor false");
}

Result<milliseconds> read_duration(std::string_view text) {
  const auto count = read_with_unit(text, kTimeUnits, 0);
  if (count && *count <= static_cast<std::uint64_t>(milliseconds::max().count())) {
    return milliseconds(static_cast<std::int64_t>(*count));
  }
  return refuse(quote(text) + " is not a duration such as 250ms, 5s, 2m, 24h or 7d");
}

Result<Bytes> read_bytes(std::string_view text) {
  if (const auto count = read_with_unit(text, kByteUnits, 1)) return Bytes{*count};
  return refuse(quote(text) + " is not a size such as 512, 16KiB, 256MiB or 1GiB");
}

Result<> check_listen_address(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon != std::string_view::npos && is_host(text.substr(0, colon)) &&
      text.find_first_not_of("0123456789", colon + 1) == std::string_view::npos &&
      read_whole<std::uint16_t>(text.substr(colon + 1))) {
    return {};
  }
  return refuse(quote(text) + " is not an address such as 127.0.0.1:8081, [::1]:8081 or 0.0.0.0:0");
}

Result<> check_printable(std::string_view text) {
  const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; };
  if (std::ranges::any_of(text, is_control)) return refuse("holds a control character");
  if (!is_valid_utf8(text)) return refuse("is not valid UTF-8");
  return {};
}

std::vector<std::string> read_list(std::string_view text) {
  std::vector<std::string> items;
  while (!text.empty()) {
    const std::size_t comma = std::min(text.find(','), text.size());
    std::string_view item = text.substr(0, comma);
    item.remove_prefix(std::min(item.find_first_not_of(' '), item.size()));
    item = item.substr(0, item.find_last_not_of(' ') + 1);
    items.emplace_back(item);
    if (comma + 1 == text.size()) items.emplace_back();  // "a," has a second, empty item
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return items;
}

std::string write(std::int64_t value) { return std::to_string(value); }
std::string write(double value) { return std::format("{}", value); }
std::string write(bool value) { return value ? "true" : "false"; }
std::string write(milliseconds value) {
  return write_with_unit(static_cast<std::uint64_t>(value.count()), kTimeUnits, "0s");
}
std::string write(Bytes value) { return write_with_unit(value.count, kByteUnits, "0"); }
std::string write(const std::vector<std::string>& items) {
  std::string out;
  for (const std::string& item : items) out += (out.empty() ? "" : ",") + item;
  return out;
}

std::string quote(std::string_view text) {
  // Enough to recognise a value by, short enough for one line.
  constexpr std::size_t kShown = 80;
  const bool is_cut = text.size() > kShown;
  std::string out = "\"";
  for (char c : replace_invalid_utf8(text.substr(0, kShown))) {
    out += static_cast<unsigned char>(c) < 0x20 || c == 0x7F ? '?' : c;
  }
  return out + (is_cut ? "…\"" : "\"");
}

std::string closest(std::string_view text, const std::vector<std::string>& names) {
  constexpr std::size_t kLongestName = 100;  // no setting's name is longer; bounds the work
  if (text.size() > kLongestName) return "";
  // A third of the letters wrong still reads as a slip, more would be a guess.
  std::size_t best_distance = std::max<std::size_t>(text.size() / 3, 1) + 1;
  std::string best;
  for (const std::string& name : names) {
    const std::size_t distance = edit_distance(text, name);
    if (distance < best_distance) {
      best_distance = distance;
      best = name;
    }
  }
  return best;
}

}  // namespace sluice::config_detail
