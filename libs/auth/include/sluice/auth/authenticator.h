#pragma once

#include <memory>
#include <string_view>

#include <sluice/auth/api_key_store.h>
#include <sluice/auth/config.h>
#include <sluice/auth/jwks_cache.h>
#include <sluice/auth/principal.h>
#include <sluice/auth/tenant_directory.h>
#include <sluice/base/clock.h>
#include <sluice/base/result.h>
#include <sluice/metrics/metrics.h>

namespace sluice::auth {

/// Turns an operator's bearer credential into a Principal: an API key (slk_…) through its store, or
/// a JSON Web Token of the configured identity provider. Closed by default: whatever cannot be
/// proven, because it is wrong, incomplete or because a store is down, is refused. Thread-safe;
/// blocks as long as the store or the key fetch does.
class OperatorAuthenticator {
 public:
  /// `jwks` may be null: then there are API keys only. What is passed must outlive the
  /// authenticator.
  OperatorAuthenticator(const Config& config, const Clock& clock, ApiKeyStore& store,
                        TenantDirectory& tenants, JwksCache* jwks, Registry& registry);
  ~OperatorAuthenticator();

  /// `credential` is what follows "Bearer "; `peer` is the caller's network address, with or
  /// without port. Errors, each with a stable reason:
  ///   kUnauthenticated    the credential proves nothing; answer 401 without detail
  ///   kPermissionDenied   it is genuine but names no role, or no tenant that is active; answer 403
  ///   kResourceExhausted  too many failures from this peer ("too_many_failures"); answer 429. What
  ///                       can be proven out of memory alone passes still: guesses ask no store,
  ///                       and whoever shares an address with the guesser goes on working
  ///   kUnavailable        the store or the provider cannot be asked; answer 503
  Result<Principal> authenticate(std::string_view credential, std::string_view peer);

  /// Forgets a cached API key, after it was changed or revoked: at once here, elsewhere when the
  /// cache's time is up.
  void invalidate(std::string_view api_key_id);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::auth
