#include "platform.h"

#include <csignal>
#include <format>
#include <stdexcept>

#include <sluice/testing/free_port.h>

#include <gtest/gtest.h>

namespace sluice::front::testing {

using sluice::testing::ChildProcess;
using sluice::testing::free_port;

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
    // Fronts are told the address once, and the registry may be started again.
    : registry_(surroundings_, {{"SLUICE_GRPC_LISTEN", std::format("127.0.0.1:{}", free_port())}}) {
  registry_.start();
  tenant_ = registry_.make_tenant();
  // The first device of a class makes the class. Fronts that hear of that later have the class's
  // devices connect again.
  make_device();
}

Json Platform::post(const std::string& path, const Json& body, int status) {
  const http::ClientResponse answer =
      registry_.call({"POST", path, tenant_.admin_key, body.dump()});
  EXPECT_EQ(answer.status, status) << path << " " << answer.body;
  return Json::parse(answer.body, nullptr, false);
}

Json Platform::show_device(const std::string& id) const {
  const auto answer = registry_.call({"GET", "/v1/devices/" + id, tenant_.admin_key, ""});
  return Json::parse(answer.body);
}

Device Platform::make_device(const std::string& device_class) {
  const Json made = post("/v1/devices", {{"device_class", device_class}}, 201);
  return {.tenant = tenant_.id, .id = made["device_id"], .token = made["auth_token"]};
}

Environment Platform::front_settings(const Environment& more) const {
  const auto web = ca().issue({.common_name = "localhost",
                               .dns_names = {"localhost"},
                               .ip_addresses = {"127.0.0.1"},
                               .is_client = false});
  Environment settings = more;
  settings.merge(Environment{
      {"SLUICE_REDIS_URL", redis_.url()},
      {"SLUICE_MQTT_LISTEN", "127.0.0.1:0"},
      {"SLUICE_MQTTS_LISTEN", "127.0.0.1:0"},
      {"SLUICE_WS_LISTEN", "127.0.0.1:0"},
      {"SLUICE_WSS_LISTEN", "127.0.0.1:0"},
      {"SLUICE_MQTT_TLS_CERT_FILE", write("web.crt", web.cert_pem)},
      {"SLUICE_MQTT_TLS_KEY_FILE", write("web.key", web.key_pem)},
      {"SLUICE_MQTT_CLIENT_CA_FILE", write("ca.crt", ca().cert_pem())},
      {"SLUICE_MQTT_CLIENT_CERTIFICATES", "optional"},
      {"SLUICE_DEVICE_REGISTRY_ADDRESS", registry_.process().address("grpc")},
      {"SLUICE_SESSION_STORE", "redis"},
      {"SLUICE_LOOPS", "2"},
      // Tests connect one device as often as they like.
      {"SLUICE_CONNECTS_PER_CLIENT", "0"},
      {"SLUICE_FLAPPING_DISCONNECTS", "0"},
      {"SLUICE_DEVICE_MESSAGES_PER_SECOND", "0"},
  });
  settings.merge(surroundings_.settings());
  settings.merge(surroundings_.settings_of_grpc("mqtt-front"));
  return settings;
}

MqttClient Platform::open_secured(const Front& front, const std::string& listener) const {
  MqttClient client = front.client(listener);
  if (listener == "mqtts" || listener == "wss") client.secure(write("ca.crt", ca().cert_pem()));
  return client;
}

MqttClient Platform::open(const Front& front, const std::string& listener) const {
  MqttClient client = open_secured(front, listener);
  if (listener.starts_with("ws")) {
    const std::string answer = client.upgrade("/mqtt");
    if (!answer.starts_with("HTTP/1.1 101")) throw std::runtime_error("no WebSocket: " + answer);
  }
  return client;
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
