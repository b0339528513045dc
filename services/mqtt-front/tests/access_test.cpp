// Who gets in, and who is put out again.
#include "platform.h"

#include <chrono>
#include <format>
#include <vector>

#include <sluice/testing/eventually.h>

#include <gtest/gtest.h>

namespace sluice::front::testing {
namespace {

using namespace std::chrono_literals;
using mqtt::PacketType;
using mqtt::ReasonCode;
using sluice::testing::ProgramResult;

// mosquitto_pub's status is the reason code of the CONNACK.
constexpr int kRefusedStatus = static_cast<int>(ReasonCode::kNotAuthorized);

class Access : public ::testing::Test {
 protected:
  /// Publishes as a user would with that certificate.
  ProgramResult publish_with(const crypto::testing::TestCertificate& certificate,
                             const Device& device) {
    const std::string& address = front.address("mqtts");
    return sluice::testing::run_program(
        {.program = "/usr/bin/mosquitto_pub",
         .arguments = {"-V",       "mqttv5",
                       "-h",       "127.0.0.1",
                       "-p",       address.substr(address.rfind(':') + 1),
                       "--cafile", platform.write("ca.crt", platform.ca().cert_pem()),
                       "--cert",   platform.write(device.id + ".crt", certificate.cert_pem),
                       "--key",    platform.write(device.id + ".key", certificate.key_pem),
                       "-i",       device.id,
                       "-q",       "1",
                       "-t",       device.telemetry(),
                       "-m",       "over TLS"},
         .address_file = false},
        15s);
  }
  static crypto::testing::TestCa::Request request_for(const Device& device) {
    return {.common_name = device.id, .organization = device.tenant, .is_server = false};
  }
  ReasonCode reason_of(const MqttClient::Options& options) {
    return front.client().connect(options).reason;
  }

