#include <sluice/auth/config.h>

#include <string_view>
#include <vector>

namespace sluice::auth {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

bool is_safe_url(std::string_view url) {
  if (url.starts_with("https://")) return true;
  // Keys fetched in plaintext could be anybody's; on this machine nobody is in between.
  for (const std::string_view host : {"http://127.0.0.1", "http://localhost", "http://[::1]"}) {
    if (!url.starts_with(host)) continue;
    const std::string_view rest = url.substr(host.size());
    if (rest.empty() || rest.front() == ':' || rest.front() == '/') return true;
  }
  return false;
}

std::vector<FieldFault> faults_of(const Config& config) {
  std::vector<FieldFault> faults;
  const bool has_all =
      !config.oidc_issuer.empty() && !config.oidc_audience.empty() && !config.oidc_jwks_url.empty();
  const bool has_none =
      config.oidc_issuer.empty() && config.oidc_audience.empty() && config.oidc_jwks_url.empty();
  if (!has_all && !has_none) {
    faults.push_back({"oidc_issuer",
                      "oidc_issuer, oidc_audience and oidc_jwks_url go together: set all or none"});
  }
  if (!config.oidc_jwks_url.empty() && !is_safe_url(config.oidc_jwks_url)) {
    faults.push_back({"oidc_jwks_url", "must be https://, or http:// to loopback"});
  }
  if (config.oidc_jwks_refresh < config.oidc_jwks_min_interval) {
    faults.push_back({"oidc_jwks_refresh", "must not be shorter than oidc_jwks_min_interval"});
  }
  if (config.oidc_jwks_max_age < config.oidc_jwks_refresh) {
    faults.push_back({"oidc_jwks_max_age", "must not be shorter than oidc_jwks_refresh"});
  }
  return faults;
}

}  // namespace

void Config::declare(Settings& settings) {
  settings.text("oidc_issuer", &oidc_issuer, "", {},
                "The identity provider as its tokens name it (iss), exactly.");
  settings.text("oidc_audience", &oidc_audience, "", {},
                "This platform as tokens name it (aud), exactly.");
  settings.text("oidc_jwks_url", &oidc_jwks_url, "", {}, "Where the provider publishes its keys.");
  settings.text("oidc_tenant_claim", &oidc_tenant_claim, "tenant", {.required = true},
                "Claim with the operator's tenant; dots lead into objects.");
  settings.text(
      "oidc_role_claim", &oidc_role_claim, "roles", {.required = true},
      "Claim with the operator's roles: a list, or words in one text; dots lead into objects.");
  settings.text("oidc_viewer_role", &oidc_viewer_role, "viewer", {.required = true},
                "The provider's name for the role viewer.");
  settings.text("oidc_operator_role", &oidc_operator_role, "operator", {.required = true},
                "The provider's name for the role operator.");
  settings.text("oidc_admin_role", &oidc_admin_role, "admin", {.required = true},
                "The provider's name for the role admin.");
  settings.duration("oidc_clock_leeway", &oidc_clock_leeway, seconds(30),
                    {.min = seconds(0), .max = minutes(5)},
                    "Difference of clocks that a token's times are forgiven.");
  settings.duration("oidc_jwks_refresh", &oidc_jwks_refresh, minutes(5),
                    {.min = seconds(1), .max = hours(24)},
                    "How often the provider's keys are fetched again.");
  settings.duration("oidc_jwks_min_interval", &oidc_jwks_min_interval, seconds(10),
                    {.min = milliseconds(100), .max = hours(1)},
                    "Shortest time between two fetches, whatever keys tokens ask for.");
  settings.duration(
      "oidc_jwks_max_age", &oidc_jwks_max_age, hours(24), {.min = seconds(1), .max = hours(24 * 7)},
      "How long the last good keys serve while the provider is down; then tokens are refused.");
  settings.duration("oidc_jwks_timeout", &oidc_jwks_timeout, seconds(5),
                    {.min = milliseconds(100), .max = minutes(1)},
                    "Longest time one fetch may take.");
  settings.duration("api_key_cache_ttl", &api_key_cache_ttl, seconds(30),
                    {.min = seconds(0), .max = minutes(10)},
                    "How long an API key, or that a tenant is active, is remembered: a revocation "
                    "or suspension elsewhere takes effect after at most this time.");
  settings.integer(
      "api_key_cache_entries", &api_key_cache_entries, 10'000, {.min = 1, .max = 1'000'000},
      "API keys remembered, and as many tenants; the one not used for longest goes first.");
  settings.integer("auth_failure_burst", &auth_failure_burst, 20, {.min = 1, .max = 10'000},
                   "Failed logins of one network address before it is refused for a while, except "
                   "for credentials that are remembered.");
  settings.duration("auth_failure_refill", &auth_failure_refill, seconds(6),
                    {.min = milliseconds(1), .max = hours(1)},
                    "After this time one failure of an address is forgiven.");
  settings.integer("auth_failure_peers", &auth_failure_peers, 10'000, {.min = 1, .max = 1'000'000},
                   "Addresses with failures remembered; the one quiet for longest goes first.");
  settings.rule([this] { return faults_of(*this); });
}

}  // namespace sluice::auth
