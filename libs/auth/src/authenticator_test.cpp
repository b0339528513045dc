#include <sluice/auth/authenticator.h>

#include "failure_limiter.h"
#include "fakes.h"

#include <format>
#include <string>

#include <sluice/crypto/testing/test_signer.h>
#include <sluice/testing/sim_clock.h>
#include <sluice/testing/sim_random.h>

#include <gtest/gtest.h>

namespace sluice::auth {
namespace {

using crypto::testing::TestSigner;
using sluice::testing::SimClock;
using sluice::testing::SimRandom;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr std::string_view kPeer = "192.0.2.1:4711";

/// "ok", or the code and reason of the refusal.
std::string verdict(const Result<Principal>& outcome) {
  return outcome
             ? "ok"
             : std::format("{}: {}", to_string(outcome.error().code()), outcome.error().reason());
}

const TestSigner& provider() {
  static const TestSigner signer = TestSigner::ed25519();
  return signer;
}

class AuthenticatorTest : public ::testing::Test {
 protected:
  AuthenticatorTest() { fetcher_.answer = std::format(R"({{"keys":[{}]}})", provider().jwk("k")); }

  /// A new key in the store; gives its text.
  std::string add_key(ApiKeyRecord record = {
                          .tenant = TenantId("acme"), .role = Role::kOperator, .name = "ci"}) {
    const auto token = crypto::Token::mint(random_);
    record.id = token.id;
    record.hash = crypto::SaltedHash::of(token.secret.reveal(), random_);
    last_id_ = token.id;
    store_.records[token.id] = std::move(record);
    return token.text(crypto::kApiKeyPrefix).reveal();
  }

  std::string token(std::string_view claims) {
    const auto expires =
        std::chrono::duration_cast<seconds>((clock_.wall() + minutes(10)).time_since_epoch())
            .count();
    return provider().sign_with_kid(
        "k",
        std::format(R"({{"iss":"https://id.example","aud":"sluice","sub":"alice","exp":{}{}}})",
                    expires, claims));
  }

  std::string check(const std::string& credential, std::string_view peer = kPeer) {
    return verdict(authenticator_.authenticate(credential, peer));
  }

