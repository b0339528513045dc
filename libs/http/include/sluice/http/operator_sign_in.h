#pragma once

#include <memory>
#include <string_view>

#include <sluice/auth/api_key_store.h>
#include <sluice/auth/config.h>
#include <sluice/auth/tenant_directory.h>
#include <sluice/base/clock.h>
#include <sluice/http/authenticator.h>
#include <sluice/log/logger.h>
#include <sluice/metrics/metrics.h>

namespace sluice::http {

/// Where operators' API keys and the state of tenants come from: a service's own store, or the
/// service that has one.
struct SignInPorts {
  auth::ApiKeyStore& api_keys;
  auth::TenantDirectory& tenants;
};

/// How operators sign in to a REST interface, the same everywhere: API keys, and tokens of the
/// identity provider where one is configured. Give it to http::Ports.
///
/// Owns the cache of the provider's keys, and the thread that keeps them fresh so that requests
/// seldom wait for a fetch. Thread-safe. Everything passed must outlive it, the config too.
class OperatorSignIn final : public Authenticator {
 public:
  OperatorSignIn(const auth::Config& config, const SignInPorts& ports, const Clock& clock,
                 const Logger& log, Registry& registry);
  ~OperatorSignIn() override;  // waits for a fetch under way, which has a deadline
  OperatorSignIn(const OperatorSignIn&) = delete;
  OperatorSignIn& operator=(const OperatorSignIn&) = delete;

  Result<auth::Principal> authenticate(const Request& request) override;

  /// Forgets an API key that opens nothing any more: at once here, elsewhere when its time is up.
  void forget_key(std::string_view key_id);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::http
