#include <sluice/change_publisher/change_publisher.h>

#include <algorithm>
#include <atomic>
#include <utility>

#include <sluice/kafka/producer.h>
#include <sluice/kafka/sender.h>
#include <sluice/kafka/topic_admin.h>
#include <sluice/outbox/relay.h>
#include <sluice/service/periodic_task.h>

namespace sluice {
namespace {

/// Refusals that wait for Kafka. A few hundred bytes each; some minutes of an ordinary day, or the
/// first seconds of a flood, which are what tells of it.
constexpr std::int64_t kMostRefusals = 2'000;

kafka::ProducerConfig for_refusals(kafka::ProducerConfig config) {
  config.max_in_flight_records = kMostRefusals;
  config.max_in_flight = std::min(config.max_in_flight, Bytes{4_MiB});
  return config;
}

kafka::ProducerConfig for_outbox(kafka::ProducerConfig config, std::chrono::milliseconds timeout) {
  config.delivery_timeout = timeout;
  return config;
}

/// "device_registry.outbox": one instance of a service publishes at a time.
std::string lock_of(std::string service) {
  std::ranges::replace(service, '-', '_');
  return service + ".outbox";
}

std::vector<kafka::TopicSpec> with_audit(std::vector<kafka::TopicSpec> topics) {
  topics.push_back(kafka::topics::kAudit);
  return topics;
}

}  // namespace

struct ChangePublisher::Impl {
  struct Clients {
    std::unique_ptr<kafka::TopicAdmin> admin;
    std::unique_ptr<kafka::Producer> outbox;
    std::unique_ptr<kafka::Producer> refusals;
  };

  Impl(Clients clients, Options&& options, postgres::Pool& pool, const Clock& clock, Random& random,
       const Logger& log, Registry& registry)
      : admin(std::move(clients.admin)),
        topics(with_audit(std::move(options.topics))),
        refusals(std::move(clients.refusals), clock),
        changes(std::move(clients.outbox), clock),
        trail(options.service, refusals, clock, random, registry),
        outbox(
            pool, changes, clock, registry,
            {.lock_name = lock_of(options.service), .delivery_timeout = options.delivery_timeout}),
        task({.name = "outbox", .interval = options.interval}, clock, random, log, registry,
             [this](std::stop_token stop) { return publish(std::move(stop)); }) {}

  Result<> publish(std::stop_token stop) {
    using namespace std::chrono_literals;
    SLUICE_TRY(outbox.measure());
    if (!has_topics) {
      SLUICE_TRY(admin->ensure(topics, 30s));
      has_topics = true;
    }
    return outbox.run(std::move(stop));
  }

  std::unique_ptr<kafka::TopicAdmin> admin;
  const std::vector<kafka::TopicSpec> topics;
  kafka::Sender refusals;
  kafka::Sender changes;
  audit::Trail trail;
  outbox::Relay outbox;
  std::atomic<bool> has_topics{false};
  service::PeriodicTask task;  // last: it calls all the others
};

Result<std::unique_ptr<ChangePublisher>> ChangePublisher::open(Options options,
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
  return std::unique_ptr<ChangePublisher>(new ChangePublisher(std::make_unique<Impl>(
      std::move(clients), std::move(options), pool, clock, random, log, registry)));
}

ChangePublisher::ChangePublisher(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ChangePublisher::~ChangePublisher() = default;

audit::Trail& ChangePublisher::audit() { return impl_->trail; }

bool ChangePublisher::is_ready() const { return impl_->has_topics; }

void ChangePublisher::stop() { impl_->task.stop(); }

}  // namespace sluice
