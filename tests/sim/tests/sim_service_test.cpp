// The proof against real processes: nothing that was acknowledged is missing when the front dies in
// the middle, and a message that is missing is found.
#include "proof.h"
#include "run.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <format>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include <sluice/kafka/producer.h>
#include <sluice/kafka/sender.h>
#include <sluice/kafka/topics.h>
#include <sluice/platform/registry_program.h>
#include <sluice/platform/service_process.h>
#include <sluice/platform/surroundings.h>
#include <sluice/telemetry/v1/raw_message.pb.h>
#include <sluice/testing/environment.h>
#include <sluice/testing/eventually.h>
#include <sluice/testing/free_port.h>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

namespace sluice::sim {
namespace {

using Json = nlohmann::json;
using platform::Environment;
using platform::ServiceProcess;
using sluice::testing::eventually;
using sluice::testing::free_port;
using sluice::testing::require_env;

/// Ends a run that a failing test leaves behind: its future would wait for it.
class StopAtEnd {
 public:
  explicit StopAtEnd(std::atomic<bool>& is_stopping) : is_stopping_(is_stopping) {}
  ~StopAtEnd() { is_stopping_ = true; }
  StopAtEnd(const StopAtEnd&) = delete;
  StopAtEnd& operator=(const StopAtEnd&) = delete;

 private:
  std::atomic<bool>& is_stopping_;
};

/// The registry and a front that comes back where it was, and devices of every kind: with tokens
/// and with certificates.
class Sim : public ::testing::Test {
 protected:
  static constexpr std::uint32_t kDevices = 50;
  static constexpr std::uint32_t kWithCertificate = 5;

  Sim() : registry(surroundings), mqtt(local_address()), mqtts(local_address()) {
    registry.start();
    tenant = registry.make_tenant();
    roster.emplace(register_devices());
    start_front();
  }

  static std::string local_address() { return std::format("127.0.0.1:{}", free_port()); }

  void start_front() {
    const auto web = surroundings.ca().issue({.common_name = "localhost",
                                              .dns_names = {"localhost"},
                                              .ip_addresses = {"127.0.0.1"},
                                              .is_client = false});
    Environment settings{
        {"SLUICE_REDIS_URL", require_env("SLUICE_TEST_REDIS_URL")},
        {"SLUICE_MQTT_LISTEN", mqtt},
        {"SLUICE_MQTTS_LISTEN", mqtts},
        {"SLUICE_WS_LISTEN", "127.0.0.1:0"},
        {"SLUICE_MQTT_TLS_CERT_FILE", surroundings.write("web.crt", web.cert_pem)},
        {"SLUICE_MQTT_TLS_KEY_FILE", surroundings.write("web.key", web.key_pem)},
        {"SLUICE_MQTT_CLIENT_CA_FILE", ca_file()},
        {"SLUICE_MQTT_CLIENT_CERTIFICATES", "optional"},
        {"SLUICE_DEVICE_REGISTRY_ADDRESS", registry.process().address("grpc")},
        {"SLUICE_SESSION_STORE", "redis"},
        {"SLUICE_LOOPS", "2"},
        {"SLUICE_CONNECTS_PER_CLIENT", "0"},
        {"SLUICE_FLAPPING_DISCONNECTS", "0"},
    };
    settings.merge(surroundings.settings());
    settings.merge(surroundings.settings_of_grpc("mqtt-front"));
    front = std::make_unique<ServiceProcess>("mqtt-front", std::move(settings));
  }

  /// Appends a device's first messages to telemetry.raw as ingest would, but for one.
  void write_raw(const Fleet& fleet, std::uint32_t device, std::uint32_t count,
                 std::uint32_t without, const Logger& logger) const {
    kafka::Config config;
    config.brokers = require_env("SLUICE_TEST_KAFKA_BROKERS");
    config.name_space = surroundings.kafka_namespace();
    Registry metrics;
    SystemRandom random;
    auto producer = kafka::open_producer(config, {}, clock, random, logger, metrics);
    ASSERT_TRUE(producer) << producer.error().message();
    kafka::Sender sender(*std::move(producer), clock);
    const RegisteredDevice& registered = (*roster)[device];
    const std::string key = registered.tenant + "/" + registered.id;
    for (std::uint32_t sequence = 0; sequence < count; ++sequence) {
      if (sequence == without) continue;
      telemetry::v1::RawMessage message;
      message.set_message_id(std::format("message {:08}", sequence));
      message.set_tenant(registered.tenant);
      message.set_device(registered.id);
      fleet.write_payload(device, sequence, false, *message.mutable_payload());
      const std::string bytes = message.SerializeAsString();
      const kafka::Record record{
          .topic = kafka::topics::kTelemetryRaw.name, .key = key, .value = bytes};
      const Result<> sent = sender.send_and_wait({&record, 1}, std::chrono::seconds(20));
      ASSERT_TRUE(sent) << sent.error().message();
    }
  }

  std::string ca_file() const { return surroundings.write("ca.crt", surroundings.ca().cert_pem()); }

