#include "adapters/rest_server.h"

#include "adapters/query_source.h"
#include "adapters/rest_api.h"

#include <utility>

#include <sluice/grpc/channel.h>
#include <sluice/http/operator_sign_in.h>
#include <sluice/http/server.h>
#include <sluice/kafka/topics.h>
#include <sluice/registry_client/operator_keys.h>

namespace sluice::tsdb {
namespace {

/// All that may fail to open.
struct Opened {
  std::unique_ptr<rpc::Channel> registry;
  std::unique_ptr<kafka::Consumer> tenants;  // null without an identity provider
};

}  // namespace

struct RestServer::Impl {
  Impl(Opened o, const Settings& settings, Ports ports, const Clock& clock, Random& random,
       const Logger& log, Registry& registry)
      : opened(std::move(o)),
        limits(settings.query.limits()),
        metrics(registry),
        source(ports.pool, static_cast<std::size_t>(settings.query.connections), ports.recent,
               clock, registry),
        keys(*opened.registry, random),
        tenants(opened.tenants
                    ? std::make_unique<registry_client::TenantTable>(
                          std::move(opened.tenants), settings.consumer, clock, log, registry)
                    : nullptr),
        sign_in(settings.auth,
                {.api_keys = keys,
                 .tenants = tenants ? static_cast<auth::TenantDirectory&>(*tenants) : no_tenants},
                clock, log, registry),
        server(settings.http,
               make_router({.source = source, .limits = limits, .clock = clock, .metrics = metrics},
                           ports.add_routes),
               clock, random, log, registry,
               {.authenticator = &sign_in, .audit = nullptr, .idempotency = nullptr}) {}

  Opened opened;
  const QueryLimits limits;
  QueryMetrics metrics;
  PostgresSampleSource source;
  registry_client::RegistryKeyStore keys;
  registry_client::NoTenants no_tenants;
  std::unique_ptr<registry_client::TenantTable> tenants;
  http::OperatorSignIn sign_in;
  http::Server server;  // last: it calls all the others
};

Result<std::unique_ptr<RestServer>> RestServer::open(const Settings& settings, Ports ports,
                                                     const Clock& clock, Random& random,
                                                     const Logger& log, Registry& registry) {
  Opened opened;
  SLUICE_TRY_ASSIGN(opened.registry, rpc::Channel::open(settings.device_registry, settings.identity,
                                                        clock, random, log, registry));
  if (settings.auth.has_oidc()) {
    SLUICE_TRY_ASSIGN(opened.tenants,
                      kafka::open_table_consumer(settings.kafka, settings.consumer,
                                                 kafka::topics::kControlDevices.name, clock, log));
  }
  return std::unique_ptr<RestServer>(new RestServer(std::make_unique<Impl>(
      std::move(opened), settings, std::move(ports), clock, random, log, registry)));
}

RestServer::RestServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
RestServer::~RestServer() { stop(); }

Result<std::string> RestServer::start() {
  if (impl_->tenants) impl_->tenants->start();
  return impl_->server.start();
}

void RestServer::begin_drain() { impl_->server.begin_drain(); }

void RestServer::stop() {
  impl_->server.stop();
  if (impl_->tenants) impl_->tenants->stop();
  impl_->opened.registry->stop();
}

}  // namespace sluice::tsdb
