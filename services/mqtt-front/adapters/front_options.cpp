#include "adapters/front_options.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace sluice::front {
namespace {

// With what TLS keeps in a handshake it stays below the 16 KiB that a connection may cost before
// CONNACK; a JSON Web Token and a will have room.
constexpr std::uint32_t kMaxConnect = 8 * 1024;

}  // namespace

Options options_of(const Config& config) {
  const auto seconds = [](std::chrono::milliseconds time) {
    return std::chrono::duration_cast<std::chrono::seconds>(time).count();
  };
  Options options;
  options.connection = {
      .max_packet_size = static_cast<std::uint32_t>(config.max_packet.count),
      .receive_maximum = static_cast<std::uint16_t>(config.receive_maximum),
      .send_maximum = static_cast<std::uint16_t>(config.send_maximum),
      .topic_alias_maximum = static_cast<std::uint16_t>(config.topic_alias_maximum)};
  options.connection.max_connect_size = kMaxConnect;
  options.session = {
      .max_queued = static_cast<std::size_t>(config.sessions.max_queued),
      .max_queued_bytes = static_cast<std::size_t>(config.sessions.max_queued_bytes.count)};
  // Room for what CONNACK promises, beside what earlier connections left half done.
  options.session.max_inbound_qos2 = static_cast<std::uint16_t>(
      std::clamp<std::uint32_t>(2U * options.connection.receive_maximum,
                                options.session.max_inbound_qos2, mqtt::kMaxPacketId));
  options.max_session_expiry_seconds =
      static_cast<std::uint32_t>(seconds(config.max_session_expiry));
  options.max_keep_alive_seconds = static_cast<std::uint16_t>(seconds(config.max_keep_alive));
  options.max_subscriptions = static_cast<std::size_t>(config.max_subscriptions);
  options.max_filters = static_cast<std::size_t>(config.max_filters);
  options.max_output = static_cast<std::size_t>(config.max_output.count);
  options.region = config.region;
  if (config.is_conformance_profile) {
    // What the public suites expect to see; each is listed in the README.
    options.is_conformance_profile = true;
    options.connection.receive_maximum = 20;
    options.connection.topic_alias_maximum = 10;
    options.connection.outgoing_topic_aliases = 10;
    options.connection.topics = mqtt::kWidestTopics;
    options.connection.sends_reason_strings = false;
    options.connection.max_packet_size = mqtt::kMaxRemainingLength + 5;  // no limit
    options.connection.max_connect_size = options.connection.max_packet_size;
    options.max_keep_alive_seconds = 60;
    options.max_session_expiry_seconds = kSessionForever;
    options.max_subscriptions = 10'000;
    options.max_filters = 1000;
    options.max_client_id_size = 65'535;
  }
  return options;
}

ConnectionAdmission::Settings admission_settings_of(const Config& config) {
  const auto per_second = static_cast<std::uint64_t>(config.connections_per_second);
  const auto per_client = static_cast<std::uint64_t>(config.connects_per_client);
  return {.node_connections = Rate(per_second, 2 * per_second),
          .max_handshakes = static_cast<std::size_t>(config.handshakes_at_once),
          .client_connects = Rate(per_client, 3 * per_client),
          .flapping_disconnects = static_cast<std::uint32_t>(config.flapping_disconnects)};
}

TenantLimits::Settings tenant_limit_settings_of(const Config& config) {
  TenantLimits::Settings settings;
  settings.default_rates.messages =
      Rate(static_cast<std::uint64_t>(config.tenant_messages_per_second));
  settings.default_rates.connections =
      Rate(static_cast<std::uint64_t>(config.tenant_connections_per_second));
  return settings;
}

DeviceLimits device_limits_of(const Config& config) {
  DeviceLimits limits;
  limits.messages_per_second = static_cast<std::uint32_t>(config.device_messages_per_second);
  limits.bytes_per_second = static_cast<std::uint32_t>(config.device_bytes_per_second.count);
  limits.max_payload_bytes = static_cast<std::uint32_t>(config.max_payload.count);
  return limits;
}

}  // namespace sluice::front
