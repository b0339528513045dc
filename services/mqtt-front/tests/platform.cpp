#include "platform.h"

#include <csignal>
#include <format>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include <sluice/crypto/token.h>
#include <sluice/testing/environment.h>
#include <sluice/testing/eventually.h>

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

namespace sluice::front::testing {

using sluice::testing::ChildProcess;
using sluice::testing::eventually;

namespace {

std::map<std::string, std::string> wait_until_ready(ChildProcess& process, const http::Client& http,
                                                    std::string_view name) {
  auto addresses = process.wait_for_addresses();
  if (!addresses) throw std::runtime_error(addresses.error().message());
  const bool is_ready = eventually([&] {
    const auto answer = http.get("http://" + addresses->at("ops") + "/readyz");
    return answer && answer->status == 200;
  });
  if (!is_ready) throw std::runtime_error(std::format("{}: {}", name, process.output()));
  return *std::move(addresses);
}

}  // namespace

std::uint16_t free_port() {
  const net::Socket socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  if (::bind(socket.fd(), generic, size) != 0 || ::getsockname(socket.fd(), generic, &size) != 0) {
    throw std::runtime_error("no free port");
  }
  return ntohs(address.sin_port);
}

OwnRedis::OwnRedis() : port_(free_port()) { start(); }

void OwnRedis::start() {
  process_ = std::make_unique<ChildProcess>(ChildProcess::Options{
      .program = "/usr/bin/redis-server",
      .arguments = {"--bind", "127.0.0.1", "--port", std::to_string(port_), "--save", "", "--dir",
                    folder_.path().string(), "--appendonly", "yes", "--appendfsync", "always"},
      .address_file = false});
  if (!process_->wait_for_output("Ready to accept connections")) {
    throw std::runtime_error("redis-server: " + process_->output());
  }
}

void OwnRedis::kill() {
  process_->signal(SIGKILL);
  process_->wait();
}

std::string OwnRedis::url() const { return std::format("redis://127.0.0.1:{}", port_); }

Front::Front(Environment settings)
    : process_(std::make_unique<ChildProcess>(
          ChildProcess::Options{.program = sluice::testing::built_program("mqtt-front"),
                                .environment = std::move(settings)})),
      addresses_(wait_until_ready(*process_, http_, "mqtt-front")) {}

void Front::kill() {
  process_->signal(SIGKILL);
  process_->wait();
}

double Front::metric(std::string_view name) const {
  const auto answer = http_.get("http://" + address("ops") + "/metrics");
  if (!answer) return 0;
  double sum = 0;
  std::istringstream lines(answer->body);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(name)) continue;
    const char after = line.size() > name.size() ? line[name.size()] : ' ';
    if (after == ' ' || after == '{') sum += std::stod(line.substr(line.rfind(' ') + 1));
  }
  return sum;
}

std::int64_t Front::resident_kib() const {
  std::ifstream status(std::format("/proc/{}/status", process_->pid()));
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmRSS:")) return std::stoll(line.substr(6));
  }
  throw std::runtime_error("no VmRSS");
}

std::string Device::topic(std::string_view rest) const {
  return std::format("tenant/{}/device/{}/{}", tenant, id, rest);
}

MqttClient::Options Device::session(std::uint32_t expiry_seconds, bool clean_start) const {
  return {.client_id = id,
          .password = token,
          .clean_start = clean_start,
          .session_expiry_seconds = expiry_seconds};
}

Platform::Platform()
    : platform_key_(crypto::Token::mint(random_).text(crypto::kApiKeyPrefix).reveal()),
      kafka_namespace_(sluice::testing::unique_name("t") + "."),
      tenant_(sluice::testing::unique_name("tenant")) {
  const postgres::Config role = database_.config_of_ordinary_role();
  database_.execute("GRANT CREATE ON DATABASE " + database_.name() + " TO " +
                    database_.ordinary_role());
  const crypto::TlsIdentity identity = identity_of("device-registry");
  registry_settings_ = {
      {"SLUICE_POSTGRES_URL", role.url},
      {"SLUICE_POSTGRES_PASSWORD_FILE", write("postgres-password", role.password.reveal())},
      {"SLUICE_KAFKA_BROKERS", sluice::testing::require_env("SLUICE_TEST_KAFKA_BROKERS")},
      {"SLUICE_KAFKA_NAMESPACE", kafka_namespace_},
      {"SLUICE_TLS_CERT_FILE", identity.cert_file},
      {"SLUICE_TLS_KEY_FILE", identity.key_file},
      {"SLUICE_TLS_CA_FILE", identity.ca_file},
      {"SLUICE_OPS_LISTEN", "127.0.0.1:0"},
      {"SLUICE_HTTP_LISTEN", "127.0.0.1:0"},
      // Fronts are told the address once, and the registry may be started again.
      {"SLUICE_GRPC_LISTEN", std::format("127.0.0.1:{}", free_port())},
      {"SLUICE_READINESS_PERIOD", "50ms"},
      {"SLUICE_OUTBOX_INTERVAL", "20ms"},
      {"SLUICE_HTTP_RATE_PER_SECOND", "0"},
      {"SLUICE_HTTP_ANONYMOUS_RATE_PER_SECOND", "0"},
      {"SLUICE_AUTH_FAILURE_BURST", "10000"},
      {"SLUICE_AUTH_FAILURE_REFILL", "1ms"},
      {"SLUICE_IMPORT_SPOOL_DIR", folder_.path()},
      {"SLUICE_BOOTSTRAP_ADMIN_KEY_FILE", write("admin-key", platform_key_)},
      {"SLUICE_VAULT_KEY_RING_FILE",
       write("key-ring", "test " + crypto::mint_secret(random_).reveal() + "\n")},
  };
  start_registry();
  const auto made = [](const http::ClientResponse& answer) {
    if (answer.status != 201) throw std::runtime_error(answer.body);
    return Json::parse(answer.body);
  };
  made(call("/v1/tenants", platform_key_, {{"tenant_id", tenant_}}));
  tenant_key_ = made(call("/v1/tenants/" + tenant_ + "/api-keys", platform_key_,
                          {{"name", "first"}, {"role", "admin"}}))["key"];
  // The first device of a class makes the class. Fronts that hear of that later have the class's
  // devices connect again.
  make_device();
}

