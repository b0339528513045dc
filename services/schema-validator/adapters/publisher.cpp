#include "adapters/publisher.h"

#include <algorithm>
#include <array>
#include <utility>

#include <sluice/kafka/producer.h>
#include <sluice/kafka/topic_admin.h>
#include <sluice/kafka/topics.h>
#include <sluice/outbox/relay.h>
#include <sluice/service/periodic_task.h>

namespace sluice::validator {
namespace {

using namespace std::chrono_literals;

/// Refusals that wait for Kafka: the first seconds of a flood, which are what tells of it.
constexpr std::int64_t kMostRefusals = 2'000;

}  // namespace

struct Publisher::Impl {
  struct Clients {
    std::unique_ptr<kafka::TopicAdmin> admin;
    std::unique_ptr<kafka::Producer> outbox;
    std::unique_ptr<kafka::Producer> refusals;
    std::unique_ptr<kafka::Producer> redrives;
  };

  Impl(Clients clients, const Options& options, postgres::Pool& pool, const Clock& clock,
       Random& random, const Logger& log, Registry& registry)
      : admin(std::move(clients.admin)),
        refusals(std::move(clients.refusals), clock),
        changes(std::move(clients.outbox), clock),
        redrives(std::move(clients.redrives), clock),
        trail({.service = "schema-validator", .component = "validator"}, refusals, clock, random,
              registry),
        outbox(
            pool, changes, clock, registry,
            {.lock_name = "schema_validator.outbox", .delivery_timeout = options.delivery_timeout}),
        task({.name = "outbox", .interval = options.interval}, clock, random, log, registry,
             [this](std::stop_token stop) { return publish(std::move(stop)); }) {}

  Result<> publish(std::stop_token stop) {
    SLUICE_TRY(outbox.measure());
    if (!has_topics) {
      constexpr std::array kTopics{kafka::topics::kControlSchemas, kafka::topics::kAudit};
      SLUICE_TRY(admin->ensure(kTopics, 30s));
      has_topics = true;
    }
    return outbox.run(std::move(stop));
  }

  std::unique_ptr<kafka::TopicAdmin> admin;
  kafka::Sender refusals;
  kafka::Sender changes;
  kafka::Sender redrives;
  audit::Trail trail;
  outbox::Relay outbox;
  std::atomic<bool> has_topics{false};
  service::PeriodicTask task;  // last: it calls all the others
};

Result<std::unique_ptr<Publisher>> Publisher::open(const Options& options, postgres::Pool& pool,
                                                   const Clock& clock, Random& random,
                                                   const Logger& log, Registry& registry) {
  const auto open_producer = [&](const kafka::ProducerConfig& config) {
    return kafka::open_producer(options.kafka, config, clock, random, log, registry);
  };
  kafka::ProducerConfig for_outbox = options.producer;
  for_outbox.delivery_timeout = options.delivery_timeout;
  kafka::ProducerConfig for_refusals = options.producer;
  for_refusals.max_in_flight_records = kMostRefusals;
  Impl::Clients clients;
  SLUICE_TRY_ASSIGN(clients.admin, kafka::open_topic_admin(options.kafka, log));
  SLUICE_TRY_ASSIGN(clients.outbox, open_producer(for_outbox));
  SLUICE_TRY_ASSIGN(clients.refusals, open_producer(for_refusals));
  SLUICE_TRY_ASSIGN(clients.redrives, open_producer(options.producer));
  return std::unique_ptr<Publisher>(new Publisher(
      std::make_unique<Impl>(std::move(clients), options, pool, clock, random, log, registry)));
}

Publisher::Publisher(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Publisher::~Publisher() = default;

audit::Trail& Publisher::audit() { return impl_->trail; }
kafka::Sender& Publisher::redrives() { return impl_->redrives; }
bool Publisher::is_ready() const { return impl_->has_topics; }
void Publisher::stop() { impl_->task.stop(); }

}  // namespace sluice::validator