  Config config_ = test_config();
  SimClock clock_;
  SimRandom random_{11};
  Registry registry_;
  FakeApiKeyStore store_;
  FakeTenantDirectory tenants_;
  FakeFetcher fetcher_;
  JwksCache jwks_{config_, clock_, fetcher_, registry_};
  OperatorAuthenticator authenticator_{config_, clock_, store_, tenants_, &jwks_, registry_};
  std::string last_id_;
};

TEST_F(AuthenticatorTest, KnowsAnApiKey) {
  const std::string key = add_key();
  const auto principal = authenticator_.authenticate(key, kPeer);
  ASSERT_TRUE(principal);
  EXPECT_EQ(*principal, (Principal{TenantId("acme"), "ci", Role::kOperator, last_id_}));
}

TEST_F(AuthenticatorTest, RefusesApiKeysThatProveNothing) {
  const std::string key = add_key();
  std::string wrong_secret = key;
  wrong_secret[20] = wrong_secret[20] == 'a' ? 'b' : 'a';
  EXPECT_EQ(check(wrong_secret), "unauthenticated: api_key_unknown");
  EXPECT_EQ(check(crypto::Token::mint(random_).text("slk").reveal()),
            "unauthenticated: api_key_unknown");
  EXPECT_EQ(check(key + "x"), "unauthenticated: token_malformed");
  EXPECT_EQ(check("slk_"), "unauthenticated: token_malformed");
}

TEST_F(AuthenticatorTest, RefusesARecordOfAnotherKey) {
  const std::string key = add_key();
  store_.records[last_id_].id =
      "otherother12";  // a store that compares without regard to case, say
  EXPECT_EQ(check(key), "unauthenticated: api_key_unknown");
}

TEST_F(AuthenticatorTest, RefusesRevokedAndExpiredKeys) {
  const ApiKeyRecord good{.tenant = TenantId("acme"), .role = Role::kViewer, .name = "ci"};
  ApiKeyRecord revoked = good;
  revoked.is_revoked = true;
  EXPECT_EQ(check(add_key(revoked)), "unauthenticated: api_key_revoked");
  ApiKeyRecord expiring = good;
  expiring.expires = clock_.wall() + seconds(5);
  const std::string key = add_key(expiring);
  clock_.advance(seconds(4));
  EXPECT_EQ(check(key), "ok");
  clock_.advance(seconds(1));
  EXPECT_EQ(check(key), "unauthenticated: api_key_expired");  // although it is still remembered
}

TEST_F(AuthenticatorTest, RefusesWhenTheStoreIsDown) {
  const std::string key = add_key();
  store_.is_down = true;
  EXPECT_EQ(check(key), "unavailable: api_keys_unavailable");
}

TEST_F(AuthenticatorTest, RemembersAKeyForAWhileAndNoLonger) {
  const std::string key = add_key();
  for (int i = 0; i < 10; ++i) EXPECT_EQ(check(key), "ok");
  EXPECT_EQ(store_.calls, 1);
  store_.records[last_id_].is_revoked = true;
  clock_.advance(seconds(30) - std::chrono::nanoseconds(1));
  EXPECT_EQ(check(key), "ok");
  clock_.advance(std::chrono::nanoseconds(1));
  EXPECT_EQ(check(key), "unauthenticated: api_key_revoked");
  store_.is_down = true;
  clock_.advance(minutes(1));
  EXPECT_EQ(check(key), "unavailable: api_keys_unavailable");
}

TEST_F(AuthenticatorTest, ForgetsAnInvalidatedKeyAtOnce) {
  const std::string key = add_key();
  ASSERT_EQ(check(key), "ok");
  store_.records[last_id_].is_revoked = true;
  authenticator_.invalidate(last_id_);
  EXPECT_EQ(check(key), "unauthenticated: api_key_revoked");
}

TEST_F(AuthenticatorTest, NeverRemembersAnAnswerFromBeforeAnInvalidation) {
  const std::string key = add_key();
  store_.after_read = [this] {
    store_.records[last_id_].is_revoked = true;
    authenticator_.invalidate(last_id_);
  };
  EXPECT_EQ(check(key), "ok");  // it was good when the store was asked
  store_.after_read = nullptr;
  EXPECT_EQ(check(key), "unauthenticated: api_key_revoked");
}

TEST_F(AuthenticatorTest, LetsUnknownKeysPushNoRealOnesOut) {
  config_.api_key_cache_entries = 2;
  OperatorAuthenticator small(config_, clock_, store_, tenants_, nullptr, registry_);
  const std::string key = add_key();
  ASSERT_TRUE(small.authenticate(key, kPeer));
  for (int i = 0; i < 10; ++i) {
    EXPECT_FALSE(
        small.authenticate(crypto::Token::mint(random_).text("slk").reveal(), "192.0.2.9"));
  }
  const int before = store_.calls;
  EXPECT_TRUE(small.authenticate(key, kPeer));
  EXPECT_EQ(store_.calls, before);
}

TEST_F(AuthenticatorTest, KnowsAToken) {
  const auto principal = authenticator_.authenticate(
      token(R"(,"tenant":"acme","roles":["other","operator","viewer"])"), kPeer);
  ASSERT_TRUE(principal);
  EXPECT_EQ(*principal, (Principal{TenantId("acme"), "alice", Role::kOperator, "oidc"}));
}

TEST_F(AuthenticatorTest, ReadsClaimsWhereTheSettingsSay) {
  config_.oidc_tenant_claim = "org.id";
  config_.oidc_role_claim = "scope";
  config_.oidc_admin_role = "sluice:admin";
  OperatorAuthenticator other(config_, clock_, store_, tenants_, &jwks_, registry_);
  const auto principal =
      other.authenticate(token(R"(,"org":{"id":"acme"},"scope":"openid sluice:admin")"), kPeer);
  ASSERT_TRUE(principal);
  EXPECT_EQ(principal->role, Role::kAdmin);
}

TEST_F(AuthenticatorTest, RefusesGenuineTokensWithoutTenantOrRole) {
  EXPECT_EQ(check(token(R"(,"roles":["admin"])")), "permission_denied: no_tenant");
  EXPECT_EQ(check(token(R"(,"tenant":["acme"],"roles":["admin"])")),
            "permission_denied: no_tenant");
  EXPECT_EQ(check(token(R"(,"tenant":"","roles":["admin"])")), "permission_denied: no_tenant");
  EXPECT_EQ(check(token(R"(,"tenant":"a/b","roles":["admin"])")), "permission_denied: no_tenant");
  EXPECT_EQ(check(token(R"(,"tenant":"acme")")), "permission_denied: no_role");
  EXPECT_EQ(check(token(R"(,"tenant":"acme","roles":["Admin","administrator"])")),
            "permission_denied: no_role");
  EXPECT_EQ(check(token(R"(,"tenant":"acme","roles":{"admin":true})")),
            "permission_denied: no_role");
}

TEST_F(AuthenticatorTest, LetsOnlyAdminsBeThePlatform) {
  EXPECT_EQ(check(token(R"(,"tenant":"platform","roles":["operator"])")),
            "permission_denied: no_role");
  const auto admin =
      authenticator_.authenticate(token(R"(,"tenant":"platform","roles":["admin"])"), kPeer);
  ASSERT_TRUE(admin);
  EXPECT_TRUE(admin->is_platform());
  EXPECT_EQ(check(add_key({.tenant = TenantId("platform"), .role = Role::kOperator, .name = "ci"})),
            "permission_denied: no_role");
}

TEST_F(AuthenticatorTest, RefusesTokensThatProveNothing) {
  const auto stranger = TestSigner::ed25519();
  EXPECT_EQ(check(stranger.sign_with_kid("k", "{}")), "unauthenticated: jwt_signature");
  EXPECT_EQ(check(provider().sign_with_kid("unknown", "{}")), "unauthenticated: jwt_unknown_key");
  EXPECT_EQ(check(provider().sign_with_kid("k", R"({"iss":"https://evil.example"})")),
            "unauthenticated: jwt_issuer");
  const std::string good = token(R"(,"tenant":"acme","roles":["admin"])");
  clock_.advance(minutes(11));
  EXPECT_EQ(check(good), "unauthenticated: jwt_expired");
  for (const char* credential : {"", "x", "a.b.c", "Bearer x", "slk"}) {
    EXPECT_EQ(check(credential), "unauthenticated: jwt_malformed") << credential;
  }
}

TEST_F(AuthenticatorTest, FetchesNothingForWhatIsNoToken) {
  EXPECT_EQ(check("junk"), "unauthenticated: jwt_malformed");
  EXPECT_EQ(check(provider().sign(R"({"alg":"EdDSA"})", "{}")), "unauthenticated: jwt_malformed");
  EXPECT_EQ(fetcher_.calls, 0);
}

TEST_F(AuthenticatorTest, RefusesTokensWhenTheProviderCannotBeAsked) {
  fetcher_.answer = fail(ErrorCode::kUnavailable, "down");
  EXPECT_EQ(check(token(R"(,"tenant":"acme","roles":["admin"])")), "unavailable: jwks_unavailable");
}

TEST_F(AuthenticatorTest, RefusesAllTokensWithoutAProvider) {
  OperatorAuthenticator keys_only(config_, clock_, store_, tenants_, nullptr, registry_);
  EXPECT_EQ(verdict(keys_only.authenticate(token(R"(,"tenant":"acme","roles":["admin"])"), kPeer)),
            "unauthenticated: credential_unknown");
}

TEST_F(AuthenticatorTest, KeepsOffPeersThatFailTooOften) {
  const std::string good = add_key();
  for (int i = 0; i < 20; ++i) EXPECT_EQ(check("junk"), "unauthenticated: jwt_malformed");
  EXPECT_EQ(check("junk"), "resource_exhausted: too_many_failures");
  EXPECT_EQ(check(good), "resource_exhausted: too_many_failures");
  EXPECT_EQ(store_.calls, 0);
  clock_.advance(seconds(6));
  EXPECT_EQ(check(good), "ok");
}

TEST_F(AuthenticatorTest, LetsWhatItRemembersPassBesideAGuesser) {
  const std::string key = add_key();
  const std::string genuine = token(R"(,"tenant":"acme","roles":["viewer"])");
  ASSERT_EQ(check(key), "ok");
  ASSERT_EQ(check(genuine), "ok");
  for (int i = 0; i < 20; ++i) EXPECT_EQ(check("junk"), "unauthenticated: jwt_malformed");
  const int asked = store_.calls;
  const int fetched = fetcher_.calls;
  EXPECT_EQ(check(key), "ok");
  EXPECT_EQ(check(genuine), "ok");
  // Whatever else is presented is refused without asking anybody.
  clock_.advance(seconds(1));
  std::string wrong_secret = key;
  wrong_secret[20] = wrong_secret[20] == 'a' ? 'b' : 'a';
  EXPECT_EQ(check(wrong_secret), "resource_exhausted: too_many_failures");
  EXPECT_EQ(check(add_key()), "resource_exhausted: too_many_failures");
  EXPECT_EQ(check(provider().sign_with_kid("other", "{}")),
            "resource_exhausted: too_many_failures");
  EXPECT_EQ(store_.calls, asked);
  EXPECT_EQ(fetcher_.calls, fetched);
}

TEST_F(AuthenticatorTest, RefusesTokensOfASuspendedTenantWhateverTheRole) {
  for (const char* role : {"viewer", "operator", "admin"}) {
    const std::string genuine = token(std::format(R"(,"tenant":"acme","roles":["{}"])", role));
    tenants_.active.insert("acme");
    EXPECT_EQ(check(genuine), "ok") << role;
    tenants_.active.erase("acme");
    clock_.advance(seconds(30));
    EXPECT_EQ(check(genuine), "permission_denied: tenant_inactive") << role;
    clock_.advance(seconds(30));
  }
  EXPECT_EQ(check(token(R"(,"tenant":"nowhere","roles":["admin"])")),
            "permission_denied: tenant_inactive");
}

TEST_F(AuthenticatorTest, RemembersTenantsForAWhileAndNoLonger) {
  const std::string genuine = token(R"(,"tenant":"acme","roles":["viewer"])");
  for (int i = 0; i < 10; ++i) EXPECT_EQ(check(genuine), "ok");
  EXPECT_EQ(tenants_.calls, 1);
  tenants_.is_down = true;
  clock_.advance(seconds(30) - std::chrono::nanoseconds(1));
  EXPECT_EQ(check(genuine), "ok");
  clock_.advance(std::chrono::nanoseconds(1));
  EXPECT_EQ(check(genuine), "unavailable: tenants_unavailable");
}

TEST_F(AuthenticatorTest, CountsNoFailureAgainstPeersThatAreNotAtFault) {
  store_.is_down = true;
  const std::string key = add_key();
  for (int i = 0; i < 50; ++i) EXPECT_EQ(check(key), "unavailable: api_keys_unavailable");
  for (int i = 0; i < 50; ++i) EXPECT_EQ(check(token("")), "permission_denied: no_tenant");
}

TEST(FailureLimiter, CountsAnAddressWhateverItsPort) {
  const auto key = FailureLimiter::key_of;
  EXPECT_EQ(key("192.0.2.1:1"), key("192.0.2.1"));
  EXPECT_NE(key("192.0.2.1"), key("192.0.2.2"));
  EXPECT_EQ(key("[2001:db8::1]:1"), key("2001:db8::ffff:1"));  // one /64
  EXPECT_NE(key("2001:db8::1"), key("2001:db8:0:1::1"));
  EXPECT_EQ(key("[::ffff:192.0.2.1]:9"), key("192.0.2.1"));
  EXPECT_EQ(key("host:1"), key("host:2"));
  EXPECT_LE(key(std::string(10'000, 'x')).size(), 64U);
  for (const char* odd : {"", ":", "[", "[]", "]:", "[::1"}) key(odd);
}

TEST(FailureLimiter, ForgivesOneFailureAtATime) {
  SimClock clock;
  FailureLimiter limiter({.burst = 2, .refill = seconds(10), .peers = 10}, clock);
  limiter.on_failure("a");
  EXPECT_FALSE(limiter.is_blocked("a"));
  limiter.on_failure("a");
  EXPECT_TRUE(limiter.is_blocked("a"));
  clock.advance(seconds(10));
  EXPECT_FALSE(limiter.is_blocked("a"));
  limiter.on_failure("a");
  EXPECT_TRUE(limiter.is_blocked("a"));
}

TEST(FailureLimiter, RemembersABoundedNumberOfPeers) {
  SimClock clock;
  FailureLimiter limiter({.burst = 1, .refill = seconds(10), .peers = 2}, clock);
  for (const char* peer : {"a", "b", "c"}) limiter.on_failure(peer);
  EXPECT_FALSE(limiter.is_blocked("a"));
  EXPECT_TRUE(limiter.is_blocked("b"));
  EXPECT_TRUE(limiter.is_blocked("c"));
}

TEST(Principal, IsToldApartByItsCredentialAndNotByItsName) {
  const auto principal = [](std::string subject, std::string credential) {
    return Principal{.tenant = TenantId("acme"),
                     .subject = std::move(subject),
                     .credential_id = std::move(credential)};
  };
  EXPECT_EQ(principal("ci", "a").identity(), principal("renamed", "a").identity());
  EXPECT_NE(principal("ci", "a").identity(), principal("ci", "b").identity());
  EXPECT_NE(principal("ci", "a").identity(), principal("ci", "oidc").identity());
  EXPECT_NE(principal("ci", "oidc").identity(), principal("other", "oidc").identity());
  EXPECT_NE(principal("a", "oidc").identity(), principal("x", "a").identity());
}

TEST(Role, HasASpellingThatIsReadBack) {
  for (const Role role : {Role::kViewer, Role::kOperator, Role::kAdmin})
    EXPECT_EQ(parse_role(to_string(role)), role);
  for (const char* text : {"", "Admin", "admin ", "root"})
    EXPECT_EQ(parse_role(text), std::nullopt) << text;
}

TEST(Role, IncludesTheOnesBefore) {
  const Principal person{.tenant = TenantId("platform"),
                         .subject = "a",
                         .role = Role::kOperator,
                         .credential_id = "oidc"};
  EXPECT_TRUE(person.has(Role::kViewer));
  EXPECT_TRUE(person.has(Role::kOperator));
  EXPECT_FALSE(person.has(Role::kAdmin));
  EXPECT_FALSE(person.is_platform());
}

TEST(AuthConfig, RefusesHalfAProvider) {
  const auto is_refused = [](const std::string& yaml) {
    Config config;
    Settings settings;
    config.declare(settings);
    return !settings.load(yaml, {});
  };
  const std::string names = "oidc_issuer: https://i\noidc_audience: a\n";
  EXPECT_FALSE(is_refused(""));
  EXPECT_TRUE(is_refused(names));
  EXPECT_FALSE(is_refused(names + "oidc_jwks_url: https://i/keys\n"));
  EXPECT_FALSE(is_refused(names + "oidc_jwks_url: http://127.0.0.1:80/keys\n"));
  EXPECT_TRUE(is_refused(names + "oidc_jwks_url: http://i/keys\n"));
  EXPECT_TRUE(is_refused(names + "oidc_jwks_url: http://127.0.0.1.evil.example/keys\n"));
  EXPECT_TRUE(is_refused("oidc_jwks_refresh: 5s\n"));
  EXPECT_TRUE(is_refused("oidc_jwks_max_age: 1m\n"));
}

}  // namespace
}  // namespace sluice::auth
