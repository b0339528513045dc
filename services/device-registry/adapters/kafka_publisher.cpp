#include "adapters/kafka_publisher.h"

#include "adapters/kafka_audit_trail.h"
#include "adapters/kafka_outbox.h"

#include <array>
#include <atomic>
#include <utility>

#include <sluice/kafka/producer.h>
#include <sluice/kafka/sender.h>
#include <sluice/kafka/topic_admin.h>
#include <sluice/kafka/topics.h>
#include <sluice/service/periodic_task.h>

namespace sluice::registry {

struct KafkaPublisher::Impl {
  Impl(std::unique_ptr<kafka::Producer> producer, std::unique_ptr<kafka::TopicAdmin> topic_admin,
       std::chrono::milliseconds interval, postgres::Pool& pool, const Clock& clock, Random& random,
       const Logger& log, Registry& registry)
      : admin(std::move(topic_admin)),
        sender(std::move(producer), clock),
        trail(sender, registry),
        outbox(pool, sender, registry),
        task({.name = "outbox", .interval = interval}, clock, random, log, registry,
             [this](std::stop_token stop) { return publish(stop); }) {}

  Result<> publish(std::stop_token stop) {
    using namespace std::chrono_literals;
    if (!has_topics) {
      constexpr std::array kTopics{kafka::topics::kControlDevices, kafka::topics::kAudit};
      SLUICE_TRY(admin->ensure(kTopics, 30s));
      has_topics = true;
    }
    return outbox.run(stop);
  }

  std::unique_ptr<kafka::TopicAdmin> admin;
  kafka::Sender sender;
  KafkaAuditTrail trail;
  KafkaOutbox outbox;
  std::atomic<bool> has_topics{false};
  service::PeriodicTask task;  // last: it calls all the others
};

Result<std::unique_ptr<KafkaPublisher>> KafkaPublisher::open(const Options& options,
                                                             postgres::Pool& pool,
                                                             const Clock& clock, Random& random,
                                                             const Logger& log,
                                                             Registry& registry) {
  SLUICE_TRY_ASSIGN(auto admin, kafka::open_topic_admin(options.kafka, log));
  SLUICE_TRY_ASSIGN(auto producer, kafka::open_producer(options.kafka, options.producer, clock,
                                                        random, log, registry));
  return std::unique_ptr<KafkaPublisher>(new KafkaPublisher(
      std::make_unique<Impl>(std::move(producer), std::move(admin), options.interval, pool, clock,
                             random, log, registry)));
}

KafkaPublisher::KafkaPublisher(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
KafkaPublisher::~KafkaPublisher() = default;

AuditTrail& KafkaPublisher::audit() { return impl_->trail; }

bool KafkaPublisher::is_ready() const { return impl_->has_topics; }

void KafkaPublisher::stop() { impl_->task.stop(); }

}  // namespace sluice::registry
