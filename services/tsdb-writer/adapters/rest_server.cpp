#include "adapters/rest_server.h"

#include "adapters/attribute_follower.h"
#include "adapters/query_source.h"
#include "adapters/rest_api.h"

#include <chrono>
#include <string>
#include <string_view>
#include <utility>

#include <sluice/change_publisher/change_publisher.h>
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
  std::unique_ptr<ChangePublisher> changes;
  std::unique_ptr<AttributeFollower> attributes;
};

// A group of its own: the service's own group is for telemetry.
constexpr std::string_view kAttributesGroup = "tsdb-writer-attributes";

// Changes of retention are a few a day, and only the audit topic hears of them: no setting for it.
constexpr std::chrono::milliseconds kOutboxInterval{500};

}  // namespace

struct RestServer::Impl {
  Impl(Opened o, const Settings& settings, Ports ports, const Clock& clock, Random& random,
       const Logger& log, Registry& registry)
      : opened(std::move(o)),
        query_memory(settings.query.memory.count),
        limits(settings.query.limits(query_memory)),
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
        server(
            settings.http,
            make_router({.source = source, .limits = limits, .clock = clock, .metrics = metrics},
                        ports.add_routes,
                        [&trail = opened.changes->audit()](const auto& request, const auto& deed) {
                          return trail.done(request, deed);
                        }),
            clock, random, log, registry,
            {.authenticator = &sign_in,
             .audit = &opened.changes->audit(),
             .idempotency = nullptr}) {}

  Opened opened;
  QueryMemory query_memory;
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
  SLUICE_TRY_ASSIGN(
      opened.changes,
      ChangePublisher::open(
          {.service = "tsdb-writer", .kafka = settings.kafka, .interval = kOutboxInterval},
          ports.pool, clock, random, log, registry));
  SLUICE_TRY_ASSIGN(opened.attributes,
                    AttributeFollower::open({.kafka = settings.kafka,
                                             .consumer = settings.consumer,
                                             .group = std::string(kAttributesGroup),
                                             .limits = settings.attributes},
                                            ports.pool, clock, random, log, registry));
  return std::unique_ptr<RestServer>(new RestServer(std::make_unique<Impl>(
      std::move(opened), settings, std::move(ports), clock, random, log, registry)));
}

RestServer::RestServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
RestServer::~RestServer() { stop(); }

Result<std::string> RestServer::start() {
  if (impl_->tenants) impl_->tenants->start();
  impl_->opened.attributes->start();
  return impl_->server.start();
}

void RestServer::begin_drain() { impl_->server.begin_drain(); }

void RestServer::stop() {
  impl_->server.stop();
  if (impl_->tenants) impl_->tenants->stop();
  impl_->opened.attributes->stop();
  impl_->opened.changes->stop();
  impl_->opened.registry->stop();
}

}  // namespace sluice::tsdb
