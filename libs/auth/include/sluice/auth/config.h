#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include <sluice/config/settings.h>

namespace sluice::auth {

/// How operators prove who they are. API keys always work; OpenID Connect does when its issuer,
/// audience and key set are given, all three or none.
struct Config {
  std::string oidc_issuer;
  std::string oidc_audience;
  std::string oidc_jwks_url;
  std::string oidc_tenant_claim;
  std::string oidc_role_claim;
  std::string oidc_viewer_role;
  std::string oidc_operator_role;
  std::string oidc_admin_role;
  std::chrono::milliseconds oidc_clock_leeway{0};
  std::chrono::milliseconds oidc_jwks_refresh{0};
  std::chrono::milliseconds oidc_jwks_min_interval{0};
  std::chrono::milliseconds oidc_jwks_max_age{0};
  std::chrono::milliseconds oidc_jwks_timeout{0};
  std::chrono::milliseconds api_key_cache_ttl{0};
  std::int64_t api_key_cache_entries = 0;
  std::int64_t auth_failure_burst = 0;
  std::chrono::milliseconds auth_failure_refill{0};
  std::int64_t auth_failure_peers = 0;

  void declare(Settings& settings);
  bool has_oidc() const { return !oidc_issuer.empty(); }
};

}  // namespace sluice::auth
