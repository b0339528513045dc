#include "core/access_policy.h"

#include <algorithm>
#include <cstring>
#include <format>
#include <optional>
#include <utility>

#include <sluice/base/planted_bug.h>
#include <sluice/mqtt/topic.h>

namespace sluice::front {

namespace {

/// Walks the levels of a filter.
class Levels {
 public:
  explicit Levels(std::string_view text) : rest_(text) {}
  bool at_end() const { return !rest_; }
  std::string_view current() const { return rest_->substr(0, rest_->find('/')); }
  void advance() {
    const std::size_t slash = rest_->find('/');
    if (slash == std::string_view::npos) {
      rest_.reset();
    } else {
      rest_->remove_prefix(slash + 1);
    }
  }

 private:
  std::optional<std::string_view> rest_;
};

bool begins_with_wildcard(std::string_view filter) {
  return filter.starts_with('+') || filter.starts_with('#');
}

/// `rule` as it reads in another spelling: the filter of all topics of the spelling whose canonical
/// form `rule` matches; nullopt where there are none.
std::optional<std::string> respell(std::string_view rule,
                                   const ingest::TopicMap::Spelling& spelling) {
  Levels wanted(rule);
  for (Levels have(spelling.canonical); !have.at_end(); have.advance()) {
    if (wanted.at_end()) return std::nullopt;
    const std::string_view level = wanted.current();
    if (level == "#") return spelling.with_below ? spelling.alias + "/#" : spelling.alias;
    if (level != "+" && level != have.current()) return std::nullopt;
    wanted.advance();
  }
  if (wanted.at_end() || (!spelling.with_below && wanted.current() == "#")) return spelling.alias;
  if (!spelling.with_below) return std::nullopt;
  std::string out = spelling.alias;
  for (; !wanted.at_end(); wanted.advance()) out.append("/").append(wanted.current());
  return out;
}

/// Whether a rule stays within the device's own topics as one of the spellings has them.
bool is_below_any(std::span<const ingest::TopicMap::Spelling> spellings, std::string_view filter) {
  return std::ranges::any_of(spellings, [&](const auto& spelling) {
    return covers(spelling.with_below ? spelling.alias + "/#" : spelling.alias, filter);
  });
}

}  // namespace

bool covers(std::string_view outer_filter, std::string_view inner_filter) {
  // [MQTT-4.7.2-1] a leading wildcard does not match topics that begin with '$'.
  if (begins_with_wildcard(outer_filter) && inner_filter.starts_with('$')) return false;
  Levels outer(outer_filter);
  Levels inner(inner_filter);
  for (; !outer.at_end() && !inner.at_end(); outer.advance(), inner.advance()) {
    const std::string_view level = outer.current();
    if (level == "#") return true;
    if (inner.current() == "#") {
      // What follows here may be of any depth, none included: only '#' takes all of it. But for "#"
      // and "/#", of which the empty text would be the parent, that is no topic: "+/#" does as
      // well.
      const bool has_parent = inner_filter.size() > 2;
      if (has_parent || level != "+") return false;
      outer.advance();
      return !outer.at_end() && outer.current() == "#";
    }
    if (level != "+" && level != inner.current()) return false;
  }
  // "a/#" matches "a" itself too.
  return inner.at_end() && (outer.at_end() || outer.current() == "#");
}

AccessPolicy::Rule AccessPolicy::make_rule(std::string filter, const AccessRule& from) {
  Rule rule;
  rule.filter = std::move(filter);
  rule.max_qos = from.max_qos;
  rule.may_retain = from.may_retain;
  const std::size_t wildcard = rule.filter.find_first_of("+#");
  if (wildcard == std::string::npos) {
    rule.literal_size = rule.filter.size();
  } else {
    rule.literal_size = wildcard == 0 ? 0 : wildcard - 1;
    rule.tail =
        wildcard != 0 && rule.filter[wildcard] == '#' ? Rule::Tail::kBelow : Rule::Tail::kMixed;
  }
  return rule;
}

bool AccessPolicy::Rule::matches(std::string_view topic) const {
  if (topic.size() < literal_size || std::memcmp(topic.data(), filter.data(), literal_size) != 0) {
    return false;
  }
  switch (tail) {
    case Tail::kNone:
      return topic.size() == literal_size;
    case Tail::kBelow:
      return topic.size() == literal_size || topic[literal_size] == '/';
    case Tail::kMixed:
      break;
  }
  if (literal_size == 0) return mqtt::matches(filter, topic);
  if (topic.size() == literal_size || topic[literal_size] != '/') return false;
  // What follows the literal part, unless it looks like a topic of its own that begins with '$'.
  const std::string_view rest = topic.substr(literal_size + 1);
  if (rest.starts_with('$')) return mqtt::matches(filter, topic);
  return mqtt::matches(std::string_view(filter).substr(literal_size + 1), rest);
}

Result<AccessPolicy> AccessPolicy::compile(std::span<const AccessRule> rules,
                                           std::span<const ingest::TopicMap::Spelling> spellings,
                                           const Options& options) {
  if (rules.size() > kMaxRules) {
    return fail(ErrorCode::kInvalidArgument,
                std::format("{} rules, at most {} are taken", rules.size(), kMaxRules));
  }
  AccessPolicy policy;
  for (const AccessRule& given : rules) {
    if (!mqtt::is_valid_filter(given.filter)) {
      return fail(ErrorCode::kInvalidArgument, std::format("rule '{}' is no filter", given.filter));
    }
    AccessRule rule = given;
    const bool is_publish = rule.action == AccessRule::Action::kPublish;
    if (is_publish) rule.max_qos = std::min(rule.max_qos, options.max_publish_qos);
    auto& into = is_publish ? policy.publish_ : policy.subscribe_;
    if (!rule.filter.starts_with('$') || options.opens_dollar_topics ||
        is_below_any(spellings, rule.filter)) {
      into.push_back(make_rule(rule.filter, rule));
    }
    for (const auto& spelling : spellings) {
      if (auto respelled = respell(rule.filter, spelling)) {
        into.push_back(make_rule(*std::move(respelled), rule));
      }
    }
  }
  return policy;
}

AccessDecision AccessPolicy::may_publish(std::string_view topic, mqtt::Qos qos, bool retain) const {
  if (SLUICE_PLANTED_BUG("front_ignores_policy")) return {};
  // Two searches for one character each: several times faster than one for any of two.
  if (topic.empty() || topic.contains('+') || topic.contains('#')) {
    return {.reason = kTopicNotAllowed};
  }
  std::string_view refusal = kTopicNotAllowed;
  for (const Rule& rule : publish_) {
    if (!rule.matches(topic)) continue;
    if (qos > rule.max_qos) {
      refusal = kQosNotAllowed;
    } else if (retain && !rule.may_retain) {
      refusal = kRetainNotAllowed;
    } else {
      return {.max_qos = rule.max_qos};
    }
  }
  return {.reason = refusal};
}

AccessDecision AccessPolicy::may_subscribe(std::string_view filter) const {
  if (SLUICE_PLANTED_BUG("front_ignores_policy")) return {};
  if (mqtt::is_shared(filter)) {
    const auto shared = mqtt::parse_shared(filter);
    if (!shared) return {.reason = kFilterInvalid};
    filter = shared->filter;
  } else if (!mqtt::is_valid_filter(filter)) {
    return {.reason = kFilterInvalid};
  }
  std::optional<mqtt::Qos> granted;
  for (const Rule& rule : subscribe_) {
    if (!covers(rule.filter, filter)) continue;
    granted = std::max(granted.value_or(rule.max_qos), rule.max_qos);
    if (granted == mqtt::Qos::kExactlyOnce) break;
  }
  if (!granted) return {.reason = kTopicNotAllowed};
  return {.max_qos = *granted};
}

bool AccessPolicy::may_receive(std::string_view topic) const {
  return SLUICE_PLANTED_BUG("front_ignores_policy") ||
         std::ranges::any_of(subscribe_, [&](const Rule& rule) { return rule.matches(topic); });
}

}  // namespace sluice::front
