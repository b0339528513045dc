#include "adapters/operator_side.h"

#include "adapters/dry_run.h"
#include "adapters/redriver.h"
#include "adapters/rejection_index.h"
#include "adapters/rest_api.h"
#include "adapters/schema_store.h"
#include "migrations.h"

#include <mutex>
#include <utility>

#include <sluice/answer_store/answer_store.h>
#include <sluice/change_publisher/change_publisher.h>
#include <sluice/grpc/channel.h>
#include <sluice/http/operator_sign_in.h>
#include <sluice/http/server.h>
#include <sluice/kafka/consumer_loop.h>
#include <sluice/kafka/producer.h>
#include <sluice/kafka/sender.h>
#include <sluice/kafka/topics.h>
#include <sluice/postgres/migrate.h>
#include <sluice/postgres/transaction.h>
#include <sluice/registry_client/operator_keys.h>
#include <sluice/service/periodic_task.h>

namespace sluice::validator {
namespace {

using namespace std::chrono_literals;
using registry_client::NoTenants;
using registry_client::RegistryKeyStore;
using registry_client::TenantTable;

/// All that may fail to open.
struct Opened {
  std::unique_ptr<postgres::Pool> pool;
  std::unique_ptr<ChangePublisher> changes;
  std::unique_ptr<kafka::Sender> redrives;
  std::unique_ptr<rpc::Channel> registry;
  std::unique_ptr<kafka::Consumer> rejected;
  std::unique_ptr<kafka::Consumer> tenants;  // null without an identity provider
  std::unique_ptr<kafka::PartitionReader> browse_reader;
  std::unique_ptr<kafka::PartitionReader> redrive_reader;
  std::unique_ptr<kafka::PartitionReader> dry_run_reader;
  std::unique_ptr<kafka::TopicAdmin> admin;
};

}  // namespace

struct OperatorSide::Impl {
  Impl(Opened o, const Config& config, const StreamSide& stream, const Clock& clock, Random& random,
       const Logger& log, Registry& registry)
      : opened(std::move(o)),
        schemas(*opened.pool),
        rejections(*opened.pool),
        answers(*opened.pool),
        dry_run({.messages = config.dry_run_messages, .timeout = config.dry_run_timeout},
                config.pipeline(), std::move(opened.admin), std::move(opened.dry_run_reader)),
        redriver({.per_second = config.redrive_per_second}, *opened.pool, rejections,
                 *opened.redrives, std::move(opened.redrive_reader), clock, log, registry),
        index(rejections, std::chrono::days(config.rejections_days), clock, registry),
        indexing({.limits = config.consumer}, clock, random, log, registry,
                 std::move(opened.rejected), index),
        keys(*opened.registry, random),
        tenants(opened.tenants
                    ? std::make_unique<TenantTable>(std::move(opened.tenants), config.consumer,
                                                    clock, log, registry)
                    : nullptr),
        sign_in(config.auth,
                {.api_keys = keys,
                 .tenants = tenants ? static_cast<auth::TenantDirectory&>(*tenants) : no_tenants},
                clock, log, registry),
        server(config.http,
               make_router({.schemas = schemas,
                            .rejections = rejections,
                            .catalogue = stream.catalogue(),
                            .audit = opened.changes->audit(),
                            .dry_run = dry_run,
                            .reader = *opened.browse_reader,
                            .reader_mutex = reader_mutex,
                            .compile_limits = config.compile_limits(),
                            .redrive_max = config.redrive_max}),
               clock, random, log, registry,
               {.authenticator = &sign_in,
                .audit = &opened.changes->audit(),
                .idempotency = &answers}),
        redrive_task({.name = "redrive", .interval = 500ms}, clock, random, log, registry,
                     [this](std::stop_token stop) { return redriver.run(std::move(stop)); }),
        sweeper({.name = "sweep", .interval = 10min}, clock, random, log, registry,
                [this, &clock, days = config.rejections_days](std::stop_token) -> Result<> {
                  SLUICE_TRY(postgres::run_transaction(*opened.pool, {.all_tenants = true},
                                                       forget_old_answers));
                  SLUICE_TRY(rejections.drop_before(clock.wall() - std::chrono::days(days)));
                  return {};
                }) {}

