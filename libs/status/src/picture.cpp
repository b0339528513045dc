#include "picture.h"

#include "panels.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>

#include <sluice/json/json.h>

#include <nlohmann/json.hpp>

namespace sluice::status {
namespace {

using Json = nlohmann::json;
using Lines = std::map<std::string, Values>;

/// Reasons are error texts; what is longer helps nobody.
constexpr std::size_t kMaxReasonSize = 300;

std::string_view to_string(State state) {
  switch (state) {
    case State::kOk:
      return "ok";
    case State::kWaiting:
      return "waiting";
    case State::kUnset:
      return "unset";
    case State::kUnreachable:
      return "unreachable";
  }
  return "unknown";
}

/// With six digits, more than a chart shows: a third of the bytes of all seventeen.
Json number(double value) {
  if (std::isnan(value)) return nullptr;
  char text[32];
  const auto written =
      std::to_chars(text, text + sizeof text, value, std::chars_format::general, 6);
  double rounded = value;
  std::from_chars(text, written.ptr, rounded);
  return rounded;
}

Json line(std::string_view name, const Values* values) {
  Json points = Json::array();
  if (values != nullptr) {
    for (const double value : *values) points.push_back(number(value));
  }
  return {{"name", name}, {"values", std::move(points)}};
}

Json chart(const Panel& panel, const Lines& found) {
  Json lines = Json::array();
  for (const Line& one : panel.lines) {
    const auto values = found.find(std::string(one.name));
    lines.push_back(line(one.name, values == found.end() ? nullptr : &values->second));
  }
  if (!panel.by_label.empty()) {
    for (const auto& [name, values] : found) lines.push_back(line(name, &values));
  }
  return {{"id", panel.id},
          {"title", panel.title},
          {"unit", panel.unit},
          {"help", panel.help},
          {"lines", std::move(lines)}};
}

/// The newest figure of `name`, 0 when it is not there now.
int now(const Lines& found, const std::string& name) {
  const auto values = found.find(name);
  if (values == found.end() || values->second.empty() || std::isnan(values->second.back())) {
    return 0;
  }
  return static_cast<int>(std::clamp(values->second.back(), 0.0, 1e6));
}

Json services(const Lines& found) {
  constexpr std::string_view kKnown = "known ";
  Json all = Json::array();
  for (const auto& [name, values] : found) {
    if (!name.starts_with(kKnown)) continue;
    const std::string service = name.substr(kKnown.size());
    all.push_back({{"name", service},
                   {"ready", now(found, "ready " + service)},
                   {"seen", now(found, "seen " + service)}});
  }
  return all;
}

}  // namespace

Result<std::string> take_picture(const Ask& ask, const TimeGrid& grid,
                                 std::chrono::milliseconds rate_window) {
  Json charts = Json::array();
  for (const Panel& panel : panels()) {
    SLUICE_TRY_ASSIGN(const std::string body, ask(query_of(panel, rate_window), grid));
    SLUICE_TRY_ASSIGN(const Lines found, read_matrix(body, grid, {kLineLabel}));
    charts.push_back(chart(panel, found));
  }
  // How services were is in no chart: the newest moment is enough.
  const TimeGrid last{.first_ms = grid.last_ms(), .step_ms = grid.step_ms, .count = 1};
  SLUICE_TRY_ASSIGN(const std::string body, ask(std::string(services_query()), last));
  SLUICE_TRY_ASSIGN(const Lines found, read_matrix(body, last, {kLineLabel, "service"}));
  return to_json_text({{"state", to_string(State::kOk)},
                       {"first_ms", grid.first_ms},
                       {"step_ms", grid.step_ms},
                       {"count", grid.count},
                       {"charts", std::move(charts)},
                       {"services", services(found)}});
}

std::string no_picture(State state, std::string_view why) {
  return to_json_text({{"state", to_string(state)}, {"why", why.substr(0, kMaxReasonSize)}});
}

}  // namespace sluice::status
