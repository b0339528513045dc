#include "registry_process.h"

#include "unused_parts.h"

#include <algorithm>
#include <csignal>
#include <format>
#include <stdexcept>

#include <sluice/base/encoding.h>
#include <sluice/crypto/token.h>
#include <sluice/embedded/device_registry_openapi.h>
#include <sluice/http/openapi.h>
#include <sluice/testing/environment.h>
#include <sluice/testing/eventually.h>

#include <gtest/gtest.h>

namespace sluice::registry::testing {

using sluice::testing::eventually;

namespace {

/// Patient and generous: uploads of a hundred thousand lines, and the tokens they made.
http::ClientConfig client_config() {
  http::ClientConfig config;
  config.timeout = std::chrono::minutes(2);
  config.max_response = 64_MiB;
  return config;
}

/// Whatever a test asks, the answer must be one that openapi.yaml describes.
void expect_documented(const RegistryProcess::Call& call, const Answer& answer) {
  static const UnusedParts parts;
  static const http::OpenApi description =
      http::OpenApi::parse(embedded::device_registry_openapi).value();
  const auto match = parts.router().match(call.method, call.path.substr(0, call.path.find('?')));
  if (!match || match->route == nullptr || match->route->access.is_open()) return;
  EXPECT_EQ(description.undocumented(call.method, match->route->path, answer.status,
                                     answer.header("Content-Type"), answer.body),
            "")
      << call.path << " " << answer.body;
}

}  // namespace

Json Answer::json() const { return Json::parse(body, nullptr, false); }

std::string Answer::reason() const { return json().value("reason", ""); }

std::vector<std::string> Answer::faulty_fields() const {
  std::vector<std::string> fields;
  const Json document = json();
  if (!document.contains("errors")) return fields;
  for (const Json& error : document["errors"]) {
    fields.push_back(error.value("pointer", error.value("parameter", "?")));
  }
  std::ranges::sort(fields);
  return fields;
}

RegistryProcess::RegistryProcess(std::map<std::string, std::string> settings)
    : platform_key_(crypto::Token::mint(random_).text(crypto::kApiKeyPrefix).reveal()),
      kafka_namespace_(sluice::testing::unique_name("t") + "."),
      settings_(std::move(settings)),
      client_(client_config()) {
  const crypto::TlsIdentity identity =
      ca_.write_identity(folder_.path() / "tls", "device-registry");
  // The registry refuses a superuser.
  const postgres::Config role = database_.config_of_ordinary_role();
  database_.execute("GRANT CREATE ON DATABASE " + database_.name() + " TO " +
                    database_.ordinary_role());
  const std::map<std::string, std::string> own{
      {"SLUICE_POSTGRES_URL", role.url},
      {"SLUICE_POSTGRES_PASSWORD_FILE", folder_.write("postgres-password", role.password.reveal())},
      {"SLUICE_KAFKA_BROKERS", sluice::testing::require_env("SLUICE_TEST_KAFKA_BROKERS")},
      {"SLUICE_KAFKA_NAMESPACE", kafka_namespace_},
      {"SLUICE_TLS_CERT_FILE", identity.cert_file},
      {"SLUICE_TLS_KEY_FILE", identity.key_file},
      {"SLUICE_TLS_CA_FILE", identity.ca_file},
      {"SLUICE_OPS_LISTEN", "127.0.0.1:0"},
      {"SLUICE_HTTP_LISTEN", "127.0.0.1:0"},
      {"SLUICE_GRPC_LISTEN", "127.0.0.1:0"},
      {"SLUICE_READINESS_PERIOD", "50ms"},
      {"SLUICE_OUTBOX_INTERVAL", "20ms"},
      {"SLUICE_HTTP_RATE_PER_SECOND", "0"},
      {"SLUICE_HTTP_ANONYMOUS_RATE_PER_SECOND", "0"},
      {"SLUICE_AUTH_FAILURE_BURST", "10000"},
      {"SLUICE_AUTH_FAILURE_REFILL", "1ms"},
      {"SLUICE_IMPORT_SPOOL_DIR", folder_.path()},
      {"SLUICE_BOOTSTRAP_ADMIN_KEY_FILE", folder_.write("admin-key", platform_key_)},
      {"SLUICE_VAULT_KEY_RING_FILE",
       folder_.write("key-ring", "test " + crypto::mint_secret(random_).reveal() + "\n")},
  };
  settings_.insert(own.begin(), own.end());  // what the test says wins
}

RegistryProcess::~RegistryProcess() = default;

void RegistryProcess::start(const std::map<std::string, std::string>& environment) {
  if (process_) earlier_output_ += process_->output();
  auto merged = environment;
  merged.insert(settings_.begin(), settings_.end());
  process_ = std::make_unique<sluice::testing::ChildProcess>(sluice::testing::ChildProcess::Options{
      .program = sluice::testing::built_program("device-registry"),
      .environment = std::move(merged)});
  auto addresses = process_->wait_for_addresses();
  if (!addresses) throw std::runtime_error(addresses.error().message());
  addresses_ = *std::move(addresses);
  const bool is_ready = eventually([&] {
    const auto answer = client_.get("http://" + address("ops") + "/readyz");
    return answer && answer->status == 200;
  });
  if (!is_ready)
    throw std::runtime_error("the registry does not get ready:\n" + process_->output());
}

void RegistryProcess::stop() { EXPECT_EQ(process_->stop().code, 0) << process_->output(); }

Answer RegistryProcess::call(const Call& call) const {
  http::ClientRequest request{.method = call.method,
                              .url = "http://" + address("http") + call.path,
                              .headers = call.headers,
                              .body = call.body};
  if (!call.key.empty()) request.headers.add("Authorization", "Bearer " + call.key);
  if (!call.body.empty() && !request.headers.get("Content-Type")) {
    request.headers.add("Content-Type", call.method == "PATCH" ? "application/merge-patch+json"
                                                               : "application/json");
  }
  auto response = client_.send(request);
  if (!response)
    throw std::runtime_error(call.method + " " + call.path + ": " + response.error().message());
  Answer answer{response->status, std::move(response->headers), std::move(response->body)};
  expect_documented(call, answer);
  return answer;
}

RegistryProcess::Tenant RegistryProcess::make_tenant() {
  Tenant tenant{.id = fresh_id("tenant"), .admin = {}, .operator_ = {}, .viewer = {}};
  const auto expect_made = [](const Answer& answer) {
    if (answer.status != 201)
      throw std::runtime_error(std::format("{} {}", answer.status, answer.body));
    return answer.json();
  };
  expect_made(post("/v1/tenants", platform_key_, {{"tenant_id", tenant.id}}));
  tenant.admin = expect_made(post(std::format("/v1/tenants/{}/api-keys", tenant.id), platform_key_,
                                  {{"name", "first"}, {"role", "admin"}}))["key"];
  const auto key_of = [&](const char* role) -> std::string {
    return expect_made(post("/v1/api-keys", tenant.admin, {{"name", role}, {"role", role}}))["key"];
  };
  tenant.operator_ = key_of("operator");
  tenant.viewer = key_of("viewer");
  return tenant;
}

Json RegistryProcess::import(const std::string& key, const std::string& lines,
                             const std::string& parameters) const {
  const Answer taken = call({"POST",
                             "/v1/devices:import" + parameters,
                             key,
                             lines,
                             {{"Content-Type", "application/x-ndjson"}}});
  EXPECT_EQ(taken.status, 202) << taken.body;
  return wait_for_operation(key, taken.json()["operation_id"]);
}

Json RegistryProcess::wait_for_operation(const std::string& key,
                                         const std::string& operation_id) const {
  Json operation;
  EXPECT_TRUE(eventually([&] {
    operation = get("/v1/operations/" + operation_id, key).json();
    return operation.value("state", "") != "running";
  })) << operation;
  return operation;
}

crypto::TlsIdentity RegistryProcess::identity_of(const std::string& service) const {
  return ca_.write_identity(folder_.path() / service, service);
}

std::string RegistryProcess::all_output() const {
  return earlier_output_ + (process_ ? process_->output() : "");
}

RegistryProcess& shared_registry() {
  static const std::unique_ptr<RegistryProcess> registry = [] {
    auto made = std::make_unique<RegistryProcess>();
    made->start();
    return made;
  }();
  return *registry;
}

std::string fresh_id(std::string_view prefix) { return sluice::testing::unique_name(prefix); }

}  // namespace sluice::registry::testing
