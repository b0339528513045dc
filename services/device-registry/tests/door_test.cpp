// What other services ask over gRPC: who a device is, with every kind of credential.
#include "registry_process.h"
#include "testing/registry_database.h"

#include <chrono>
#include <format>

#include <sluice/crypto/hash.h>
#include <sluice/crypto/testing/test_signer.h>
#include <sluice/device/v1/device_registry.grpc.pb.h>
#include <sluice/grpc/raw.h>
#include <sluice/log/logger.h>
#include <sluice/metrics/metrics.h>
#include <sluice/postgres/transaction.h>

#include <gtest/gtest.h>
#include <unistd.h>

namespace sluice::registry::testing {
namespace {

using namespace ::sluice::device::v1;  // NOLINT: the messages of this one interface

std::string id_of(const Json& device) { return device["device_id"]; }

/// A service of the platform with a certificate of its own.
class Caller {
 public:
  Caller(const RegistryProcess& registry, const std::string& service,
         std::chrono::milliseconds timeout = std::chrono::seconds(10))
      : log_(service, LogLevel::kError, clock_, make_fd_log_sink(STDERR_FILENO)),
        channel_(rpc::Channel::open({.service = "device-registry",
                                     .address = registry.address("grpc"),
                                     .timeout = timeout,
                                     .max_attempts = 1},
                                    registry.identity_of(service), clock_, random_, log_, metrics_)
                     .value()),
        client_(*channel_) {}

  using Client = rpc::Client<DeviceRegistryService>;

  Result<AuthenticateResponse> authenticate(const AuthenticateRequest& request) {
    return client_.call(&Client::Stub::Authenticate, request);
  }
  Result<AuthenticateManyResponse> authenticate_many(const AuthenticateManyRequest& request) {
    return client_.call(&Client::Stub::AuthenticateMany, request);
  }
  AuthenticateResponse token(const std::string& text) {
    AuthenticateRequest request;
    request.set_token(text);
    return authenticate(request).value();
  }
  Result<LookupResponse> lookup(const std::string& tenant, const std::string& device) {
    LookupRequest request;
    request.set_tenant(tenant);
    request.set_device(device);
    return client_.call(&Client::Stub::Lookup, request);
  }
  Result<VerifyOperatorKeyResponse> verify(const std::string& key) {
    VerifyOperatorKeyRequest request;
    request.set_key(key);
    return client_.call(&Client::Stub::VerifyOperatorKey, request);
  }

 private:
  SystemClock clock_;
  SystemRandom random_;
  Registry metrics_;
  Logger log_;
  std::unique_ptr<rpc::Channel> channel_;
  Client client_;
};

class Door : public ::testing::Test {
 protected:
  Json make_device(Json body = {{"device_class", "sensor"}}) {
    return registry.post("/v1/devices", tenant.operator_, body).json();
  }
  Json add_credential(const Json& device, const Json& body) {
    const Answer answer =
        registry.post("/v1/devices/" + device["device_id"].get<std::string>() + "/credentials",
                      tenant.operator_, body);
    EXPECT_EQ(answer.status, 201) << answer.body;
    return answer.json();
  }
  void verb(const Json& device, const std::string& name) {
    EXPECT_EQ(
        registry
            .call({"POST", "/v1/devices/" + device["device_id"].get<std::string>() + ":" + name,
                   tenant.operator_, ""})
            .status,
        200);
  }
  static std::string in(std::chrono::seconds time) {
    return format_rfc3339(SystemClock().wall() + time);
  }

