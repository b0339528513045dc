#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/base/clock.h>
#include <sluice/base/random.h>
#include <sluice/crypto/testing/test_ca.h>
#include <sluice/http/client.h>
#include <sluice/postgres/testing/test_database.h>
#include <sluice/testing/child_process.h>
#include <sluice/testing/temp_dir.h>

#include <nlohmann/json.hpp>

namespace sluice::registry::testing {

using Json = nlohmann::json;

/// One answer of the registry.
struct Answer {
  int status = 0;
  http::Headers headers;
  std::string body;

  /// The body as JSON; null where it is none.
  Json json() const;
  std::string header(std::string_view name) const {
    return std::string(headers.get(name).value_or(""));
  }
  /// "reason" of a problem document.
  std::string reason() const;
  /// The pointers and parameters that a problem document names.
  std::vector<std::string> faulty_fields() const;
};

/// The real program with a database and topics of its own. Its listeners are plain HTTP on loopback
/// and gRPC with mutual TLS. Starting it again keeps the database.
class RegistryProcess {
 public:
  explicit RegistryProcess(std::map<std::string, std::string> settings = {});
  ~RegistryProcess();
  RegistryProcess(const RegistryProcess&) = delete;
  RegistryProcess& operator=(const RegistryProcess&) = delete;

  /// Starts it with further environment for this run alone and waits until it is ready.
  void start(const std::map<std::string, std::string>& environment = {});
  void stop();
  sluice::testing::ChildProcess& process() { return *process_; }

  struct Call {
    std::string method = "GET";
    std::string path;
    std::string key;   // API key; empty: none is sent
    std::string body;  // sent as JSON unless the headers say otherwise
    http::Headers headers{};
  };
  Answer call(const Call& call) const;

  Answer get(std::string path, const std::string& key) const {
    return call({"GET", std::move(path), key, ""});
  }
  Answer post(std::string path, const std::string& key, const Json& body,
              http::Headers headers = {}) const {
    return call({"POST", std::move(path), key, body.dump(), std::move(headers)});
  }

  /// The admin of the platform.
  const std::string& platform_key() const { return platform_key_; }
  /// Makes a tenant and gives a key of each role.
  struct Tenant {
    std::string id;
    std::string admin;
    std::string operator_;
    std::string viewer;
  };
  Tenant make_tenant();

  /// Uploads lines and gives the operation as it ended.
  Json import(const std::string& key, const std::string& lines,
              const std::string& parameters = "") const;
  Json wait_for_operation(const std::string& key, const std::string& operation_id) const;

  const std::string& address(const std::string& listener) const { return addresses_.at(listener); }
  /// A certificate for that service, to call its gRPC with.
  crypto::TlsIdentity identity_of(const std::string& service) const;
  const postgres::testing::TestDatabase& database() const { return database_; }
  const std::string& kafka_namespace() const { return kafka_namespace_; }
  /// Everything every run of it has printed.
  std::string all_output() const;

 private:
  postgres::testing::TestDatabase database_;
  sluice::testing::TempDir folder_;
  crypto::testing::TestCa ca_;
  SystemRandom random_;
  std::string platform_key_;
  std::string kafka_namespace_;
  std::map<std::string, std::string> settings_;
  std::unique_ptr<sluice::testing::ChildProcess> process_;
  std::map<std::string, std::string> addresses_;
  std::string earlier_output_;
  http::Client client_;
};

/// One for all tests of a program that do not kill it: starting takes a second.
RegistryProcess& shared_registry();

/// A text that no other test uses, good as an id.
std::string fresh_id(std::string_view prefix);

}  // namespace sluice::registry::testing