  Platform& platform = shared_platform();
  Front& front = shared_front();
};

TEST_F(Access, ARegisteredCertificateLetsItsDevicePublish) {
  const Device device = platform.make_device();
  const auto certificate = platform.ca().issue(request_for(device));
  EXPECT_EQ(publish_with(certificate, device).status.code, kRefusedStatus) << "not registered yet";
  platform.post("/v1/devices/" + device.id + "/credentials",
                {{"kind", "certificate"}, {"common_name", device.id}}, 201);
  // The refusal is remembered until the registry's change has come round.
  ProgramResult result;
  EXPECT_TRUE(sluice::testing::eventually([&] {
    result = publish_with(certificate, device);
    return result.status.code == 0;
  })) << result.standard_error;
}

TEST_F(Access, ARevokedCertificateIsToldSoByTlsOnceTheFrontKnows) {
  const Device device = platform.make_device();
  const auto certificate = platform.ca().issue(request_for(device));
  const Json made = platform.post("/v1/devices/" + device.id + "/credentials",
                                  {{"kind", "certificate"}, {"common_name", device.id}}, 201);
  ASSERT_EQ(publish_with(certificate, device).status.code, 0);
  platform.post("/v1/devices/" + device.id + "/credentials/" +
                    made.at("credential_id").get<std::string>() + ":revoke",
                Json::object(), 200);
  // First by MQTT, as the registry is asked, then by TLS before any MQTT.
  const double before = front.metric("sluice_net_handshake_failures_total");
  bool was_refused_by_mqtt = false;
  ProgramResult result;
  EXPECT_TRUE(sluice::testing::eventually([&] {
    result = publish_with(certificate, device);
    if (result.status.code == kRefusedStatus) was_refused_by_mqtt = true;
    return result.status.code != 0 && result.status.code != kRefusedStatus;
  })) << result.standard_error;
  EXPECT_TRUE(was_refused_by_mqtt);
  EXPECT_GT(front.metric("sluice_net_handshake_failures_total"), before);
}

TEST_F(Access, ADeviceWithAPreSharedKeyPublishes) {
  const auto with_psk = platform.start_front({{"SLUICE_MQTT_PSK_LISTEN", "127.0.0.1:0"}});
  const Device device = platform.make_device();
  const Json made =
      platform.post("/v1/devices/" + device.id + "/credentials", {{"kind", "psk"}}, 201);
  const auto publish_with_key = [&](const std::string& key) {
    const std::string& address = with_psk->address("psk");
    return sluice::testing::run_program(
        {.program = "/usr/bin/mosquitto_pub",
         .arguments = {"-V", "mqttv5", "-h", "127.0.0.1", "-p",
                       address.substr(address.rfind(':') + 1), "--psk", key, "--psk-identity",
                       made.at("psk_identity").get<std::string>(), "-i", device.id, "-q", "1", "-t",
                       device.telemetry(), "-m", "by a shared key"},
         .address_file = false},
        15s);
  };
  const ProgramResult result = publish_with_key(made.at("psk_key").get<std::string>());
  EXPECT_EQ(result.status.code, 0) << result.standard_error;
  EXPECT_NE(publish_with_key(std::string(64, 'a')).status.code, 0);
}

TEST_F(Access, TheRegistryShowsWhoIsConnectedAndWhere) {
  const Device device = platform.make_device();
  const auto connection = [&] {
    return platform.show_device(device.id).value("connection", Json::object());
  };
  {
    MqttClient client = front.client();
    ASSERT_EQ(client.connect(device.session()).reason, ReasonCode::kSuccess);
    EXPECT_TRUE(sluice::testing::eventually([&] { return connection().value("connected", false); }))
        << connection();
    EXPECT_FALSE(connection().value("front", "").empty()) << connection();
  }
  EXPECT_TRUE(sluice::testing::eventually([&] {
    const Json shown = connection();
    return !shown.value("connected", true) && shown.contains("disconnect_reason");
  })) << connection();
}

TEST_F(Access, ACertificateOfAnotherDeviceOrAuthorityOrTimeIsRefused) {
  const Device device = platform.make_device();
  const Device other = platform.make_device();
  platform.post("/v1/devices/" + device.id + "/credentials",
                {{"kind", "certificate"}, {"common_name", device.id}}, 201);
  const auto fails = [&](const crypto::testing::TestCertificate& certificate, const Device& as) {
    return publish_with(certificate, as).status.code != 0;
  };
  EXPECT_TRUE(fails(platform.ca().issue(request_for(device)), other));
  const crypto::testing::TestCa foreign("another authority");
  EXPECT_TRUE(fails(foreign.issue(request_for(device)), device));
  auto expired = request_for(device);
  expired.valid_from = -2h;
  expired.valid_until = -1h;
  EXPECT_TRUE(fails(platform.ca().issue(expired), device));
  EXPECT_FALSE(fails(platform.ca().issue(request_for(device)), device));
}

/// How often a front counts a wrong token, a client id that is none, and both with what is no MQTT.
std::vector<double> counts_of_refusals(Front& front, const Device& device) {
  const auto counted = [&](ReasonCode reason) {
    return front.metric(
        std::format(R"(sluice_mqtt_refused_total{{reason="{}"}})", to_string(reason)));
  };
  auto wrong = device.session();
  wrong.password = "sld_wrong";
  auto nameless = device.session();
  nameless.client_id = "no/name";
  struct Case {
    ReasonCode reason;
    MqttClient::Options session;
  };
  std::vector<double> counts;
  const auto all = [&] { return front.metric("sluice_mqtt_refused_total"); };
  const double before = all();
  for (const auto& [reason, session] : {Case{ReasonCode::kNotAuthorized, wrong},
                                        Case{ReasonCode::kClientIdentifierNotValid, nameless}}) {
    const double of_reason = counted(reason);
    EXPECT_EQ(front.client().connect(session).reason, reason);
    counts.push_back(counted(reason) - of_reason);
  }
  const double before_malformed = all();
  MqttClient malformed = front.client();  // refused by the protocol, before it is asked who it is
  malformed.send_raw("GET / HTTP/1.1\r\n\r\n");
  EXPECT_TRUE(malformed.wait_closed());
  EXPECT_TRUE(sluice::testing::eventually([&] { return all() > before_malformed; }));
  counts.push_back(all() - before);
  return counts;
}

TEST_F(Access, EachRefusalIsCountedOnce) {
  EXPECT_EQ(counts_of_refusals(front, platform.make_device()), (std::vector<double>{1, 1, 3}));
}

TEST_F(Access, ARefusalThatIsCountedTwiceWouldBeSeen) {
  const auto bad = platform.start_front({{"SLUICE_PLANTED_BUG", "front_counts_refusals_twice"}});
  EXPECT_EQ(counts_of_refusals(*bad, platform.make_device()), (std::vector<double>{2, 2, 6}));
}

TEST_F(Access, AWrongTokenOrNoneIsRefused) {
  const Device device = platform.make_device();
  const Device other = platform.make_device();
  auto session = device.session();
  EXPECT_EQ(reason_of(session), ReasonCode::kSuccess);
  session.password = "sld_wrong";
  EXPECT_EQ(reason_of(session), ReasonCode::kNotAuthorized);
  session.password.clear();
  EXPECT_EQ(reason_of(session), ReasonCode::kNotAuthorized);
  session.password = other.token;  // of somebody else
  EXPECT_NE(reason_of(session), ReasonCode::kSuccess);
  session.version = mqtt::Version::kV311;
  session.password = "sld_wrong";
  MqttClient old = front.client();
  EXPECT_EQ(old.connect(session).connack_code, 5);
  EXPECT_TRUE(old.wait_closed());
}

TEST_F(Access, ARevokedDeviceIsPutOutAndKeptOut) {
  const Device device = platform.make_device();
  MqttClient client = front.client();
  client.connect(device.session());
  MqttClient old = front.client();
  const Device second = platform.make_device();
  auto session = second.session();
  session.version = mqtt::Version::kV311;
  old.connect(session);

  const auto revoked_at = std::chrono::steady_clock::now();
  platform.post("/v1/devices/" + device.id + ":revoke", Json::object(), 200);
  platform.post("/v1/devices/" + second.id + ":quarantine", Json::object(), 200);
  EXPECT_EQ(client.expect(PacketType::kDisconnect).reason, ReasonCode::kAdministrativeAction);
  EXPECT_TRUE(client.wait_closed());
  EXPECT_TRUE(old.wait_closed());
  EXPECT_LT(std::chrono::steady_clock::now() - revoked_at, 5s);
  EXPECT_EQ(reason_of(device.session()), ReasonCode::kNotAuthorized);
  EXPECT_EQ(reason_of(second.session()), ReasonCode::kNotAuthorized);
}

TEST(AccessWithoutRegistry, KnownDevicesComeInAndUnknownOnesAreToldToComeBack) {
  Platform platform;
  const auto front = platform.start_front({{"SLUICE_DEVICE_REGISTRY_TIMEOUT", "500ms"}});
  const Device known = platform.make_device();
  const Device unknown = platform.make_device();
  {
    MqttClient client = front->client();
    ASSERT_EQ(client.connect(known.session()).reason, ReasonCode::kSuccess);
  }
  platform.registry().process().kill();
  MqttClient client = front->client();
  EXPECT_EQ(client.connect(known.session()).reason, ReasonCode::kSuccess);
  EXPECT_EQ(client.publish(known.telemetry(), "1").reason, ReasonCode::kSuccess);
  EXPECT_EQ(front->client().connect(unknown.session()).reason, ReasonCode::kServerUnavailable);

  platform.registry().start();
  EXPECT_TRUE(sluice::testing::eventually(
      [&] { return front->client().connect(unknown.session()).reason == ReasonCode::kSuccess; }));
}

}  // namespace
}  // namespace sluice::front::testing
