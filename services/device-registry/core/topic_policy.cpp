#include "core/topic_policy.h"

#include "core/json.h"

#include <algorithm>
#include <array>

namespace sluice::registry {
namespace {

using ::sluice::device::v1::TOPIC_ACTION_PUBLISH;
using ::sluice::device::v1::TOPIC_ACTION_SUBSCRIBE;
using ::sluice::device::v1::TopicAction;

constexpr std::string_view kPlaceholders[] = {"{tenant}", "{device}", "{external_id}", "{fleet}",
                                              "{class}"};

std::vector<std::string_view> split_levels(std::string_view topic) {
  std::vector<std::string_view> levels;
  while (true) {
    const std::size_t slash = topic.find('/');
    levels.push_back(topic.substr(0, slash));
    if (slash == std::string_view::npos) return levels;
    topic.remove_prefix(slash + 1);
  }
}

/// What a placeholder stands for; nullptr for a literal level.
const std::string* name_for(std::string_view level, const TopicNames& names) {
  if (level == "{tenant}") return &names.tenant;
  if (level == "{device}") return &names.device;
  if (level == "{external_id}") return &names.external_id;
  if (level == "{fleet}") return &names.fleet;
  if (level == "{class}") return &names.device_class;
  return nullptr;
}

/// Why a template cannot be used; empty when it can.
std::string fault_of_template(std::string_view text) {
  const std::vector<std::string_view> levels = split_levels(text);
  if (levels.size() > kMaxTopicLevels)
    return std::format("has more than {} levels", kMaxTopicLevels);
  bool is_owned = false;
  bool has_wildcard = false;
  for (std::size_t i = 0; i < levels.size(); ++i) {
    const std::string_view level = levels[i];
    if (level == "+" || level == "#") {
      has_wildcard = true;
      if (level == "#" && i + 1 != levels.size()) return "has '#' before its last level";
      continue;
    }
    if (level.find_first_of("+#") != std::string_view::npos) {
      return "has '+' or '#' inside a level: they stand for whole levels";
    }
    if (level.find_first_of("{}") != std::string_view::npos &&
        !std::ranges::contains(kPlaceholders, level)) {
      return "has an unknown placeholder, or one that is not a whole level: there are {tenant}, "
             "{device}, "
             "{external_id}, {fleet} and {class}";
    }
    if (!has_wildcard && (level == "{tenant}" || level == "{device}")) is_owned = true;
  }
  if (!is_owned) return "must have the level {tenant} or {device}, before any '+' or '#'";
  return {};
}

/// Whether filter `inner` can only match what filter `outer` matches.
bool covers(std::string_view outer_text, std::string_view inner_text) {
  const std::vector<std::string_view> outer = split_levels(outer_text);
  const std::vector<std::string_view> inner = split_levels(inner_text);
  // [MQTT-4.7.2-1] a leading wildcard does not match topics that begin with '$'.
  if (inner[0].starts_with('$') && (outer[0] == "+" || outer[0] == "#")) return false;
  for (std::size_t i = 0; i < outer.size(); ++i) {
    if (outer[i] == "#") return true;
    if (i >= inner.size() || inner[i] == "#") return false;
    if (outer[i] != "+" && outer[i] != inner[i]) return false;
    // "parent/#" matches "parent" itself too.
    if (i + 1 == inner.size() && i + 2 == outer.size() && outer[i + 1] == "#") return true;
  }
  return outer.size() == inner.size();
}

TopicRule make_rule(TopicAction action, std::string topic) {
  TopicRule rule;
  rule.set_action(action);
  rule.set_topic(std::move(topic));
  rule.set_max_qos(2);
  rule.set_may_retain(false);
  return rule;
}

std::vector<TopicRule> make_default_rules() {
  const std::string own = "tenant/{tenant}/device/{device}/";
  std::vector<TopicRule> rules;
  for (const char* up : {"telemetry/#", "events/+", "commands/+/accepted", "commands/+/rejected",
                         "commands/+/result", "shadow/#", "jobs/#", "certificates/#"}) {
    rules.push_back(make_rule(TOPIC_ACTION_PUBLISH, own + up));
  }
  for (const char* down : {"commands/#", "shadow/#", "jobs/#", "certificates/#"}) {
    rules.push_back(make_rule(TOPIC_ACTION_SUBSCRIBE, own + down));
  }
  return rules;
}

}  // namespace

std::vector<TopicRule> rules_from_json(const nlohmann::json& rules) {
  std::vector<TopicRule> out;
  if (!rules.is_array()) return out;
  out.reserve(rules.size());
  for (const Json& rule : rules) {
    TopicRule parsed = make_rule(
        text_at(rule, "action") == "publish" ? TOPIC_ACTION_PUBLISH : TOPIC_ACTION_SUBSCRIBE,
        text_at(rule, "topic"));
    if (const auto qos = rule.find("max_qos"); qos != rule.end() && qos->is_number()) {
      parsed.set_max_qos(qos->get<std::uint32_t>());
    }
    parsed.set_may_retain(boolean_at(rule, "may_retain"));
    out.push_back(std::move(parsed));
  }
  return out;
}

std::vector<FieldFault> check_rules(std::span<const TopicRule> rules, std::string_view base) {
  std::vector<FieldFault> faults;
  for (std::size_t i = 0; i < rules.size(); ++i) {
    if (std::string fault = fault_of_template(rules[i].topic()); !fault.empty()) {
      faults.push_back({json_pointer(json_pointer(base, i), "topic"), std::move(fault)});
    }
  }
  return faults;
}

std::span<const TopicRule> default_rules() {
  static const std::vector<TopicRule> rules = make_default_rules();
  return rules;
}

std::vector<TopicRule> render_rules(std::span<const TopicRule> rules, const TopicNames& names) {
  std::vector<TopicRule> out;
  out.reserve(rules.size());
  for (const TopicRule& rule : rules) {
    std::string topic;
    bool is_complete = true;
    for (const std::string_view level : split_levels(rule.topic())) {
      if (!topic.empty() || &rule.topic().front() != level.data()) topic += '/';
      const std::string* name = name_for(level, names);
      if (name != nullptr && (name->empty() || name->find_first_of("+#/") != std::string::npos)) {
        is_complete = false;
        break;
      }
      topic += name != nullptr ? std::string_view(*name) : level;
    }
    if (!is_complete) continue;
    TopicRule& rendered = out.emplace_back(rule);
    rendered.set_topic(std::move(topic));
  }
  return out;
}

bool may_publish(std::span<const TopicRule> rendered, std::string_view topic, unsigned qos,
                 bool retain) {
  if (topic.empty() || topic.find_first_of("+#") != std::string_view::npos) return false;
  return std::ranges::any_of(rendered, [&](const TopicRule& rule) {
    return rule.action() == TOPIC_ACTION_PUBLISH && qos <= rule.max_qos() &&
           (!retain || rule.may_retain()) && covers(rule.topic(), topic);
  });
}

bool may_subscribe(std::span<const TopicRule> rendered, std::string_view filter) {
  if (filter.empty()) return false;
  return std::ranges::any_of(rendered, [&](const TopicRule& rule) {
    return rule.action() == TOPIC_ACTION_SUBSCRIBE && covers(rule.topic(), filter);
  });
}

}  // namespace sluice::registry
