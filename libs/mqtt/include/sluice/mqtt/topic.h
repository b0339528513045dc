#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace sluice::mqtt {

/// Limits that hold whatever a client says: a topic is at most 65,535 bytes on the wire, but nobody
/// needs more than this, and matching costs time by level.
inline constexpr std::size_t kMaxTopicSize = 1024;
inline constexpr std::size_t kMaxTopicLevels = 32;

/// How long and how deep topics and filters may be. Of a whole server: whoever checks what came in
/// and the indexes behind must be given the same.
struct TopicLimits {
  std::size_t max_size = kMaxTopicSize;      // bytes
  std::size_t max_levels = kMaxTopicLevels;  // no more than those of kWidestTopics
};
/// What the protocol allows, for tests of the protocol. The indexes have room on their stacks for
/// so many levels and no more, hence the bound.
inline constexpr TopicLimits kWidestTopics{.max_size = 65'535, .max_levels = 201};

/// Whether messages may be published to it: not empty, no wildcard, within the limits. UTF-8 and
/// U+0000 are the decoder's business.
bool is_valid_topic(std::string_view topic, const TopicLimits& limits = {});

/// Whether it may be subscribed to: `+` alone in its level, `#` alone in the last, [MQTT5-4.7.1].
/// Shared subscriptions are taken apart first.
bool is_valid_filter(std::string_view filter, const TopicLimits& limits = {});

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
std::optional<SharedFilter> parse_shared(std::string_view filter, const TopicLimits& limits = {});

}  // namespace sluice::mqtt
