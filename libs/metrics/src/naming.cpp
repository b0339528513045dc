#include "naming.h"

#include <algorithm>
#include <array>

namespace sluice::metrics_detail {
namespace {

/// Prometheus reckons in base units; a prefix in the name makes dashboards wrong by a thousand.
constexpr std::array<std::string_view, 12> kScaledUnits = {
    "_ms",          "_us",      "_ns", "_millis", "_milliseconds", "_microseconds",
    "_nanoseconds", "_minutes", "_kb", "_mb",     "_kilobytes",    "_megabytes"};

/// Prometheus' text format gives these endings to the parts of a histogram.
constexpr std::array<std::string_view, 3> kReservedEndings = {"_bucket", "_count", "_sum"};

/// Labels that would make a series per device, message or session, without bound; and those that
/// Prometheus itself sets.
constexpr std::array<std::string_view, 9> kForbiddenLabels = {
    "device", "device_id", "client_id", "message_id", "session_id",
    "le",     "quantile",  "instance",  "job"};

bool is_snake_case(std::string_view text) {
  if (text.empty() || text.front() < 'a' || text.front() > 'z') return false;
  return std::ranges::all_of(
      text, [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; });
}

bool ends_with_one_of(std::string_view text, std::span<const std::string_view> endings) {
  return std::ranges::any_of(endings, [&](std::string_view end) { return text.ends_with(end); });
}

}  // namespace

std::string_view to_string(MetricType type) {
  switch (type) {
    case MetricType::kCounter:
      return "counter";
    case MetricType::kGauge:
      return "gauge";
    case MetricType::kHistogram:
      return "histogram";
  }
  return "";
}

std::string_view name_fault(std::string_view name, MetricType type) {
  if (!name.starts_with("sluice_")) return "does not begin with sluice_";
  if (!is_snake_case(name)) return "is not in snake_case";
  const bool is_total = name.ends_with("_total");
  if (is_total != (type == MetricType::kCounter)) {
    return is_total ? "ends in _total without being a counter" : "is a counter without _total";
  }
  if (is_total) name.remove_suffix(std::string_view("_total").size());
  if (ends_with_one_of(name, kScaledUnits)) return "has a unit other than _seconds or _bytes";
  if (ends_with_one_of(name, kReservedEndings)) return "ends like a part of a histogram";
  return "";
}

std::string_view label_name_fault(std::string_view name) {
  if (!is_snake_case(name)) return "is not in snake_case";
  if (std::ranges::contains(kForbiddenLabels, name)) return "would have a value per thing";
  return "";
}

}  // namespace sluice::metrics_detail
