#include "adapters/rest_server.h"

#include "adapters/answer_seal.h"
#include "adapters/postgres_api_key_store.h"
#include "adapters/rest_tenant_directory.h"

#include <functional>

#include <sluice/http/operator_sign_in.h>
#include <sluice/http/server.h>

namespace sluice::registry {

struct RestServer::Impl {
  Impl(const http::Config& http, const auth::Config& auth, const RestParts& parts,
       const Ports& ports, const Clock& clock, Random& random, const Logger& log,
       Registry& registry)
      : keys(ports.databases.door_store()),
        tenants(ports.databases.door_store()),
        sign_in(auth, {.api_keys = keys, .tenants = tenants}, clock, log, registry),
        lists(ports.databases.search_store(), ports.vault, clock, random),
        searches(std::bind_front(&Catalog::list, &lists), ports.databases.max_searches(), registry),
        seal(ports.vault),
        answers(ports.databases.pool(), seal),
        server(http,
               make_router({parts.catalog, parts.operations, parts.imports, &searches},
                           [this](std::string_view id) { sign_in.forget_key(id); }),
               clock, random, log, registry,
               {.authenticator = &sign_in, .audit = &ports.audit, .idempotency = &answers}) {}

  StoreApiKeyStore keys;
  StoreTenantDirectory tenants;
  http::OperatorSignIn sign_in;
  Catalog lists;
  Searches searches;
  VaultAnswerSeal seal;
  AnswerStore answers;
  http::Server server;  // last: it calls all the others
};

RestServer::RestServer(const http::Config& http, const auth::Config& auth, const RestParts& parts,
                       const Ports& ports, const Clock& clock, Random& random, const Logger& log,
                       Registry& registry)
    : impl_(std::make_unique<Impl>(http, auth, parts, ports, clock, random, log, registry)) {}

RestServer::~RestServer() = default;

Result<std::string> RestServer::start() { return impl_->server.start(); }

void RestServer::begin_drain() { impl_->server.begin_drain(); }

void RestServer::stop() { impl_->server.stop(); }

}  // namespace sluice::registry