void Platform::start_registry() {
  registry_ = std::make_unique<ChildProcess>(
      ChildProcess::Options{.program = sluice::testing::built_program("device-registry"),
                            .environment = registry_settings_});
  registry_addresses_ = wait_until_ready(*registry_, http_, "device-registry");
}

http::ClientResponse Platform::call(const std::string& path, const std::string& key,
                                    const Json& body) {
  http::ClientRequest request{.method = "POST",
                              .url = "http://" + registry_addresses_.at("http") + path,
                              .body = body.dump()};
  request.headers.add("Authorization", "Bearer " + key);
  request.headers.add("Content-Type", "application/json");
  auto answer = http_.send(request);
  if (!answer) throw std::runtime_error(path + ": " + answer.error().message());
  return *std::move(answer);
}

Json Platform::post(const std::string& path, const Json& body, int status) {
  const http::ClientResponse answer = call(path, tenant_key_, body);
  EXPECT_EQ(answer.status, status) << path << " " << answer.body;
  return Json::parse(answer.body, nullptr, false);
}

Device Platform::make_device() {
  const Json made = post("/v1/devices", {{"device_class", "meter"}}, 201);
  return {.tenant = tenant_, .id = made["device_id"], .token = made["auth_token"]};
}

crypto::TlsIdentity Platform::identity_of(const std::string& service) const {
  return ca_.write_identity((folder_.path() / service).string(), service);
}

std::string Platform::write(const std::string& name, const std::string& content) const {
  return folder_.write(name, content);
}

Environment Platform::front_settings(const Environment& more) const {
  const crypto::TlsIdentity identity = identity_of("mqtt-front");
  const auto web = ca_.issue({.common_name = "localhost",
                              .dns_names = {"localhost"},
                              .ip_addresses = {"127.0.0.1"},
                              .is_client = false});
  Environment settings = more;
  settings.merge(Environment{
      {"SLUICE_KAFKA_BROKERS", sluice::testing::require_env("SLUICE_TEST_KAFKA_BROKERS")},
      {"SLUICE_KAFKA_NAMESPACE", kafka_namespace_},
      {"SLUICE_REDIS_URL", redis_.url()},
      {"SLUICE_TLS_CERT_FILE", identity.cert_file},
      {"SLUICE_TLS_KEY_FILE", identity.key_file},
      {"SLUICE_TLS_CA_FILE", identity.ca_file},
      {"SLUICE_OPS_LISTEN", "127.0.0.1:0"},
      {"SLUICE_GRPC_LISTEN", "127.0.0.1:0"},
      {"SLUICE_MQTT_LISTEN", "127.0.0.1:0"},
      {"SLUICE_MQTTS_LISTEN", "127.0.0.1:0"},
      {"SLUICE_WS_LISTEN", "127.0.0.1:0"},
      {"SLUICE_MQTT_TLS_CERT_FILE", write("web.crt", web.cert_pem)},
      {"SLUICE_MQTT_TLS_KEY_FILE", write("web.key", web.key_pem)},
      {"SLUICE_MQTT_CLIENT_CA_FILE", write("ca.crt", ca_.cert_pem())},
      {"SLUICE_MQTT_CLIENT_CERTIFICATES", "optional"},
      {"SLUICE_DEVICE_REGISTRY_ADDRESS", registry_addresses_.at("grpc")},
      {"SLUICE_SESSION_STORE", "redis"},
      {"SLUICE_READINESS_PERIOD", "50ms"},
      {"SLUICE_LOOPS", "2"},
      // Tests connect one device as often as they like.
      {"SLUICE_CONNECTS_PER_CLIENT", "0"},
      {"SLUICE_FLAPPING_DISCONNECTS", "0"},
      {"SLUICE_DEVICE_MESSAGES_PER_SECOND", "0"},
  });
  return settings;
}

std::unique_ptr<Front> Platform::start_front(const Environment& more) const {
  return std::make_unique<Front>(front_settings(more));
}

Platform& shared_platform() {
  static Platform platform;
  return platform;
}

Front& shared_front() {
  static const std::unique_ptr<Front> front = shared_platform().start_front();
  return *front;
}

}  // namespace sluice::front::testing
