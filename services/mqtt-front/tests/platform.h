#pragma once

#include "mqtt_client.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include <sluice/crypto/testing/test_ca.h>
#include <sluice/platform/registry_program.h>
#include <sluice/platform/service_process.h>
#include <sluice/platform/surroundings.h>
#include <sluice/testing/child_process.h>
#include <sluice/testing/temp_dir.h>

#include <nlohmann/json.hpp>

namespace sluice::front::testing {

using Json = nlohmann::json;
using platform::Environment;

/// A Redis of the test's own, which it may kill. What is kept is written through to the disk.
class OwnRedis {
 public:
  OwnRedis();
  void start();
  void kill();
  std::string url() const;

 private:
  sluice::testing::TempDir folder_;
  std::uint16_t port_;
  std::unique_ptr<sluice::testing::ChildProcess> process_;
};

/// A running front. Ends with the object.
class Front final : public platform::ServiceProcess {
 public:
  explicit Front(Environment settings) : ServiceProcess("mqtt-front", std::move(settings)) {}

  MqttClient client(const std::string& listener = "mqtt") const {
    return MqttClient(address(listener));
  }
};

/// A device as the registry made it.
struct Device {
  std::string tenant;
  std::string id;
  std::string token;

  std::string topic(std::string_view rest) const;
  std::string telemetry() const { return topic("telemetry"); }
  /// With its token.
  MqttClient::Options session(std::uint32_t expiry_seconds = 0, bool clean_start = true) const;
};

/// The registry, a Redis and a certificate authority of its own, topics that nobody else uses, and
/// one tenant: what fronts are started in.
class Platform {
 public:
  Platform();

  platform::RegistryProgram& registry() { return registry_; }
  OwnRedis& redis() { return redis_; }
  const crypto::testing::TestCa& ca() const { return surroundings_.ca(); }
  const std::string& kafka_namespace() const { return surroundings_.kafka_namespace(); }

  Device make_device(const std::string& device_class = "meter");
  /// With the tenant's own key; fails the test unless the status is that.
  Json post(const std::string& path, const Json& body, int status);
  /// What the registry shows the tenant of a device.
  Json show_device(const std::string& id) const;

  /// Settings of a front as a local run has them; `more` wins.
  Environment front_settings(const Environment& more = {}) const;
  /// A connection as far as the first byte of MQTT: TLS and WebSocket are there where the listener
  /// has them.
  MqttClient open(const Front& front, const std::string& listener) const;
  /// As far as TLS alone.
  MqttClient open_secured(const Front& front, const std::string& listener) const;
  /// One that is ready.
  std::unique_ptr<Front> start_front(const Environment& more = {}) const;
  crypto::TlsIdentity identity_of(const std::string& service) const {
    return surroundings_.identity_of(service);
  }
  std::string write(const std::string& name, const std::string& content) const {
    return surroundings_.write(name, content);
  }

 private:
  platform::Surroundings surroundings_;
  OwnRedis redis_;
  platform::RegistryProgram registry_;
  platform::RegistryProgram::Tenant tenant_;
};

/// One for all tests that do not harm it: starting takes a second or two.
Platform& shared_platform();
/// The same of a front with the settings of a local run.
Front& shared_front();

}  // namespace sluice::front::testing
