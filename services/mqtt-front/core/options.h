#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

#include <sluice/mqtt/connection.h>
#include <sluice/mqtt/session.h>

namespace sluice::front {

/// What the core is told of the settings.
struct Options {
  mqtt::ConnectionLimits connection{};
  mqtt::Session::Limits session{};
  /// The longest that a session is kept without a connection; clients that ask for more get this.
  std::uint32_t max_session_expiry_seconds = 7 * 24 * 3600;
  /// Clients that ask for more, or for none, get this; 0: whatever they ask for.
  std::uint16_t max_keep_alive_seconds = 1200;
  std::size_t max_subscriptions = 50;    // of a session
  std::size_t max_filters = 8;           // of one SUBSCRIBE
  std::size_t max_client_id_size = 128;  // bytes
  std::size_t max_retained_per_subscribe = 1000;
  std::size_t max_output = 256 * 1024;  // bytes that a client may be behind in reading
  std::string region{};                 // for the envelope
  /// Names that Kafka knows our records by.
  std::string raw_topic = "telemetry.raw";
  std::string shadow_topic = "shadow.requests";

  /// The conformance profile: nobody is asked who they are, every topic is free, nothing goes to
  /// Kafka. Refused off loopback.
  bool is_conformance_profile = false;
};

}  // namespace sluice::front
