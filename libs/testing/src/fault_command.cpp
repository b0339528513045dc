#include <charconv>
#include <format>
#include <optional>
#include <string>
#include <vector>

#include <sluice/testing/fault_proxy.h>

namespace sluice::testing {
namespace {

using std::chrono::milliseconds;
using Words = std::vector<std::string_view>;

Words split(std::string_view line) {
  constexpr std::string_view kBlanks = " \t\r\n";
  Words words;
  for (std::size_t at = line.find_first_not_of(kBlanks); at != line.npos;
       at = line.find_first_not_of(kBlanks, at)) {
    const std::size_t end = std::min(line.find_first_of(kBlanks, at), line.size());
    words.push_back(line.substr(at, end - at));
    at = end;
  }
  return words;
}

template <typename Number>
std::optional<Number> read_number(std::string_view text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// "100ms" or "2s".
std::optional<milliseconds> read_duration(std::string_view text) {
  const bool is_milliseconds = text.ends_with("ms");
  if (!is_milliseconds && !text.ends_with('s')) return std::nullopt;
  text.remove_suffix(is_milliseconds ? 2 : 1);
  const auto count = read_number<std::uint32_t>(text);
  if (!count) return std::nullopt;
  return milliseconds(std::int64_t{*count} * (is_milliseconds ? 1 : 1000));
}

std::optional<Direction> read_direction(std::string_view text) {
  if (text == "up") return Direction::kUp;
  if (text == "down") return Direction::kDown;
  if (text == "both") return Direction::kBoth;
  return std::nullopt;
}

std::optional<bool> read_switch(std::string_view text) {
  if (text == "on") return true;
  if (text == "off") return false;
  return std::nullopt;
}

/// Changes one fault and leaves the others of that direction as they are.
template <typename Change>
void change(FaultProxy& proxy, Direction direction, Change apply) {
  for (const Direction one : {Direction::kUp, Direction::kDown}) {
    if (direction != one && direction != Direction::kBoth) continue;
    LinkFaults faults = proxy.faults(one);
    apply(faults);
    proxy.set_faults(one, faults);
  }
}

/// delay, loss, throttle and drop: a direction and a value. False when they cannot be read.
bool set_fault(FaultProxy& proxy, const Words& words) {
  const auto direction = read_direction(words[1]);
  if (!direction) return false;
  const std::string_view name = words[0];
  if (name == "delay" && words.size() <= 4) {
    const auto delay = read_duration(words[2]);
    const auto jitter = words.size() == 4 ? read_duration(words[3]) : milliseconds(0);
    if (!delay || !jitter) return false;
    change(proxy, *direction, [&](LinkFaults& faults) {
      faults.delay = *delay;
      faults.jitter = *jitter;
    });
    return true;
  }
  if (words.size() != 3) return false;
  if (name == "loss") {
    const auto loss = read_number<double>(words[2]);
    if (!loss || !(*loss >= 0 && *loss <= 1)) return false;
    change(proxy, *direction, [&](LinkFaults& faults) { faults.loss = *loss; });
    return true;
  }
  if (name == "throttle") {
    const auto rate = read_number<std::uint64_t>(words[2]);
    if (!rate) return false;
    change(proxy, *direction, [&](LinkFaults& faults) { faults.bytes_per_second = *rate; });
    return true;
  }
  const auto dropped = read_switch(words[2]);
  if (name != "drop" || !dropped) return false;
  change(proxy, *direction, [&](LinkFaults& faults) { faults.dropped = *dropped; });
  return true;
}

/// freeze and thaw take a direction or mean both; half-close takes one.
bool act_on_direction(FaultProxy& proxy, const Words& words) {
  const auto direction = words.size() == 2 ? read_direction(words[1]) : Direction::kBoth;
  if (!direction || words.size() > 2) return false;
  if (words[0] == "freeze") {
    proxy.freeze(*direction);
  } else if (words[0] == "thaw") {
    proxy.thaw(*direction);
  } else if (words.size() == 2) {
    proxy.half_close(*direction);
  } else {
    return false;
  }
  return true;
}

std::string describe(const FaultProxy::Stats& stats) {
  return std::format(
      "connections={} open_connections={} refused={} bytes_up={} bytes_down={} round_trips={} "
      "dropped_bytes={} lost_datagrams={}",
      stats.connections, stats.open_connections, stats.refused, stats.bytes_up, stats.bytes_down,
      stats.round_trips, stats.dropped_bytes, stats.lost_datagrams);
}

}  // namespace

Result<std::string> run_fault_command(FaultProxy& proxy, std::string_view line) {
  const Words words = split(line);
  const std::string_view name = words.empty() ? std::string_view() : words[0];
  const bool is_alone = words.size() == 1;
  bool is_done = false;
  if (name == "stats" && is_alone) return describe(proxy.stats());
  if (name == "reset" && is_alone) {
    proxy.reset();
    is_done = true;
  } else if (name == "heal" && is_alone) {
    proxy.heal();
    is_done = true;
  } else if (name == "refuse" && words.size() == 2) {
    const auto refuse = read_switch(words[1]);
    if (refuse) proxy.refuse_connections(*refuse);
    is_done = refuse.has_value();
  } else if (name == "freeze" || name == "thaw" || name == "half-close") {
    is_done = act_on_direction(proxy, words);
  } else if (words.size() >= 3) {
    is_done = set_fault(proxy, words);
  }
  if (is_done) return "ok";
  return fail(
      ErrorCode::kInvalidArgument,
      std::format("cannot read \"{}\": give one of: delay DIRECTION TIME [JITTER], loss DIRECTION "
                  "PROBABILITY, throttle DIRECTION BYTES_PER_SECOND, freeze [DIRECTION], thaw "
                  "[DIRECTION], drop DIRECTION on|off, half-close DIRECTION, reset, refuse on|off, "
                  "heal, stats",
                  line));
}

}  // namespace sluice::testing
