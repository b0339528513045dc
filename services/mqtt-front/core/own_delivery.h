#pragma once

#include "ports.h"

#include <optional>
#include <span>

#include <sluice/ingest/topic_map.h>

namespace sluice::front {

/// Which of a session's own subscriptions count.
enum class OwnFilters : std::uint8_t {
  kAll,
  kWithoutNoLocal,  // the session published the message itself, [MQTT5-3.8.3-3]
};

/// How a message on a topic of a session's own device reaches the session: once, however many of
/// its own subscriptions match, with the highest quality of service among them, [MQTT5-3.3.4-2].
/// Where none matches the topic as written, but one matches another spelling of it, the message is
/// delivered under that spelling. nullopt: no subscription wants it.
std::optional<mqtt::Delivery> own_delivery(std::span<const StoredSubscription> subscriptions,
                                           const ingest::TopicMap& topics,
                                           const ingest::DeviceNames& names,
                                           const mqtt::MessagePtr& message,
                                           OwnFilters filters = OwnFilters::kAll);

/// The names of a device that is not connected, as far as its subscriptions tell: they were proven
/// to be its own when they were made. Views into `key` and `subscriptions`.
ingest::DeviceNames names_of(const SessionKey& key,
                             std::span<const StoredSubscription> subscriptions,
                             const ingest::TopicMap& topics);

}  // namespace sluice::front