  std::vector<RegisteredDevice> register_devices() {
    std::vector<RegisteredDevice> devices;
    for (std::uint32_t i = 0; i < kDevices; ++i) {
      const auto profile = static_cast<Profile>(i % kProfiles);
      const http::ClientResponse answer =
          registry.call({"POST", "/v1/devices", tenant.admin_key,
                         Json{{"device_class", std::format("sim-{}", to_string(profile))}}.dump()});
      EXPECT_EQ(answer.status, 201) << answer.body;
      const Json made = Json::parse(answer.body);
      RegisteredDevice device{.profile = profile, .tenant = tenant.id, .id = made["device_id"]};
      if (i < kWithCertificate) {
        add_certificate(device);
      } else {
        device.token = made["auth_token"];
      }
      devices.push_back(std::move(device));
    }
    return devices;
  }

  void add_certificate(RegisteredDevice& device) {
    const http::ClientResponse answer = registry.call(
        {"POST", std::format("/v1/devices/{}/credentials", device.id), tenant.admin_key,
         Json{{"kind", "certificate"}, {"common_name", device.id}}.dump()});
    EXPECT_EQ(answer.status, 201) << answer.body;
    const auto issued = surroundings.ca().issue(
        {.common_name = device.id, .organization = device.tenant, .is_server = false});
    device.cert_file = surroundings.write(device.id + ".crt", issued.cert_pem);
    device.key_file = surroundings.write(device.id + ".key", issued.key_pem);
  }

  Options options() const {
    Options options;
    options.mqtt = mqtt;
    options.mqtts = mqtts;
    options.ca = ca_file();
    options.rate = 10;
    options.repeated = 0.02;
    options.bad = 0.02;
    options.skewed = 0.1;
    options.offline = 0.2;
    options.offline_seconds = 0.5;
    options.seconds = 4;
    options.brokers = require_env("SLUICE_TEST_KAFKA_BROKERS");
    options.name_space = surroundings.kafka_namespace();
    return options;
  }

  platform::Surroundings surroundings;
  platform::RegistryProgram registry;
  platform::RegistryProgram::Tenant tenant;
  const std::string mqtt;
  const std::string mqtts;
  std::optional<Roster> roster;
  std::unique_ptr<ServiceProcess> front;
  SystemClock clock;
};

TEST_F(Sim, WithoutFaultsEverythingIsThereOnce) {
  Options wanted = options();
  wanted.no_duplicates = true;
  wanted.offline = 0;  // whoever goes away may miss an acknowledgement, and sends again
  const auto report = run_fleet(wanted, *roster, clock, {});
  ASSERT_TRUE(report) << report.error().message();
  EXPECT_EQ(report->exit_status(), 0) << report->table();
  EXPECT_GT(report->completeness.acknowledged, 500U);
  EXPECT_GT(report->completeness.raw_repeated, 0U);
}

TEST_F(Sim, NothingAcknowledgedIsMissingWhenTheFrontDies) {
  Options wanted = options();
  wanted.seconds = 0;
  wanted.storm_every = 1.5;
  std::atomic<bool> is_stopping{false};
  std::atomic<int> seconds{0};  // in which something was published
  auto run = std::async(std::launch::async, [&] {
    return run_fleet(wanted, *roster, clock,
                     {.is_stopping = [&] { return is_stopping.load(); },
                      .on_second =
                          [&](const Moment& moment) {
                            if (moment.messages_per_second > 0) ++seconds;
                          }});
  });
  const StopAtEnd stop(is_stopping);
  EXPECT_TRUE(eventually([&] { return seconds >= 2; }));
  front->kill();
  start_front();
  const int before = seconds;
  EXPECT_TRUE(eventually([&] { return seconds >= before + 2; }));
  is_stopping = true;
  const auto report = run.get();
  ASSERT_TRUE(report) << report.error().message();
  EXPECT_EQ(report->exit_status(), 0) << report->table() << front->process().output();
  EXPECT_GT(report->counts.buffered, 0U);
  EXPECT_GT(report->counts.resent, 0U);
  EXPECT_GT(report->counts.storms, 0U);
  EXPECT_GE(report->counts.connects, 2U * kDevices);
}

/// The control: the records of a good run, but for one, as another namespace's telemetry.raw.
TEST_F(Sim, ARecordThatIsTakenAwayIsFound) {
  // As a device sees it, all is well.
  const std::uint32_t device = 0;
  const Fleet fleet({.qos_0_share = 0, .bad_share = 0, .repeated_share = 0}, roster->profiles(), 0);
  Ledger ledger(roster->size());
  for (std::uint32_t sequence = 0; sequence < 100; ++sequence) {
    ledger.published[device].insert(sequence);
    ledger.acknowledged[device].insert(sequence);
  }
  const Logger logger("sim-test", LogLevel::kError, clock, make_fd_log_sink(STDERR_FILENO));
  const Options wanted = options();
  const auto proof = Proof::begin(wanted, fleet, *roster, ledger, clock, logger);
  ASSERT_TRUE(proof) << proof.error().message();
  write_raw(fleet, device, 100, 41, logger);
  const auto sum = (*proof)->finish();
  ASSERT_TRUE(sum) << sum.error().message();
  EXPECT_EQ(sum->in_raw, 99U);
  EXPECT_EQ(sum->missing_in_raw, 1U);
  EXPECT_FALSE(sum->is_complete());
  ASSERT_EQ(sum->examples.size(), 1U);
  EXPECT_TRUE(sum->examples[0].contains("message 41 of device 0")) << sum->examples[0];
}

}  // namespace
}  // namespace sluice::sim
