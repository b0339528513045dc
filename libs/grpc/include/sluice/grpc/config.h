#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include <sluice/config/settings.h>

namespace sluice::rpc {

/// The gRPC side that other services call. Without a TlsIdentity it may listen on loopback only.
struct ServerConfig {
  std::string listen;
  Bytes max_message;
  std::int64_t max_streams_per_connection = 0;
  std::int64_t max_in_flight = 0;
  std::int64_t workers = 0;
  std::int64_t queue = 0;
  std::chrono::milliseconds default_deadline{0};
  std::chrono::milliseconds max_deadline{0};
  std::chrono::milliseconds drain{0};

  void declare(Settings& settings);
};

/// How to reach one other service: declare(settings, "device-registry") declares
/// device_registry_address, device_registry_timeout and device_registry_attempts.
struct ClientConfig {
  std::string service;  // the name its certificate must carry
  std::string address;  // host:port
  std::chrono::milliseconds timeout{0};
  std::int64_t max_attempts = 0;

  void declare(Settings& settings, std::string_view service_name);
};

}  // namespace sluice::rpc
