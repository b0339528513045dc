#include <sluice/mqtt/topic.h>

#include <algorithm>

namespace sluice::mqtt {

namespace {

constexpr std::string_view kSharePrefix = "$share/";

bool is_within_limits(std::string_view text) {
  return !text.empty() && text.size() <= kMaxTopicSize &&
         static_cast<std::size_t>(std::ranges::count(text, '/')) < kMaxTopicLevels;
}

/// Cuts the first level off; `rest` has no value after the last one.
std::string_view take_level(std::optional<std::string_view>& rest) {
  const auto slash = rest->find('/');
  const auto level = rest->substr(0, slash);
  if (slash == std::string_view::npos) {
    rest.reset();
  } else {
    rest->remove_prefix(slash + 1);
  }
  return level;
}

}  // namespace

bool is_valid_topic(std::string_view topic) {
  return is_within_limits(topic) && topic.find_first_of("+#") == std::string_view::npos;
}

bool is_valid_filter(std::string_view filter) {
  if (!is_within_limits(filter)) return false;
  for (std::optional<std::string_view> rest = filter; rest;) {
    const auto level = take_level(rest);
    if (level.find('#') != std::string_view::npos && (level.size() != 1 || rest)) return false;
    if (level.find('+') != std::string_view::npos && level.size() != 1) return false;
  }
  return true;
}

bool matches(std::string_view filter, std::string_view topic) {
  if (topic.starts_with('$') && (filter.starts_with('+') || filter.starts_with('#'))) return false;
  std::optional<std::string_view> filter_rest = filter;
  std::optional<std::string_view> topic_rest = topic;
  while (filter_rest && topic_rest) {
    const auto wanted = take_level(filter_rest);
    if (wanted == "#") return true;
    const auto level = take_level(topic_rest);
    if (wanted != "+" && wanted != level) return false;
  }
  // "sport/#" also matches its parent "sport".
  return !topic_rest && (!filter_rest || *filter_rest == "#");
}

bool is_shared(std::string_view filter) {
  return filter.starts_with(kSharePrefix) || filter == kSharePrefix.substr(0, 6);
}

std::optional<SharedFilter> parse_shared(std::string_view filter) {
  if (!filter.starts_with(kSharePrefix)) return std::nullopt;
  filter.remove_prefix(kSharePrefix.size());
  const auto slash = filter.find('/');
  if (slash == std::string_view::npos || slash == 0) return std::nullopt;
  const SharedFilter shared{.group = filter.substr(0, slash), .filter = filter.substr(slash + 1)};
  if (shared.group.find_first_of("+#") != std::string_view::npos) return std::nullopt;
  if (!is_valid_filter(shared.filter)) return std::nullopt;
  return shared;
}

}  // namespace sluice::mqtt