  RegistryProcess& registry = shared_registry();
  RegistryProcess::Tenant tenant = registry.make_tenant();
  Caller front{registry, "mqtt-front"};
};

TEST_F(Door, ATokenProvesItsDeviceAndTellsWhatItMayDo) {
  const Json device = make_device({{"device_class", "sensor"}, {"external_id", "s1"}});
  const auto answer = front.token(device["auth_token"]);
  ASSERT_TRUE(answer.has_identity()) << answer.ShortDebugString();
  const DeviceIdentity& identity = answer.identity();
  EXPECT_EQ(identity.tenant(), tenant.id);
  EXPECT_EQ(identity.device(), id_of(device));
  EXPECT_EQ(identity.external_id(), "s1");
  EXPECT_EQ(identity.device_class(), "sensor");
  EXPECT_EQ(identity.status(), DEVICE_STATUS_ACTIVE);
  EXPECT_GT(identity.cache_ttl_seconds(), 0U);
  ASSERT_GT(identity.rules_size(), 0);
  for (const TopicRule& rule : identity.rules()) {
    EXPECT_TRUE(
        rule.topic().starts_with("tenant/" + tenant.id + "/device/" + identity.device() + "/"))
        << rule.topic();
  }
}

TEST_F(Door, AWrongTokenProvesNothing) {
  std::string token = make_device()["auth_token"];
  token.back() = token.back() == 'A' ? 'Q' : 'A';
  EXPECT_EQ(front.token(token).refusal().reason(), REFUSAL_REASON_UNKNOWN_CREDENTIAL);
  EXPECT_EQ(front.token("sld_nonsense").refusal().reason(), REFUSAL_REASON_UNKNOWN_CREDENTIAL);
}

TEST_F(Door, AnswersToManyQuestionsAreEachToItsOwn) {
  AuthenticateManyRequest request;
  std::vector<std::string> devices;
  for (int i = 0; i < 8; ++i) {
    const Json device = make_device();
    devices.push_back(id_of(device));
    request.add_questions()->set_token(device["auth_token"]);
  }
  request.add_questions();
  request.add_questions()->set_token("sld_nonsense");
  const auto answers = front.authenticate_many(request);
  ASSERT_TRUE(answers) << answers.error().message();
  ASSERT_EQ(answers->answers_size(), 10);
  for (std::size_t i = 0; i < devices.size(); ++i) {
    const AuthenticateAnswer& answer = answers->answers(static_cast<int>(i));
    EXPECT_EQ(answer.response().identity().device(), devices[i]);
  }
  EXPECT_EQ(answers->answers(8).failure().code(), static_cast<int>(ErrorCode::kInvalidArgument));
  EXPECT_EQ(answers->answers(9).response().refusal().reason(), REFUSAL_REASON_UNKNOWN_CREDENTIAL);
  EXPECT_EQ(front.authenticate_many({}).error().code(), ErrorCode::kInvalidArgument);
}

TEST_F(Door, AClaimToBeAnotherDeviceIsRefused) {
  AuthenticateRequest request;
  request.set_token(make_device({{"device_class", "sensor"}, {"external_id", "me"}})["auth_token"]);
  request.set_claimed_device("me");
  EXPECT_TRUE(front.authenticate(request).value().has_identity());
  request.set_claimed_device("somebody-else");
  EXPECT_EQ(front.authenticate(request).value().refusal().reason(), REFUSAL_REASON_WRONG_DEVICE);
}

TEST_F(Door, ADeviceThatIsNotInServiceIsRefusedWithItsReason) {
  const Json device = make_device();
  const auto reason = [&] { return front.token(device["auth_token"]).refusal().reason(); };
  verb(device, "deactivate");
  EXPECT_EQ(reason(), REFUSAL_REASON_DEVICE_INACTIVE);
  verb(device, "quarantine");
  EXPECT_EQ(reason(), REFUSAL_REASON_DEVICE_QUARANTINED);
  verb(device, "activate");
  EXPECT_TRUE(front.token(device["auth_token"]).has_identity());
  verb(device, "revoke");
  EXPECT_EQ(reason(), REFUSAL_REASON_DEVICE_REVOKED);
}

TEST_F(Door, ARevokedOrExpiredCredentialIsRefusedWithItsReason) {
  const Json device = make_device();
  const Json past =
      add_credential(device, {{"kind", "token"}, {"expires_at", in(std::chrono::seconds(-60))}});
  EXPECT_EQ(front.token(past["auth_token"]).refusal().reason(), REFUSAL_REASON_CREDENTIAL_EXPIRED);
  const Json future =
      add_credential(device, {{"kind", "token"}, {"expires_at", in(std::chrono::hours(1))}});
  const auto answer = front.token(future["auth_token"]);
  ASSERT_TRUE(answer.has_identity());
  EXPECT_GT(answer.identity().credential_expires_at_ms(), 0);
  EXPECT_EQ(answer.identity().credential_id(), future["credential_id"].get<std::string>());
  registry.call(
      {"POST",
       std::format("/v1/devices/{}/credentials/{}:revoke", device["device_id"].get<std::string>(),
                   future["credential_id"].get<std::string>()),
       tenant.operator_, ""});
  EXPECT_EQ(front.token(future["auth_token"]).refusal().reason(),
            REFUSAL_REASON_CREDENTIAL_REVOKED);
}

TEST_F(Door, APreSharedKeyComesBackForItsIdentity) {
  const Json psk =
      add_credential(make_device(), {{"kind", "psk"}, {"psk_key", std::string(32, 'a')}});
  AuthenticateRequest request;
  request.set_psk_identity(psk["psk_identity"]);
  const auto answer = front.authenticate(request).value();
  ASSERT_TRUE(answer.has_identity()) << answer.ShortDebugString();
  EXPECT_EQ(answer.psk(), std::string(16, '\xaa'));
  request.set_psk_identity(tenant.id + "/nobody");
  const auto refused = front.authenticate(request).value();
  EXPECT_EQ(refused.refusal().reason(), REFUSAL_REASON_UNKNOWN_CREDENTIAL);
  EXPECT_TRUE(refused.psk().empty());
}

TEST_F(Door, ACertificateProvesItsDeviceByFingerprintOrCommonName) {
  const std::string der = fresh_id("der");
  const std::string fingerprint = crypto::sha256(der);
  const std::string hex = [&] {
    std::string out;
    for (const char c : fingerprint) out += std::format("{:02x}", static_cast<unsigned char>(c));
    return out;
  }();
  const std::string name = fresh_id("cn");
  const Json first = make_device();
  const Json second = make_device();
  add_credential(first, {{"kind", "certificate"}, {"fingerprint_sha256", hex}});
  add_credential(second, {{"kind", "certificate"}, {"common_name", name}});

  AuthenticateRequest request;
  request.mutable_certificate()->set_common_name("irrelevant");
  request.mutable_certificate()->set_fingerprint_sha256(fingerprint);
  EXPECT_EQ(front.authenticate(request).value().identity().device(), id_of(first));
  request.mutable_certificate()->set_common_name(name);
  request.mutable_certificate()->set_fingerprint_sha256(crypto::sha256("another certificate"));
  EXPECT_EQ(front.authenticate(request).value().identity().device(), id_of(second));
  request.mutable_certificate()->set_common_name("nobody");
  EXPECT_EQ(front.authenticate(request).value().refusal().reason(),
            REFUSAL_REASON_UNKNOWN_CREDENTIAL);
}

TEST_F(Door, ADeviceMaySignItsOwnTokens) {
  const auto signer = crypto::testing::TestSigner::p256();
  const auto stranger = crypto::testing::TestSigner::p256();
  const Json device = make_device();
  add_credential(device, {{"kind", "jwt"}, {"public_key", signer.public_pem()}});
  const auto now =
      std::chrono::duration_cast<std::chrono::seconds>(SystemClock().wall().time_since_epoch())
          .count();
  const std::string payload = Json{{"iss", device["device_id"]},
                                   {"sub", device["device_id"]},
                                   {"aud", "sluice"},
                                   {"iat", now},
                                   {"exp", now + 60}}
                                  .dump();
  AuthenticateRequest request;
  request.set_jwt(signer.sign_with_kid("k", payload));
  const auto signed_in = front.authenticate(request).value();
  EXPECT_TRUE(signed_in.has_identity());
  EXPECT_EQ(signed_in.identity().credential_expires_at_ms(), (now + 60) * 1000);
  request.set_jwt(stranger.sign_with_kid("k", payload));
  EXPECT_EQ(front.authenticate(request).value().refusal().reason(),
            REFUSAL_REASON_UNKNOWN_CREDENTIAL);
}

TEST(DoorDeadline, ACallThatNobodyWaitsForGivesItsConnectionBack) {
  // Left to these limits, the one connection would be gone for a minute.
  RegistryProcess registry({{"SLUICE_DOOR_POOL_SIZE", "1"},
                            {"SLUICE_DOOR_TIMEOUT", "1m"},
                            {"SLUICE_POSTGRES_STATEMENT_TIMEOUT", "1m"},
                            {"SLUICE_POSTGRES_LOCK_TIMEOUT", "1m"}});
  registry.start();
  const auto tenant = registry.make_tenant();
  const Json device =
      registry.post("/v1/devices", tenant.operator_, {{"device_class", "sensor"}}).json();
  Caller hasty(registry, "mqtt-front", std::chrono::milliseconds(300));
  Caller service(registry, "tsdb-writer");
  AuthenticateRequest request;
  request.set_token(device["auth_token"]);
  RegistryPool locker(registry.database().config());
  const auto locked = postgres::run_transaction(
      *locker.pool, {.all_tenants = true, .timeout = std::chrono::seconds(30)},
      [&](postgres::Transaction& sql) -> Result<> {
        SLUICE_TRY(
            sql.execute_script("LOCK TABLE device_registry.credentials IN ACCESS EXCLUSIVE MODE"));
        EXPECT_EQ(hasty.authenticate(request).error().code(), ErrorCode::kDeadlineExceeded);
        // Keys are in a table that is not locked, and asked for over the same connection.
        const auto verified = service.verify(tenant.operator_);
        EXPECT_TRUE(verified.has_value()) << verified.error().message();
        return {};
      });
  EXPECT_TRUE(locked) << locked.error().message();
  Caller front(registry, "mqtt-front");
  EXPECT_TRUE(front.token(device["auth_token"]).has_identity());
  registry.stop();
}

TEST_F(Door, DevicesOfASuspendedTenantStayOutside) {
  const Json device = make_device();
  registry.call(
      {"PATCH", "/v1/tenants/" + tenant.id, registry.platform_key(), R"({"status":"suspended"})"});
  EXPECT_EQ(front.token(device["auth_token"]).refusal().reason(), REFUSAL_REASON_TENANT_SUSPENDED);
}

TEST_F(Door, LookupTellsTheCredentialsThatAreValidNow) {
  const Json device = make_device();
  const auto answer = front.lookup(tenant.id, device["device_id"]).value();
  EXPECT_TRUE(answer.has_identity());
  EXPECT_EQ(answer.active_credential_ids_size(), 1);
  EXPECT_TRUE(front.lookup("another", device["device_id"]).value().has_refusal());
}

TEST_F(Door, OperatorKeysAreVerifiedForServicesWithARestInterface) {
  Caller service(registry, "tsdb-writer");
  const auto good = service.verify(tenant.operator_).value();
  EXPECT_TRUE(good.is_valid());
  EXPECT_EQ(good.tenant(), tenant.id);
  EXPECT_EQ(good.role(), OPERATOR_ROLE_OPERATOR);
  EXPECT_FALSE(service.verify(tenant.operator_.substr(0, 59) + "_").value().is_valid());
}

TEST_F(Door, EachMethodAnswersItsServicesAlone) {
  Caller service(registry, "tsdb-writer");
  AuthenticateRequest request;
  request.set_token(make_device()["auth_token"]);
  EXPECT_EQ(service.authenticate(request).error().code(), ErrorCode::kPermissionDenied);
  EXPECT_EQ(service.authenticate_many({}).error().code(), ErrorCode::kPermissionDenied);
  EXPECT_EQ(front.verify(tenant.operator_).error().code(), ErrorCode::kPermissionDenied);
  Caller unknown(registry, "some-tool");
  EXPECT_EQ(unknown.lookup(tenant.id, "x").error().code(), ErrorCode::kPermissionDenied);
}

}  // namespace
}  // namespace sluice::registry::testing
