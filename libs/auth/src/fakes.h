#pragma once

// Hand-written fakes of this library's ports, for its tests.

#include <atomic>
#include <functional>
#include <map>
#include <set>
#include <string>

#include <sluice/auth/api_key_store.h>
#include <sluice/auth/config.h>
#include <sluice/auth/tenant_directory.h>
#include <sluice/auth/url_fetcher.h>

namespace sluice::auth {

/// The defaults of the settings, with OpenID Connect switched on.
inline Config test_config() {
  // The rule that declare() leaves in the settings refers to the config: both end together here.
  Config config;
  Settings settings;
  config.declare(settings);
  const bool is_loaded = settings
                             .load(
                                 "oidc_issuer: https://id.example\n"
                                 "oidc_audience: sluice\n"
                                 "oidc_jwks_url: https://id.example/keys\n",
                                 {})
                             .has_value();
  return is_loaded ? config : Config();
}

class FakeFetcher final : public UrlFetcher {
 public:
  Result<std::string> get(const std::string& url, const Limits& limits) override {
    ++calls;
    last_url = url;
    last_limits = limits;
    if (on_call) on_call();
    return answer;
  }

  Result<std::string> answer = std::string();
  std::function<void()> on_call;
  std::atomic<int> calls = 0;
  std::string last_url;
  Limits last_limits;
};

class FakeApiKeyStore final : public ApiKeyStore {
 public:
  Result<std::optional<ApiKeyRecord>> find(std::string_view id) override {
    ++calls;
    if (is_down) return fail(ErrorCode::kUnavailable, "connection refused");
    const auto record = records.find(std::string(id));
    // As a store may answer that reads a row, and is changed before the answer arrives.
    std::optional<ApiKeyRecord> answer;
    if (record != records.end()) answer = record->second;
    if (after_read) after_read();
    return answer;
  }

  std::map<std::string, ApiKeyRecord> records;
  std::function<void()> after_read;
  bool is_down = false;
  std::atomic<int> calls = 0;
};

class FakeTenantDirectory final : public TenantDirectory {
 public:
  Result<bool> is_active(const TenantId& tenant) override {
    ++calls;
    if (is_down) return fail(ErrorCode::kUnavailable, "connection refused");
    return active.contains(tenant.value());
  }

  std::set<std::string, std::less<>> active{"acme", std::string(kPlatformTenant)};
  bool is_down = false;
  std::atomic<int> calls = 0;
};

}  // namespace sluice::auth
