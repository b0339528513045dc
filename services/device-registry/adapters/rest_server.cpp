#include "adapters/rest_server.h"

#include "adapters/postgres_answer_store.h"
#include "adapters/postgres_api_key_store.h"
#include "adapters/rest_audit.h"
#include "adapters/rest_sign_in.h"

#include <optional>

#include <sluice/auth/authenticator.h>
#include <sluice/auth/jwks_cache.h>
#include <sluice/http/server.h>
#include <sluice/service/periodic_task.h>

namespace sluice::registry {

struct RestServer::Impl {
  Impl(const http::Config& http, const auth::Config& auth, const RestParts& parts,
       const Ports& ports, const Clock& clock, Random& random, const Logger& log,
       Registry& registry)
      : keys(ports.store), answers(ports.pool, ports.vault), audit(ports.audit, clock, random) {
    if (auth.has_oidc()) {
      jwks.emplace(auth, clock, fetcher, registry);
      using namespace std::chrono_literals;
      refresh.emplace(service::PeriodicTask::Options{.name = "jwks_refresh", .interval = 1s}, clock,
                      random, log, registry,
                      [this](std::stop_token) { return jwks->refresh_if_due(); });
    }
    operators.emplace(auth, clock, keys, jwks ? &*jwks : nullptr, registry);
    sign_in.emplace(*operators);
    server.emplace(
        http,
        make_router(parts, [this](std::string_view key_id) { operators->invalidate(key_id); }),
        clock, random, log, registry,
        http::Ports{.authenticator = &*sign_in, .audit = &audit, .idempotency = &answers});
  }

  StoreApiKeyStore keys;
  HttpUrlFetcher fetcher;
  std::optional<auth::JwksCache> jwks;
  std::optional<service::PeriodicTask> refresh;
  std::optional<auth::OperatorAuthenticator> operators;
  std::optional<RestSignIn> sign_in;
  PostgresAnswerStore answers;
  RestAudit audit;
  std::optional<http::Server> server;  // last: it calls all the others
};

RestServer::RestServer(const http::Config& http, const auth::Config& auth, const RestParts& parts,
                       const Ports& ports, const Clock& clock, Random& random, const Logger& log,
                       Registry& registry)
    : impl_(std::make_unique<Impl>(http, auth, parts, ports, clock, random, log, registry)) {}

RestServer::~RestServer() = default;

Result<std::string> RestServer::start() { return impl_->server->start(); }

void RestServer::begin_drain() { impl_->server->begin_drain(); }

void RestServer::stop() {
  impl_->server->stop();
  if (impl_->refresh) impl_->refresh->stop();
}

}  // namespace sluice::registry
