#pragma once

#include <memory>
#include <string>

#include <sluice/base/random.h>
#include <sluice/http/client.h>
#include <sluice/platform/service_process.h>
#include <sluice/platform/surroundings.h>
#include <sluice/postgres/testing/test_database.h>

namespace sluice::platform {

/// The device registry with a database of its own and without rate limits. Its listeners are plain
/// HTTP on loopback and gRPC with mutual TLS. Starting it again keeps the database.
class RegistryProgram {
 public:
  /// `surroundings` must outlive it; `settings` win over its own.
  explicit RegistryProgram(const Surroundings& surroundings, Environment settings = {});

  /// Starts it with further environment for this run alone and waits until it is ready.
  void start(const Environment& environment = {});
  ServiceProcess& process() { return *process_; }
  const ServiceProcess& process() const { return *process_; }
  /// Everything every run of it has printed.
  std::string all_output() const;
  const postgres::testing::TestDatabase& database() const { return database_; }

  struct Call {
    std::string method = "GET";
    std::string path;
    std::string key;   // API key; empty: none is sent
    std::string body;  // sent as JSON unless the headers say otherwise
    http::Headers headers{};
  };
  /// Throws when no answer comes.
  http::ClientResponse call(const Call& call) const;

  /// The admin of the platform.
  const std::string& platform_key() const { return platform_key_; }
  struct Tenant {
    std::string id;
    std::string admin_key;
  };
  Tenant make_tenant() const;

 private:
  SystemRandom random_;
  std::string platform_key_;
  postgres::testing::TestDatabase database_;
  Environment settings_;
  http::Client http_;
  std::unique_ptr<ServiceProcess> process_;
  std::string earlier_output_;
};

}  // namespace sluice::platform
