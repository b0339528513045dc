#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/http/headers.h>
#include <sluice/platform/registry_program.h>
#include <sluice/platform/surroundings.h>

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

/// The real program, of which every answer must be one that openapi.yaml describes. Starting it
/// again keeps the database.
class RegistryProcess {
 public:
  using Call = platform::RegistryProgram::Call;

  explicit RegistryProcess(platform::Environment settings = {});

  /// Starts it with further environment for this run alone and waits until it is ready.
  void start(const platform::Environment& environment = {}) { registry_.start(environment); }
  void stop();
  sluice::testing::ChildProcess& process() { return registry_.process().process(); }

  Answer call(const Call& call) const;

  Answer get(std::string path, const std::string& key) const {
    return call({"GET", std::move(path), key, ""});
  }
  Answer post(std::string path, const std::string& key, const Json& body,
              http::Headers headers = {}) const {
    return call({"POST", std::move(path), key, body.dump(), std::move(headers)});
  }

  /// The admin of the platform.
  const std::string& platform_key() const { return registry_.platform_key(); }
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

  const std::string& address(const std::string& listener) const {
    return registry_.process().address(listener);
  }
  /// A certificate for that service, to call its gRPC with.
  crypto::TlsIdentity identity_of(const std::string& service) const {
    return surroundings_.identity_of(service);
  }
  const postgres::testing::TestDatabase& database() const { return registry_.database(); }
  const std::string& kafka_namespace() const { return surroundings_.kafka_namespace(); }
  /// Everything every run of it has printed.
  std::string all_output() const { return registry_.all_output(); }

 private:
  platform::Surroundings surroundings_;
  platform::RegistryProgram registry_;
};

/// One for all tests of a program that do not kill it: starting takes a second.
RegistryProcess& shared_registry();

/// A text that no other test uses, good as an id.
std::string fresh_id(std::string_view prefix);

}  // namespace sluice::registry::testing
