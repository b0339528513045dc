#include <sluice/mqtt/message.h>

#include "wire.h"

#include <string_view>

namespace sluice::mqtt {

namespace {

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// User properties alone, in order: what a packet's view goes over also holds its other properties.
std::vector<std::byte> encoded(const UserProperties& user) {
  if (user.empty()) return {};
  std::size_t size = 0;
  user.for_each([&](std::string_view name, std::string_view value) {
    size += 1 + 2 + name.size() + 2 + value.size();
  });
  std::vector<std::byte> bytes(size);
  wire::Writer writer{std::span(bytes)};
  user.for_each([&](std::string_view name, std::string_view value) {
    writer.property(wire::Property::kUserProperty);
    writer.text(name);
    writer.text(value);
  });
  return bytes;
}

Message make(std::string_view topic, std::span<const std::byte> payload, Qos qos, bool retain,
             const MessageProperties& properties, std::uint64_t publisher, MonoTime now) {
  Message message{.topic = std::string(topic),
                  .payload = text_of(payload),
                  .qos = qos,
                  .retain = retain,
                  .payload_format = properties.payload_format,
                  .content_type = std::string(properties.content_type),
                  .response_topic = std::string(properties.response_topic),
                  .user_properties = encoded(properties.user),
                  .user_property_count = properties.user.count(),
                  .publisher = publisher};
  if (properties.correlation_data) message.correlation_data = text_of(*properties.correlation_data);
  if (properties.expiry_seconds) {
    message.expires_at = now + std::chrono::seconds(*properties.expiry_seconds);
  }
  return message;
}

}  // namespace

std::size_t Message::size_bytes() const {
  return sizeof(Message) + topic.size() + payload.size() + content_type.size() +
         response_topic.size() + (correlation_data ? correlation_data->size() : 0) +
         user_properties.size();
}

Message to_message(const Publish& publish, std::uint64_t publisher, MonoTime now) {
  return make(publish.topic, publish.payload, publish.qos, publish.retain, publish.properties,
              publisher, now);
}

Message to_message(const Will& will, std::uint64_t publisher, MonoTime now) {
  return make(will.topic, will.payload, will.qos, will.retain, will.properties, publisher, now);
}

}  // namespace sluice::mqtt
