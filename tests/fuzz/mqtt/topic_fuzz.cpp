// Topics and filters: what is valid, and what matches what, against the words of [MQTT5-4.7] put
// down once more, as plainly as possible.

#include "../fuzz.h"

#include <algorithm>
#include <string>
#include <vector>

#include <sluice/mqtt/topic.h>

namespace sluice::mqtt {
namespace {

std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> levels(1);
  for (const char c : text) {
    if (c == '/') {
      levels.emplace_back();
    } else {
      levels.back() += c;
    }
  }
  return levels;
}

bool plainly_valid(std::string_view text, bool is_filter) {
  const auto levels = split(text);
  if (text.empty() || text.size() > kMaxTopicSize || levels.size() > kMaxTopicLevels) return false;
  for (std::size_t at = 0; at < levels.size(); ++at) {
    const bool has_wildcard = levels[at].find_first_of("+#") != std::string::npos;
    if (!has_wildcard) continue;
    const bool is_last = at + 1 == levels.size();
    if (!is_filter || (levels[at] != "+" && (levels[at] != "#" || !is_last))) return false;
  }
  return true;
}

bool plainly_matches(const std::vector<std::string>& filter, const std::vector<std::string>& topic,
                     std::size_t at = 0) {
  if (at == filter.size()) return at == topic.size();
  if (filter[at] == "#") return true;  // its parent as well: the topic may end here
  if (at == topic.size()) return false;
  return (filter[at] == "+" || filter[at] == topic[at]) && plainly_matches(filter, topic, at + 1);
}

void compare(std::string_view filter, std::string_view topic) {
  const bool filter_is_valid = is_valid_filter(filter);
  const bool topic_is_valid = is_valid_topic(topic);
  SLUICE_CHECK(filter_is_valid == plainly_valid(filter, true));
  SLUICE_CHECK(topic_is_valid == plainly_valid(topic, false));
  if (topic_is_valid) SLUICE_CHECK(is_valid_filter(topic) && matches(topic, topic));
  const bool do_match = matches(filter, topic);  // whatever comes, it ends
  if (filter_is_valid && topic_is_valid) {
    const bool is_kept_apart = topic.starts_with('$') && (filter[0] == '+' || filter[0] == '#');
    SLUICE_CHECK(do_match == (!is_kept_apart && plainly_matches(split(filter), split(topic))));
  }
  const auto shared = parse_shared(filter);
  if (shared) {
    SLUICE_CHECK(is_shared(filter) && is_valid_filter(shared->filter) && !shared->group.empty());
    SLUICE_CHECK("$share/" + std::string(shared->group) + "/" + std::string(shared->filter) ==
                 filter);
  }
}

}  // namespace
}  // namespace sluice::mqtt

/// A filter and a topic on two lines.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto text = sluice::fuzz::as_text(data, size);
  const auto end = std::min(text.find('\n'), text.size());
  sluice::mqtt::compare(text.substr(0, end), text.substr(std::min(end + 1, text.size())));
  return 0;
}
