#include "core/own_delivery.h"

#include "core/routes.h"

#include <algorithm>
#include <string>
#include <utility>

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
  const std::string_view tenant = tenant_of(key);
  const std::string_view device = std::string_view(key.value()).substr(tenant.size() + 1);
  ingest::DeviceNames names{.tenant = tenant, .device = device};
  for (const StoredSubscription& subscription : subscriptions) {
    if (subscription.is_wide) continue;
    const auto owner = topics.owner_of(subscription.filter);
    if (owner && owner->may_be_external_id && owner->device != device) {
      names.external_id = owner->device;
      break;
    }
  }
  return names;
}

}  // namespace sluice::front
