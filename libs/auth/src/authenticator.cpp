#include <sluice/auth/authenticator.h>

#include "api_key_cache.h"
#include "failure_limiter.h"
#include "tenant_cache.h"

#include <algorithm>
#include <format>
#include <string>
#include <utility>

#include <sluice/crypto/jwt.h>
#include <sluice/crypto/token.h>

namespace sluice::auth {
namespace {

constexpr std::string_view kOidc = "oidc";
constexpr std::string_view kApiKey = "api_key";

/// What may be asked to prove a credential.
enum class Ask : std::uint8_t { kEverybody, kMemoryAlone };

std::unexpected<Error> refuse(ErrorCode code, std::string reason, std::string message) {
  return fail(Error(code, std::move(message)).with_reason(std::move(reason)));
}

/// What holds for every principal, however proven.
Result<Principal> check(Principal principal) {
  if (!check_id(principal.tenant.value(), "tenant")) {
    return refuse(ErrorCode::kPermissionDenied, "no_tenant",
                  "the credential names no valid tenant");
  }
  // The platform tenant has admins alone: a lesser role in it is a mistake that must not pass for
  // one of an ordinary tenant by that name.
  if (principal.tenant.value() == kPlatformTenant && principal.role != Role::kAdmin) {
    return refuse(ErrorCode::kPermissionDenied, "no_role",
                  "only admins belong to the platform tenant");
  }
  return principal;
}

}  // namespace

struct OperatorAuthenticator::Impl {
  Impl(const Config& c, const Clock& k, ApiKeyStore& store, TenantDirectory& directory,
       JwksCache* j, Registry& g)
      : config(c),
        clock(k),
        jwks(j),
        registry(g),
        api_keys({.ttl = c.api_key_cache_ttl,
                  .entries = static_cast<std::size_t>(c.api_key_cache_entries)},
                 k, store, g),
        tenants({.ttl = c.api_key_cache_ttl,
                 .entries = static_cast<std::size_t>(c.api_key_cache_entries)},
                k, directory),
        failures({.burst = c.auth_failure_burst,
                  .refill = c.auth_failure_refill,
                  .peers = static_cast<std::size_t>(c.auth_failure_peers)},
                 k) {}

  Result<Principal> by_api_key(std::string_view credential, Ask ask);
  Result<Principal> by_token(std::string_view credential, Ask ask);
  Result<Principal> in_active_tenant(Principal principal);
  std::optional<Role> role_of(const crypto::JwtClaims& claims) const;
  void count(std::string_view method, const Result<Principal>& outcome);

