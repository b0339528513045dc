// Operators' sign-in over the registry's own tables: what a suspension of their tenant does to
// them.
#include "adapters/postgres_api_key_store.h"
#include "adapters/rest_tenant_directory.h"
#include "core/catalog.h"
#include "testing/fake_vault.h"
#include "testing/registry_database.h"
#include "testing/requests.h"

#include <chrono>
#include <format>
#include <string>

#include <sluice/crypto/testing/test_signer.h>
#include <sluice/http/operator_sign_in.h>
#include <sluice/http/request.h>
#include <sluice/http/server.h>
#include <sluice/testing/eventually.h>

#include <gtest/gtest.h>

namespace sluice::registry::testing {
namespace {

class RestSignInTest : public ::testing::Test {
 protected:
  RestSignInTest() {
    http::Router router;
    router.get("/keys", http::Access::open(), [this](const http::Request&) {
      return Result<http::Response>(http::Response::bytes(
          "application/json", std::format(R"({{"keys":[{}]}})", signer.jwk("k"))));
    });
    provider.emplace(http::Config(), std::move(router), opened.clock, opened.random, log,
                     opened.metrics);
    const auto address = provider->start();
    EXPECT_TRUE(address) << address.error().message();
    Settings settings;
    config.declare(settings);
    const auto loaded =
        settings.load(std::format("oidc_issuer: https://id\noidc_audience: sluice\n"
                                  "oidc_jwks_url: http://{}/keys\napi_key_cache_ttl: 0s\n",
                                  *address),
                      {});
    EXPECT_TRUE(loaded);
    EXPECT_TRUE(catalog.create(platform, ResourceKind::kTenant, {{"tenant_id", "blue"}}, {}));
    sign_in.emplace(config, http::SignInPorts{.api_keys = keys, .tenants = tenants}, opened.clock,
                    log, opened.metrics);
    // Until then a token is answered "jwks_unavailable": nobody waits for another's fetch.
    EXPECT_TRUE(sluice::testing::eventually([&] {
      return opened.metrics.scrape().contains("sluice_auth_jwks_fetches_total{outcome=\"ok\"} 1");
    }));
  }

  /// "ok", or why not.
  std::string ask(std::string_view role, std::string_view tenant = "blue") {
    const auto expires = std::chrono::duration_cast<std::chrono::seconds>(
                             (opened.clock.wall() + std::chrono::minutes(5)).time_since_epoch())
                             .count();
    http::Request request;
    request.peer.ip = "192.0.2.1";
    request.headers.add(
        "Authorization",
        "Bearer " + signer.sign_with_kid(
                        "k", std::format(R"({{"iss":"https://id","aud":"sluice","sub":"alice",)"
                                         R"("exp":{},"tenant":"{}","roles":["{}"]}})",
                                         expires, tenant, role)));
    const auto caller = sign_in->authenticate(request);
    return caller ? "ok" : caller.error().reason();
  }

  void set_status(const char* status) {
    EXPECT_TRUE(catalog.update(platform, ResourceKind::kTenant, "blue", {{"status", status}}, {}));
  }

  RegistryDatabase database;
  RegistryPool& opened = database.opened;
  Logger log = opened.log->logger("test", opened.clock);
  PostgresStore store{database.pool()};
  FakeVault vault;
  Catalog catalog{store, vault, opened.clock, opened.random};
  Caller platform = admin_of("platform");
  StoreApiKeyStore keys{store};
  StoreTenantDirectory tenants{store};
  crypto::testing::TestSigner signer = crypto::testing::TestSigner::ed25519();
  std::optional<http::Server> provider;
  auth::Config config;
  std::optional<http::OperatorSignIn> sign_in;
};

TEST_F(RestSignInTest, ASuspendedTenantHasNoOperatorsWhateverTheirRole) {
  for (const char* role : {"viewer", "operator", "admin"}) {
    EXPECT_EQ(ask(role), "ok") << role;
    set_status("suspended");
    EXPECT_EQ(ask(role), "tenant_inactive") << role;
    set_status("active");
  }
}

TEST_F(RestSignInTest, KnowsThePlatformAndNoTenantThatIsNotThere) {
  EXPECT_EQ(ask("admin", "platform"), "ok");
  EXPECT_EQ(ask("admin", "nowhere"), "tenant_inactive");
}

}  // namespace
}  // namespace sluice::registry::testing
