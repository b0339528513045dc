#include "core/promql/attribute_labels.h"

#include <algorithm>
#include <array>

namespace sluice::tsdb::promql {
namespace {

constexpr std::array<std::string_view, 3> kTaken{"device", "device_type", "fleet"};
constexpr std::string_view kReserved = "__";
constexpr std::string_view kPrefix = "attribute_";

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_allowed(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '_';
}

}  // namespace

std::string label_of_attribute(std::string_view name) {
  std::string label(name);
  std::ranges::replace_if(label, [](char c) { return !is_allowed(c); }, '_');
  if (!label.empty() && is_digit(label.front())) label.insert(label.begin(), '_');
  if (label.empty() || label.starts_with(kReserved) || std::ranges::contains(kTaken, label)) {
    label.insert(0, kPrefix);
  }
  return label;
}

bool is_attribute_label(std::string_view label) {
  return !label.starts_with(kReserved) && !std::ranges::contains(kTaken, label);
}

std::vector<std::pair<std::string, std::string>> attribute_labels(
    const std::map<std::string, std::string>& attributes) {
  std::map<std::string, std::string> labels;
  for (const auto& [name, value] : attributes) {
    if (!value.empty()) labels.try_emplace(label_of_attribute(name), value);
  }
  return {labels.begin(), labels.end()};
}

}  // namespace sluice::tsdb::promql
