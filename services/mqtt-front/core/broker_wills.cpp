#include "core/broker.h"

#include <memory>
#include <span>
#include <utility>

// Wills: of connections that end here, and those that the store hands out later.
namespace sluice::front {

void Broker::fire_will(Client& client) {
  const auto will = std::exchange(client.will_, nullptr);
  publish_will(client.key(), std::move(*will));
}

void Broker::publish_will(const SessionKey& key, StoredWill will) {
  const std::string_view tenant = tenant_of(key);
  if (will.lifetime) will.message.expires_at = ports_.clock.mono() + *will.lifetime;
  const auto message = std::make_shared<const mqtt::Message>(std::move(will.message));
  if (message->retain) {
    retain(tenant, message, SessionStore::WhenAway::kTryAgain, [](const Result<>&) {});
  }
  if (will.origin && !SLUICE_PLANTED_BUG("front_keeps_wills_from_kafka")) {
    const ingest::DeviceNames names{.tenant = tenant,
                                    .device = device_of(key),
                                    .external_id = will.origin->external_id,
                                    .fleet = will.origin->fleet,
                                    .device_class = will.origin->device_class};
    const ingest::TopicInfo info = topics_.classify(names, message->topic);
    mqtt::Publish publish{.topic = message->topic,
                          .payload = std::as_bytes(std::span(message->payload)),
                          .qos = message->qos,
                          .retain = message->retain};
    publish.properties.content_type = message->content_type;
    publish.properties.user =
        mqtt::UserProperties(message->user_properties, message->user_property_count);
    value_.clear();
    if (is_ingested(info.kind)) {
      const auto prefix = envelope_prefix(
          {.names = names, .schema_id = will.origin->schema_id, .region = options_.region}, info,
          message->topic);
      append_raw_message(prefix, publish, stamp(), value_);
      append_alone(message->qos,
                   {.topic = options_.raw_topic,
                    .key = key.value(),
                    .value = value_,
                    .partition = ports_.sink.partition_of(options_.raw_topic, key.value())});
    } else if (is_request(info.kind)) {
      append_request(names, info, publish, stamp(), value_);
      return append_alone(message->qos,
                          {.topic = options_.shadow_topic, .key = key.value(), .value = value_});
    }
  }
  ++unattended_;
  publish(key, tenant, message, std::nullopt, [this](Result<FanOutCounts>) { --unattended_; });
}

}  // namespace sluice::front
