#include <sluice/platform/registry_program.h>

#include <format>
#include <stdexcept>

#include <sluice/crypto/token.h>
#include <sluice/testing/environment.h>

#include <nlohmann/json.hpp>

namespace sluice::platform {
namespace {

/// Patient and generous: uploads of a hundred thousand lines, and the tokens they made.
http::ClientConfig client_config() {
  http::ClientConfig config;
  config.timeout = std::chrono::minutes(2);
  config.max_response = 64_MiB;
  return config;
}

}  // namespace

RegistryProgram::RegistryProgram(const Surroundings& surroundings, Environment settings)
    : platform_key_(crypto::Token::mint(random_).text(crypto::kApiKeyPrefix).reveal()),
      settings_(std::move(settings)),
      http_(client_config()) {
  settings_.merge(surroundings.settings());
  settings_.merge(surroundings.settings_of_grpc("device-registry"));
  settings_.merge(surroundings.settings_of_database(database_));
  settings_.merge(Environment{
      {"SLUICE_HTTP_LISTEN", "127.0.0.1:0"},
      {"SLUICE_OUTBOX_INTERVAL", "20ms"},
      {"SLUICE_HTTP_RATE_PER_SECOND", "0"},
      {"SLUICE_HTTP_ANONYMOUS_RATE_PER_SECOND", "0"},
      {"SLUICE_AUTH_FAILURE_BURST", "10000"},
      {"SLUICE_AUTH_FAILURE_REFILL", "1ms"},
      {"SLUICE_IMPORT_SPOOL_DIR", surroundings.folder()},
      {"SLUICE_BOOTSTRAP_ADMIN_KEY_FILE", surroundings.write("admin-key", platform_key_)},
      {"SLUICE_VAULT_KEY_RING_FILE",
       surroundings.write("key-ring", "test " + crypto::mint_secret(random_).reveal() + "\n")},
  });
}

void RegistryProgram::start(const Environment& environment) {
  if (process_) earlier_output_ += process_->process().output();
  Environment merged = environment;
  merged.insert(settings_.begin(), settings_.end());
  process_ = std::make_unique<ServiceProcess>("device-registry", std::move(merged));
}

std::string RegistryProgram::all_output() const {
  return earlier_output_ + (process_ ? process_->process().output() : "");
}

http::ClientResponse RegistryProgram::call(const Call& call) const {
  http::ClientRequest request{.method = call.method,
                              .url = "http://" + process_->address("http") + call.path,
                              .headers = call.headers,
                              .body = call.body};
  if (!call.key.empty()) request.headers.add("Authorization", "Bearer " + call.key);
  if (!call.body.empty() && !request.headers.get("Content-Type")) {
    request.headers.add("Content-Type", call.method == "PATCH" ? "application/merge-patch+json"
                                                               : "application/json");
  }
  auto response = http_.send(request);
  if (!response) {
    throw std::runtime_error(
        std::format("{} {}: {}", call.method, call.path, response.error().message()));
  }
  return *std::move(response);
}

RegistryProgram::Tenant RegistryProgram::make_tenant() const {
  const auto post = [this](const std::string& path, const nlohmann::json& body) {
    const http::ClientResponse answer = call({"POST", path, platform_key_, body.dump()});
    if (answer.status != 201) {
      throw std::runtime_error(std::format("{} {}", answer.status, answer.body));
    }
    return nlohmann::json::parse(answer.body);
  };
  Tenant tenant{.id = testing::unique_name("tenant"), .admin_key = {}};
  post("/v1/tenants", {{"tenant_id", tenant.id}});
  tenant.admin_key = post(std::format("/v1/tenants/{}/api-keys", tenant.id),
                          {{"name", "first"}, {"role", "admin"}})["key"];
  return tenant;
}

}  // namespace sluice::platform
