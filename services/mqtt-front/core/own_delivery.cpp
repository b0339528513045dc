#include "core/own_delivery.h"

#include "core/routes.h"

#include <algorithm>
#include <string>
#include <utility>

#include <sluice/base/ids.h>
#include <sluice/mqtt/topic.h>

namespace sluice::front {
namespace {

std::optional<mqtt::Delivery> by_topic(std::span<const StoredSubscription> subscriptions,
                                       std::string_view topic, const mqtt::Message& message,
                                       OwnFilters filters) {
  std::optional<mqtt::Delivery> delivery;
  for (const StoredSubscription& subscription : subscriptions) {
    if (subscription.is_wide) continue;  // those are in the routes
    if (subscription.no_local && filters == OwnFilters::kWithoutNoLocal) continue;
    if (!mqtt::matches(subscription.filter, topic)) continue;
    if (!delivery) delivery.emplace();
    delivery->qos = std::max(delivery->qos, std::min(message.qos, subscription.qos));
    delivery->retain |= subscription.retain_as_published && message.retain;
    if (subscription.subscription_id != 0) {
      delivery->subscription_ids.push_back(subscription.subscription_id);
    }
  }
  return delivery;
}

// What stands in a spelling for a name that is looked for; ids, so that spellings take them.
constexpr std::string_view kAnyFleet = "any.fleet";
constexpr std::string_view kAnyClass = "any.class";

/// Takes the first level off.
std::string_view take_level(std::string_view& rest) {
  const std::string_view level = rest.substr(0, rest.find('/'));
  rest.remove_prefix(std::min(rest.size(), level.size() + 1));
  return level;
}

/// Whether the filter is the spelling, or below it, with any name where one is looked for; these
/// are written into `names`.
bool read_names(const ingest::TopicMap::Spelling& spelling, std::string_view filter,
                ingest::DeviceNames& names) {
  std::string_view alias = spelling.alias;
  std::string_view fleet = names.fleet;
  std::string_view device_class = names.device_class;
  while (!alias.empty()) {
    if (filter.empty()) return false;
    const std::string_view wanted = take_level(alias);
    const std::string_view level = take_level(filter);
    if (wanted == kAnyFleet || wanted == kAnyClass) {
      if (!check_id(level, "name")) return false;
      (wanted == kAnyFleet ? fleet : device_class) = level;
    } else if (wanted != level) {
      return false;
    }
  }
  if (!filter.empty() && !spelling.with_below) return false;
  names.fleet = fleet;
  names.device_class = device_class;
  return true;
}

}  // namespace

std::optional<mqtt::Delivery> own_delivery(std::span<const StoredSubscription> subscriptions,
                                           const ingest::TopicMap& topics,
                                           const ingest::DeviceNames& names,
                                           const mqtt::MessagePtr& message, OwnFilters filters) {
  const std::string_view topic = message->topic;
  if (auto delivery = by_topic(subscriptions, topic, *message, filters)) {
    delivery->message = message;
    return delivery;
  }
  if (std::ranges::all_of(subscriptions, &StoredSubscription::is_wide)) return std::nullopt;
  for (const auto& spelling : topics.spellings_of(names)) {
    if (!topic.starts_with(spelling.canonical)) continue;
    const std::string_view below = topic.substr(spelling.canonical.size());
    if (!below.empty() && !(spelling.with_below && below.starts_with('/'))) continue;
    const std::string alias = spelling.alias + std::string(below);
    auto delivery = by_topic(subscriptions, alias, *message, filters);
    if (!delivery) continue;
    mqtt::Message renamed = *message;
    renamed.topic = alias;
    delivery->message = std::make_shared<const mqtt::Message>(std::move(renamed));
    return delivery;
  }
  return std::nullopt;
}

ingest::DeviceNames names_of(const SessionKey& key,
                             std::span<const StoredSubscription> subscriptions,
                             const ingest::TopicMap& topics) {
  ingest::DeviceNames names{.tenant = tenant_of(key), .device = device_of(key)};
  bool has_alias = false;
  std::string root;
  topics.append_topic(names, "", root);
  for (const StoredSubscription& subscription : subscriptions) {
    if (subscription.is_wide || subscription.filter.starts_with(root)) continue;
    has_alias = true;
    const auto owner = topics.owner_of(subscription.filter);
    if (owner && owner->may_be_external_id && owner->device != names.device) {
      names.external_id = owner->device;
      break;
    }
  }
  if (!has_alias) return names;
  ingest::DeviceNames sought = names;
  sought.fleet = kAnyFleet;
  sought.device_class = kAnyClass;
  const auto spellings = topics.spellings_of(sought);
  for (const StoredSubscription& subscription : subscriptions) {
    if (subscription.is_wide || subscription.filter.starts_with(root)) continue;
    for (const auto& spelling : spellings) {
      if (read_names(spelling, subscription.filter, names)) break;
    }
  }
  return names;
}

}  // namespace sluice::front
