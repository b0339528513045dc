#include "prometheus_answer.h"

#include <charconv>
#include <cmath>
#include <format>
#include <limits>

#include <sluice/json/json.h>

#include <nlohmann/json.hpp>

namespace sluice::status {
namespace {

using nlohmann::json;

constexpr double kNothing = std::numeric_limits<double>::quiet_NaN();

Error not_understood(std::string_view what) {
  return {ErrorCode::kInternal, std::format("Prometheus' answer is not understood: {}", what)};
}

/// A member of an object; nullptr when it is not there.
const json* member(const json& object, const char* name) {
  const auto found = object.is_object() ? object.find(name) : object.end();
  return object.is_object() && found != object.end() ? &*found : nullptr;
}

Result<std::string> name_of(const json& series, const std::vector<std::string_view>& labels) {
  const json* metric = member(series, "metric");
  if (metric == nullptr) return fail(not_understood("a series has no labels"));
  std::string name;
  for (const std::string_view label : labels) {
    const json* value = member(*metric, std::string(label).c_str());
    if (value == nullptr || !value->is_string()) continue;  // a label that is empty is left out
    if (!name.empty()) name += ' ';
    name += value->get_ref<const std::string&>();
  }
  if (name.size() > kMaxNameSize) return fail(not_understood("a name is too long"));
  return name;
}

/// Puts [time, "value"] where it belongs.
Result<> place(const json& point, const TimeGrid& grid, Values& values) {
  if (!point.is_array() || point.size() != 2 || !point[0].is_number() || !point[1].is_string()) {
    return fail(not_understood("a point is not a time and a text"));
  }
  const double since_first = point[0].get<double>() * 1000.0 - static_cast<double>(grid.first_ms);
  const double index = std::round(since_first / static_cast<double>(grid.step_ms));
  if (!(index >= 0 && index < static_cast<double>(grid.count))) {
    return fail(not_understood("a point is outside of what was asked for"));
  }
  const auto& text = point[1].get_ref<const std::string&>();
  double value = kNothing;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
  // "NaN" is what a quantile of nothing is, "+Inf" one beyond all buckets: no points either.
  const bool is_number = read.ec == std::errc() && read.ptr == text.data() + text.size();
  values[static_cast<std::size_t>(index)] = is_number && std::isfinite(value) ? value : kNothing;
  return {};
}

}  // namespace

TimeGrid TimeGrid::until(std::int64_t now_ms, std::int64_t step_ms, std::size_t count) {
  const std::int64_t last = now_ms - now_ms % step_ms;
  return {.first_ms = last - (static_cast<std::int64_t>(count) - 1) * step_ms,
          .step_ms = step_ms,
          .count = count};
}

Result<std::map<std::string, Values>> read_matrix(std::string_view body, const TimeGrid& grid,
                                                  const std::vector<std::string_view>& labels) {
  auto parsed = parse_json_object(body);
  if (!parsed) return fail(not_understood(parsed.error().message()));
  const json* status = member(*parsed, "status");
  const json* data = member(*parsed, "data");
  const json* type = data == nullptr ? nullptr : member(*data, "resultType");
  const json* series = data == nullptr ? nullptr : member(*data, "result");
  if (status == nullptr || *status != "success") return fail(not_understood("it is no success"));
  if (type == nullptr || *type != "matrix" || series == nullptr || !series->is_array()) {
    return fail(not_understood("it is no matrix"));
  }
  if (series->size() > kMaxLines) return fail(not_understood("it has too many series"));

  std::map<std::string, Values> lines;
  for (const json& one : *series) {
    SLUICE_TRY_ASSIGN(std::string name, name_of(one, labels));
    const json* points = member(one, "values");
    if (points == nullptr || !points->is_array() || points->size() > grid.count) {
      return fail(not_understood("a series has no points, or more than were asked for"));
    }
    Values& values = lines.try_emplace(std::move(name), grid.count, kNothing).first->second;
    for (const json& point : *points) SLUICE_TRY(place(point, grid, values));
  }
  return lines;
}

}  // namespace sluice::status
