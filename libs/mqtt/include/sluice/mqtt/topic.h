#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace sluice::mqtt {

/// Limits that hold whatever a client says: a topic is at most 65,535 bytes on the wire, but nobody
/// needs more than this, and matching costs time by level.
inline constexpr std::size_t kMaxTopicSize = 1024;
inline constexpr std::size_t kMaxTopicLevels = 32;

/// Whether messages may be published to it: not empty, no wildcard, within the limits. UTF-8 and
/// U+0000 are the decoder's business.
bool is_valid_topic(std::string_view topic);

/// Whether it may be subscribed to: `+` alone in its level, `#` alone in the last, [MQTT5-4.7.1].
/// Shared subscriptions are taken apart first.
bool is_valid_filter(std::string_view filter);

/// Whether a message to `topic` goes to a subscriber of `filter`, both valid. A filter that begins
/// with a wildcard does not match a topic that begins with `$`, [MQTT5-4.7.2-1].
bool matches(std::string_view filter, std::string_view topic);

/// `$share/{group}/{filter}`, [MQTT5-4.8.2].
struct SharedFilter {
  std::string_view group;
  std::string_view filter;
};
/// Whether the text begins as a shared subscription does.
bool is_shared(std::string_view filter);
/// Its parts; nullopt when the group is empty or holds a wildcard, or no filter follows.
std::optional<SharedFilter> parse_shared(std::string_view filter);

}  // namespace sluice::mqtt
