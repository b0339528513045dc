#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/base/result.h>
#include <sluice/device/v1/topic_policy.pb.h>

#include <nlohmann/json_fwd.hpp>

namespace sluice::registry {

using TopicRule = ::sluice::device::v1::TopicRule;

/// The names of a device that stand for themselves in its topics.
struct TopicNames {
  std::string tenant;
  std::string device;
  std::string external_id;  // may be empty
  std::string fleet;        // may be empty
  std::string device_class;
};

/// The rules of a policy as an operator wrote them (checked against their shape before).
std::vector<TopicRule> rules_from_json(const nlohmann::json& rules);

/// What is wrong with the templates, by JSON pointer below `base`. A template is an MQTT topic
/// filter whose levels are each a literal, '+', '#' (last) or one placeholder. Before any wildcard
/// it must hold {tenant} or {device} (the other names repeat across tenants), so that no policy,
/// however careless, reaches into another tenant.
std::vector<FieldFault> check_rules(std::span<const TopicRule> rules, std::string_view base);

/// What every device may do whose class names no policy: its own topics of the platform's scheme
/// and nothing else. Other spellings of them need no rule: a front rewrites a topic before it asks.
std::span<const TopicRule> default_rules();

/// The rules for one device. Placeholders are filled as whole literal levels; a name with a
/// character that means something in a filter cannot get in (check_id() refuses it where names are
/// made), and a rule whose name the device does not have is left out: it grants nothing rather than
/// everything.
std::vector<TopicRule> render_rules(std::span<const TopicRule> rules, const TopicNames& names);

/// Whether rendered rules let a device publish to a topic. Subscriptions: `topic` is a filter,
/// which must be covered whole by a rule's. '+' and '#' at the start never match topics that begin
/// with '$'.
bool may_publish(std::span<const TopicRule> rendered, std::string_view topic, unsigned qos,
                 bool retain);
bool may_subscribe(std::span<const TopicRule> rendered, std::string_view filter);

inline constexpr std::size_t kMaxTopicLevels = 32;

}  // namespace sluice::registry
