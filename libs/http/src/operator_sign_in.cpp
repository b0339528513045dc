#include <sluice/http/operator_sign_in.h>

#include <condition_variable>
#include <format>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>

#include <sluice/auth/authenticator.h>
#include <sluice/auth/jwks_cache.h>
#include <sluice/auth/url_fetcher.h>
#include <sluice/http/client.h>
#include <sluice/http/request.h>

namespace sluice::http {
namespace {

/// How often the keys' age is looked at; when they are fetched is the cache's to decide.
constexpr std::chrono::seconds kLookInterval{1};

class HttpUrlFetcher final : public auth::UrlFetcher {
 public:
  Result<std::string> get(const std::string& url, const Limits& limits) override {
    ClientConfig config;
    config.timeout = limits.timeout;
    config.max_response = Bytes{limits.max_bytes};
    const Client client(config);
    SLUICE_TRY_ASSIGN(ClientResponse response, client.get(url));
    if (response.status != 200) {
      return fail(ErrorCode::kUnavailable, std::format("{} answered {}", url, response.status));
    }
    return std::move(response.body);
  }
};

}  // namespace

struct OperatorSignIn::Impl {
  Impl(const auth::Config& config, const SignInPorts& ports, const Clock& clock,
       const Logger& given_log, Registry& registry)
      : log(given_log) {
    if (config.has_oidc()) jwks.emplace(config, clock, fetcher, registry);
    operators.emplace(config, clock, ports.api_keys, ports.tenants, jwks ? &*jwks : nullptr,
                      registry);
    if (jwks) refresher = std::jthread([this](std::stop_token stop) { keep_fresh(stop); });
  }

  void keep_fresh(std::stop_token stop) {
    std::mutex mutex;
    std::condition_variable_any never_told;
    std::unique_lock lock(mutex);
    while (!stop.stop_requested()) {
      if (const auto done = jwks->refresh_if_due(); !done) {
        log.warning("jwks_refresh_failed", done.error(), {});
      }
      never_told.wait_for(lock, stop, kLookInterval, [] { return false; });
    }
  }

  const Logger log;
  HttpUrlFetcher fetcher;
  std::optional<auth::JwksCache> jwks;
  std::optional<auth::OperatorAuthenticator> operators;
  std::jthread refresher;  // last: it uses all the others
};

OperatorSignIn::OperatorSignIn(const auth::Config& config, const SignInPorts& ports,
                               const Clock& clock, const Logger& log, Registry& registry)
    : impl_(std::make_unique<Impl>(config, ports, clock, log, registry)) {}

OperatorSignIn::~OperatorSignIn() = default;

Result<auth::Principal> OperatorSignIn::authenticate(const Request& request) {
  SLUICE_TRY_ASSIGN(const std::string_view credential, bearer_credential(request));
  return impl_->operators->authenticate(credential, request.peer.ip);
}

void OperatorSignIn::forget_key(std::string_view key_id) { impl_->operators->invalidate(key_id); }

}  // namespace sluice::http
