#include "adapters/kafka_publisher.h"

#include "adapters/kafka_audit_trail.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <utility>

#include <sluice/kafka/producer.h>
#include <sluice/kafka/sender.h>
#include <sluice/kafka/topic_admin.h>
#include <sluice/kafka/topics.h>
#include <sluice/outbox/relay.h>
#include <sluice/service/periodic_task.h>

namespace sluice::registry {
namespace {

/// Refusals that wait for Kafka. A few hundred bytes each; some minutes of an ordinary day, or the
/// first seconds of a flood, which are what tells of it.
constexpr std::int64_t kMostRefusals = 2'000;

kafka::ProducerConfig for_refusals(kafka::ProducerConfig config) {
  config.max_in_flight_records = kMostRefusals;
  config.max_in_flight = std::min(config.max_in_flight, Bytes{4_MiB});
  return config;
}

kafka::ProducerConfig for_outbox(kafka::ProducerConfig config,
                                 std::chrono::milliseconds delivery_timeout) {
  config.delivery_timeout = delivery_timeout;
  return config;
}

}  // namespace

struct KafkaPublisher::Impl {
  struct Clients {
    std::unique_ptr<kafka::TopicAdmin> admin;
    std::unique_ptr<kafka::Producer> outbox;
    std::unique_ptr<kafka::Producer> refusals;
  };

  Impl(Clients clients, const Options& options, postgres::Pool& pool, const Clock& clock,
       Random& random, const Logger& log, Registry& registry)
      : admin(std::move(clients.admin)),
        refusals(std::move(clients.refusals), clock),
        changes(std::move(clients.outbox), clock),
        trail(refusals, registry),
        outbox(
            pool, changes, clock, registry,
            {.lock_name = "device_registry.outbox", .delivery_timeout = options.delivery_timeout}),
        task({.name = "outbox", .interval = options.interval}, clock, random, log, registry,
             [this](std::stop_token stop) { return publish(stop); }) {}

  Result<> publish(std::stop_token stop) {
    using namespace std::chrono_literals;
    SLUICE_TRY(outbox.measure());
    if (!has_topics) {
      constexpr std::array kTopics{kafka::topics::kControlDevices, kafka::topics::kAudit};
      SLUICE_TRY(admin->ensure(kTopics, 30s));
      has_topics = true;
    }
    return outbox.run(stop);
  }

  std::unique_ptr<kafka::TopicAdmin> admin;
  kafka::Sender refusals;
  kafka::Sender changes;
  KafkaAuditTrail trail;
  outbox::Relay outbox;
  std::atomic<bool> has_topics{false};
  service::PeriodicTask task;  // last: it calls all the others
};

Result<std::unique_ptr<KafkaPublisher>> KafkaPublisher::open(const Options& options,
                                                             postgres::Pool& pool,
                                                             const Clock& clock, Random& random,
                                                             const Logger& log,
                                                             Registry& registry) {
  const auto open_producer = [&](const kafka::ProducerConfig& config) {
    return kafka::open_producer(options.kafka, config, clock, random, log, registry);
  };
  Impl::Clients clients;
  SLUICE_TRY_ASSIGN(clients.admin, kafka::open_topic_admin(options.kafka, log));
  SLUICE_TRY_ASSIGN(clients.outbox,
                    open_producer(for_outbox(options.producer, options.delivery_timeout)));
  SLUICE_TRY_ASSIGN(clients.refusals, open_producer(for_refusals(options.producer)));
  return std::unique_ptr<KafkaPublisher>(new KafkaPublisher(
      std::make_unique<Impl>(std::move(clients), options, pool, clock, random, log, registry)));
}

KafkaPublisher::KafkaPublisher(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
KafkaPublisher::~KafkaPublisher() = default;

AuditTrail& KafkaPublisher::audit() { return impl_->trail; }

bool KafkaPublisher::is_ready() const { return impl_->has_topics; }

void KafkaPublisher::stop() { impl_->task.stop(); }

}  // namespace sluice::registry