  Opened opened;
  SchemaStore schemas;
  RejectionStore rejections;
  AnswerStore answers;
  DryRun dry_run;
  Redriver redriver;
  RejectionIndex index;
  kafka::ConsumerLoop indexing;
  RegistryKeyStore keys;
  NoTenants no_tenants;
  std::unique_ptr<TenantTable> tenants;
  http::OperatorSignIn sign_in;
  std::mutex reader_mutex;
  http::Server server;
  service::PeriodicTask redrive_task;
  service::PeriodicTask sweeper;
};

Result<std::unique_ptr<OperatorSide>> OperatorSide::open(const Config& config,
                                                         const std::string& service,
                                                         const StreamSide& stream,
                                                         const Clock& clock, Random& random,
                                                         const Logger& log, Registry& registry) {
  kafka::Config kafka = config.kafka;
  kafka.client_id = service;
  Opened o;
  SLUICE_TRY_ASSIGN(o.pool, postgres::Pool::open(config.postgres,
                                                 {.schema = std::string(kDatabaseSchema),
                                                  .application_name = service},
                                                 clock, random, registry, log));
  SLUICE_TRY(postgres::migrate(*o.pool, kDatabaseSchema, schema_validator::migrations()));
  SLUICE_TRY_ASSIGN(o.changes,
                    ChangePublisher::open({.service = service,
                                           .topics = {kafka::topics::kControlSchemas},
                                           .kafka = kafka,
                                           .producer = config.producer,
                                           .interval = config.outbox_interval,
                                           .delivery_timeout = config.outbox_delivery_timeout},
                                          *o.pool, clock, random, log, registry));
  // A producer of its own, so that neither waits for the other.
  SLUICE_TRY_ASSIGN(auto redrives,
                    kafka::open_producer(kafka, config.producer, clock, random, log, registry));
  o.redrives = std::make_unique<kafka::Sender>(std::move(redrives), clock);
  SLUICE_TRY_ASSIGN(o.registry, rpc::Channel::open(config.device_registry, config.identity, clock,
                                                   random, log, registry));
  SLUICE_TRY_ASSIGN(
      o.rejected, kafka::open_group_consumer(kafka, config.consumer, service + "-rejections",
                                             {std::string(kafka::topics::kTelemetryRejected.name)},
                                             clock, log));
  if (config.auth.has_oidc()) {
    SLUICE_TRY_ASSIGN(o.tenants,
                      kafka::open_table_consumer(kafka, config.consumer,
                                                 kafka::topics::kControlDevices.name, clock, log));
  }
  for (auto* reader : {&o.browse_reader, &o.redrive_reader, &o.dry_run_reader}) {
    SLUICE_TRY_ASSIGN(*reader, kafka::open_partition_reader(kafka, config.consumer, clock, log));
  }
  SLUICE_TRY_ASSIGN(o.admin, kafka::open_topic_admin(kafka, log));
  return std::unique_ptr<OperatorSide>(new OperatorSide(
      std::make_unique<Impl>(std::move(o), config, stream, clock, random, log, registry)));
}

OperatorSide::OperatorSide(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
OperatorSide::~OperatorSide() { stop(); }

Result<std::string> OperatorSide::start() {
  if (impl_->tenants) impl_->tenants->start();
  impl_->indexing.start();
  return impl_->server.start();
}

void OperatorSide::begin_drain() { impl_->server.begin_drain(); }

void OperatorSide::stop() {
  impl_->server.stop();
  impl_->redrive_task.stop();
  impl_->sweeper.stop();
  impl_->indexing.stop();
  if (impl_->tenants) impl_->tenants->stop();
  impl_->opened.changes->stop();
  impl_->opened.registry->stop();
}

Result<> OperatorSide::ping() { return impl_->opened.pool->ping(); }
bool OperatorSide::is_publishing() const { return impl_->opened.changes->is_ready(); }

}  // namespace sluice::validator