  const Config& config;
  const Clock& clock;
  JwksCache* const jwks;
  Registry& registry;
  ApiKeyCache api_keys;
  TenantCache tenants;
  FailureLimiter failures;
};

Result<Principal> OperatorAuthenticator::Impl::by_api_key(std::string_view credential, Ask ask) {
  SLUICE_TRY_ASSIGN(const auto token, crypto::Token::parse(crypto::kApiKeyPrefix, credential));
  auto record = ask == Ask::kEverybody
                    ? api_keys.find(token)
                    : Result<std::optional<ApiKeyRecord>>(api_keys.find_remembered(token.id));
  if (!record) {
    return refuse(ErrorCode::kUnavailable, "api_keys_unavailable",
                  std::move(record).error().context("look up API key").message());
  }
  // The secret first: the state of a key is for its owner alone.
  if (!*record || (*record)->id != token.id || !(*record)->hash.matches(token.secret.reveal())) {
    return refuse(ErrorCode::kUnauthenticated, "api_key_unknown", "there is no such API key");
  }
  if ((*record)->is_revoked)
    return refuse(ErrorCode::kUnauthenticated, "api_key_revoked", "the API key is revoked");
  if ((*record)->expires && clock.wall() >= *(*record)->expires) {
    return refuse(ErrorCode::kUnauthenticated, "api_key_expired", "the API key has run out");
  }
  return check({.tenant = (*record)->tenant,
                .subject = (*record)->name,
                .role = (*record)->role,
                .credential_id = (*record)->id});
}

Result<Principal> OperatorAuthenticator::Impl::by_token(std::string_view credential, Ask ask) {
  if (jwks == nullptr) {
    return refuse(ErrorCode::kUnauthenticated, "credential_unknown",
                  "neither API key nor another credential we take");
  }
  // Nothing is believed of it yet: it only chooses the key that it will be checked with.
  const auto kid = crypto::unverified_kid(credential);
  if (!kid)
    return refuse(ErrorCode::kUnauthenticated, "jwt_malformed", "not a token that names its key");
  std::shared_ptr<const crypto::JwkSet> keys = jwks->remembered_keys();
  if (ask == Ask::kEverybody) {
    SLUICE_TRY_ASSIGN(keys, jwks->keys_for(*kid));
  } else if (keys == nullptr) {
    return refuse(ErrorCode::kUnavailable, "jwks_unavailable", "there are no keys of the provider");
  }
  const crypto::JwtPolicy policy{
      .issuer = config.oidc_issuer,
      .audience = config.oidc_audience,
      .leeway = std::chrono::duration_cast<std::chrono::seconds>(config.oidc_clock_leeway)};
  SLUICE_TRY_ASSIGN(const auto claims, crypto::verify_jwt(credential, *keys, policy, clock.wall()));
  auto tenant = claims.text(config.oidc_tenant_claim);
  if (!tenant)
    return refuse(ErrorCode::kPermissionDenied, "no_tenant", "the token names no tenant");
  const auto role = role_of(claims);
  if (!role)
    return refuse(ErrorCode::kPermissionDenied, "no_role", "the token names no role of ours");
  SLUICE_TRY_ASSIGN(Principal principal, check({.tenant = TenantId(*std::move(tenant)),
                                                .subject = claims.subject(),
                                                .role = *role,
                                                .credential_id = std::string(kOidcCredential)}));
  return in_active_tenant(std::move(principal));
}

/// For tokens; the store of API keys says it of each key.
Result<Principal> OperatorAuthenticator::Impl::in_active_tenant(Principal principal) {
  const auto is_active = tenants.is_active(principal.tenant);
  if (!is_active) {
    return refuse(ErrorCode::kUnavailable, "tenants_unavailable", is_active.error().message());
  }
  if (!*is_active) {
    return refuse(ErrorCode::kPermissionDenied, "tenant_inactive",
                  "the tenant is suspended or does not exist");
  }
  return principal;
}

/// The highest of the roles that the token names.
std::optional<Role> OperatorAuthenticator::Impl::role_of(const crypto::JwtClaims& claims) const {
  const auto names = claims.texts(config.oidc_role_claim);
  if (std::ranges::contains(names, config.oidc_admin_role)) return Role::kAdmin;
  if (std::ranges::contains(names, config.oidc_operator_role)) return Role::kOperator;
  if (std::ranges::contains(names, config.oidc_viewer_role)) return Role::kViewer;
  return std::nullopt;
}

void OperatorAuthenticator::Impl::count(std::string_view method, const Result<Principal>& outcome) {
  const std::string_view result = outcome ? "ok" : to_string(outcome.error().code());
  registry
      .counter("sluice_auth_attempts_total",
               "Credentials of operators checked, by kind and outcome.",
               {{"method", std::string(method)}, {"outcome", std::string(result)}})
      .add();
}

OperatorAuthenticator::OperatorAuthenticator(const Config& config, const Clock& clock,
                                             ApiKeyStore& store, TenantDirectory& tenants,
                                             JwksCache* jwks, Registry& registry)
    : impl_(std::make_unique<Impl>(config, clock, store, tenants, jwks, registry)) {}

OperatorAuthenticator::~OperatorAuthenticator() = default;

Result<Principal> OperatorAuthenticator::authenticate(std::string_view credential,
                                                      std::string_view peer) {
  const bool is_api_key = credential.starts_with(std::string(crypto::kApiKeyPrefix) + "_");
  const std::string_view method = is_api_key ? kApiKey : kOidc;
  // A lock that refused everybody behind the address would let one guesser lock out all of them.
  const bool is_blocked = impl_->failures.is_blocked(peer);
  const Ask ask = is_blocked ? Ask::kMemoryAlone : Ask::kEverybody;
  auto outcome = is_api_key ? impl_->by_api_key(credential, ask) : impl_->by_token(credential, ask);
  if (!outcome && is_blocked) {
    outcome = refuse(ErrorCode::kResourceExhausted, "too_many_failures",
                     "too many failures from this address");
  } else if (!outcome && outcome.error().code() == ErrorCode::kUnauthenticated) {
    impl_->failures.on_failure(peer);
  }
  impl_->count(method, outcome);
  return outcome;
}

void OperatorAuthenticator::invalidate(std::string_view api_key_id) {
  impl_->api_keys.invalidate(api_key_id);
}

}  // namespace sluice::auth
