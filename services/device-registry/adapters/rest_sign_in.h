#pragma once

#include <sluice/auth/authenticator.h>
#include <sluice/auth/url_fetcher.h>
#include <sluice/http/authenticator.h>
#include <sluice/http/client.h>

namespace sluice::registry {

/// Operators' bearer credentials, as HTTP carries them. Thread-safe.
class RestSignIn final : public http::Authenticator {
 public:
  explicit RestSignIn(auth::OperatorAuthenticator& operators) : operators_(operators) {}
  Result<auth::Principal> authenticate(const http::Request& request) override;

 private:
  auth::OperatorAuthenticator& operators_;
};

/// Fetches the identity provider's keys. Thread-safe.
class HttpUrlFetcher final : public auth::UrlFetcher {
 public:
  Result<std::string> get(const std::string& url, const Limits& limits) override;
};

}  // namespace sluice::registry
