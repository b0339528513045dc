#include <sluice/mqtt/topic.h>

#include "levels.h"

#include <algorithm>

namespace sluice::mqtt {

namespace {

constexpr std::string_view kSharePrefix = "$share/";

bool is_within(const TopicLimits& limits, std::string_view text) {
  return !text.empty() && text.size() <= limits.max_size &&
         static_cast<std::size_t>(std::ranges::count(text, '/')) < limits.max_levels;
}

}  // namespace

bool is_valid_topic(std::string_view topic, const TopicLimits& limits) {
  return is_within(limits, topic) && topic.find_first_of("+#") == std::string_view::npos;
}

bool is_valid_filter(std::string_view filter, const TopicLimits& limits) {
  if (!is_within(limits, filter)) return false;
  for (LevelReader levels(filter); !levels.at_end();) {
    const auto level = levels.take();
    if (level.find('#') != std::string_view::npos && (level.size() != 1 || !levels.at_end())) {
      return false;
    }
    if (level.find('+') != std::string_view::npos && level.size() != 1) return false;
  }
  return true;
}

bool matches(std::string_view filter, std::string_view topic) {
  if (topic.starts_with('$') && (filter.starts_with('+') || filter.starts_with('#'))) return false;
  LevelReader wanted(filter);
  LevelReader found(topic);
  while (!wanted.at_end() && !found.at_end()) {
    const auto level = wanted.take();
    if (level == "#") return true;
    if (level != found.take() && level != "+") return false;
  }
  // "sport/#" also matches its parent "sport".
  return found.at_end() && (wanted.at_end() || wanted.rest() == "#");
}

bool is_shared(std::string_view filter) {
  return filter.starts_with(kSharePrefix) || filter == kSharePrefix.substr(0, 6);
}

std::optional<SharedFilter> parse_shared(std::string_view filter, const TopicLimits& limits) {
  if (!filter.starts_with(kSharePrefix)) return std::nullopt;
  filter.remove_prefix(kSharePrefix.size());
  const auto slash = filter.find('/');
  if (slash == std::string_view::npos || slash == 0) return std::nullopt;
  const SharedFilter shared{.group = filter.substr(0, slash), .filter = filter.substr(slash + 1)};
  if (shared.group.find_first_of("+#") != std::string_view::npos) return std::nullopt;
  if (!is_valid_filter(shared.filter, limits)) return std::nullopt;
  return shared;
}

}  // namespace sluice::mqtt
