#pragma once

#include "mqtt_client.h"

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/base/random.h>
#include <sluice/crypto/testing/test_ca.h>
#include <sluice/http/client.h>
#include <sluice/postgres/testing/test_database.h>
#include <sluice/testing/child_process.h>
#include <sluice/testing/temp_dir.h>

#include <nlohmann/json.hpp>

namespace sluice::front::testing {

using Json = nlohmann::json;
using Environment = std::map<std::string, std::string>;

/// A port of loopback that was free a moment ago, for a server that must keep it over a restart.
std::uint16_t free_port();

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
class Front {
 public:
  explicit Front(Environment settings);

  const std::string& address(const std::string& listener) const { return addresses_.at(listener); }
  sluice::testing::ChildProcess& process() { return *process_; }
  void kill();
  /// The sum over all label sets of a metric.
  double metric(std::string_view name) const;
  std::int64_t resident_kib() const;
  MqttClient client(const std::string& listener = "mqtt") const {
    return MqttClient(address(listener));
  }

 private:
  http::Client http_;
  std::unique_ptr<sluice::testing::ChildProcess> process_;
  std::map<std::string, std::string> addresses_;
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

  void start_registry();
  sluice::testing::ChildProcess& registry() { return *registry_; }
  OwnRedis& redis() { return redis_; }
  const crypto::testing::TestCa& ca() const { return ca_; }
  const std::string& tenant() const { return tenant_; }
  const std::string& kafka_namespace() const { return kafka_namespace_; }

  Device make_device();
  /// With the tenant's own key; fails the test unless the status is that.
  Json post(const std::string& path, const Json& body, int status);

  /// Settings of a front as a local run has them; `more` wins.
  Environment front_settings(const Environment& more = {}) const;
  /// One that is ready.
  std::unique_ptr<Front> start_front(const Environment& more = {}) const;
  crypto::TlsIdentity identity_of(const std::string& service) const;
  std::string write(const std::string& name, const std::string& content) const;

 private:
  http::ClientResponse call(const std::string& path, const std::string& key, const Json& body);

  postgres::testing::TestDatabase database_;
  sluice::testing::TempDir folder_;
  crypto::testing::TestCa ca_;
  OwnRedis redis_;
  SystemRandom random_;
  http::Client http_;
  std::string platform_key_;
  std::string kafka_namespace_;
  Environment registry_settings_;
  std::unique_ptr<sluice::testing::ChildProcess> registry_;
  std::map<std::string, std::string> registry_addresses_;
  std::string tenant_;
  std::string tenant_key_;
};

/// One for all tests that do not harm it: starting takes a second or two.
Platform& shared_platform();
/// The same of a front with the settings of a local run.
Front& shared_front();

}  // namespace sluice::front::testing
