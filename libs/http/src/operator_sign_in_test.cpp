// Signing in as a service has it: a provider that serves its keys over HTTP, and a server whose
// callers have to prove who they are.
#include <sluice/http/operator_sign_in.h>

#include "test_server.h"

#include <chrono>
#include <format>
#include <set>
#include <thread>

#include <sluice/crypto/testing/test_signer.h>
#include <sluice/crypto/token.h>

#include <gtest/gtest.h>

namespace sluice::http::testing {
namespace {

using crypto::testing::TestSigner;

struct OneKey final : auth::ApiKeyStore {
  Result<std::optional<auth::ApiKeyRecord>> find(std::string_view id) override {
    if (record && record->id == id) return record;
    return std::optional<auth::ApiKeyRecord>();
  }
  std::optional<auth::ApiKeyRecord> record;
};

struct SomeTenants final : auth::TenantDirectory {
  Result<bool> is_active(const TenantId& tenant) override {
    return active.contains(tenant.value());
  }
  std::set<std::string, std::less<>> active{"acme"};
};

class OperatorSignInTest : public ::testing::Test {
 protected:
  OperatorSignInTest() {
    provider.router.get("/keys", Access::open(), [this](const Request&) -> Result<Response> {
      return Response::bytes("application/json",
                             std::format(R"({{"keys":[{}]}})", signer.jwk("k")));
    });
    provider.start();
    config.oidc_jwks_url = "http://" + provider.address + "/keys";
  }

  /// The status of a request with this credential, and the subject it was made by.
  std::string ask(const std::string& credential) {
    if (!sign_in) {
      sign_in = std::make_unique<OperatorSignIn>(
          config, SignInPorts{.api_keys = keys, .tenants = tenants}, clock, log, registry);
      // Until the first fetch ended a token is refused: nobody waits for another's.
      while (config.has_oidc() && !has_fetched()) std::this_thread::yield();
    }
    Request request;
    request.peer.ip = "192.0.2.1";
    if (!credential.empty()) request.headers.add("Authorization", "Bearer " + credential);
    const auto caller = sign_in->authenticate(request);
    return caller ? caller->identity() : std::string(to_string(caller.error().code()));
  }

  bool has_fetched() {
    const std::string series = registry.scrape();
    return series.contains("jwks_fetches_total{outcome=\"ok\"} 1") ||
           series.contains("jwks_fetches_total{outcome=\"failed\"} 1");
  }

  std::string token(const std::string& tenant) {
    const auto expires = std::chrono::duration_cast<std::chrono::seconds>(
                             (clock.wall() + std::chrono::minutes(5)).time_since_epoch())
                             .count();
    return signer.sign_with_kid(
        "k", std::format(R"({{"iss":"https://id","aud":"sluice","sub":"alice","exp":{},)"
                         R"("tenant":"{}","roles":["admin"]}})",
                         expires, tenant));
  }

  static auth::Config oidc() {
    auth::Config config;
    Settings settings;
    config.declare(settings);
    EXPECT_TRUE(settings.load(
        "oidc_issuer: https://id\noidc_audience: sluice\noidc_jwks_url: https://id/keys\n", {}));
    return config;
  }

  SystemClock clock;
  SystemRandom random;
  Registry registry;
  Logger log{"test", LogLevel::kDebug, clock, std::make_shared<NullSink>()};
  TestSigner signer = TestSigner::ed25519();
  TestServer provider;
  auth::Config config = oidc();
  OneKey keys;
  SomeTenants tenants;
  std::unique_ptr<OperatorSignIn> sign_in;
};

TEST_F(OperatorSignInTest, TakesTokensOfTheProviderForActiveTenants) {
  EXPECT_EQ(ask(token("acme")), "oidc:alice");
  EXPECT_EQ(ask(token("suspended")), "permission_denied");
  EXPECT_EQ(ask(""), "unauthenticated");
}

TEST_F(OperatorSignInTest, TakesApiKeysAndForgetsThemWhenTold) {
  const auto key = crypto::Token::mint(random);
  keys.record = {.id = key.id,
                 .hash = crypto::SaltedHash::of(key.secret.reveal(), random),
                 .tenant = TenantId("acme"),
                 .name = "ci"};
  const std::string text = key.text(crypto::kApiKeyPrefix).reveal();
  EXPECT_EQ(ask(text), "key:" + key.id);
  keys.record->is_revoked = true;
  EXPECT_EQ(ask(text), "key:" + key.id);  // remembered
  sign_in->forget_key(key.id);
  EXPECT_EQ(ask(text), "unauthenticated");
}

TEST_F(OperatorSignInTest, FetchesTheKeysBeforeAnybodyAsks) {
  config.oidc_jwks_min_interval = std::chrono::hours(1);
  EXPECT_EQ(ask(""), "unauthenticated");  // begins it
  while (registry.scrape().find("sluice_auth_jwks_fetches_total{outcome=\"ok\"} 1") ==
         std::string::npos) {
    std::this_thread::yield();
  }
  provider.stop();
  EXPECT_EQ(ask(token("acme")), "oidc:alice");
}

TEST_F(OperatorSignInTest, RefusesTokensWhenTheProviderHasNone) {
  config.oidc_jwks_url = "http://" + provider.address + "/elsewhere";
  EXPECT_EQ(ask(token("acme")), "unavailable");
}

TEST_F(OperatorSignInTest, TakesNoTokensWithoutAProvider) {
  config.oidc_issuer.clear();
  EXPECT_EQ(ask(token("acme")), "unauthenticated");
}

}  // namespace
}  // namespace sluice::http::testing
