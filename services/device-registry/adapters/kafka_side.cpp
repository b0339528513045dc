#include "adapters/kafka_side.h"

#include <chrono>
#include <stop_token>
#include <utility>

namespace sluice::registry {
namespace {

// How often it is looked whether there is a new leader, and whether it is time for it to compare.
constexpr std::chrono::seconds kRepairInterval{1};
// A producer looks for what has outlived its delivery timeout once a second.
constexpr std::chrono::seconds kDeliverySlack{1};

}  // namespace

Result<std::unique_ptr<KafkaSide>> KafkaSide::open(Options options, postgres::Pool& pool,
                                                   const Clock& clock, Random& random,
                                                   const Logger& log, Registry& registry) {
  const TopicRepair::Options repair{.quiet_time =
                                        options.changes.delivery_timeout + kDeliverySlack};
  const auto open_for_repair = [kafka = options.presence.kafka,
                                consumer = options.presence.consumer, &clock,
                                &log]() -> Result<TopicRepair::Kafka> {
    TopicRepair::Kafka opened;
    SLUICE_TRY_ASSIGN(opened.admin, kafka::open_topic_admin(kafka, log));
    SLUICE_TRY_ASSIGN(opened.reader, kafka::open_partition_reader(kafka, consumer, clock, log));
    return opened;
  };
  SLUICE_TRY_ASSIGN(auto changes, ChangePublisher::open(std::move(options.changes), pool, clock,
                                                        random, log, registry));
  SLUICE_TRY_ASSIGN(auto presence,
                    PresenceReader::open(options.presence, pool, clock, random, log, registry));
  return std::unique_ptr<KafkaSide>(new KafkaSide(std::move(changes), std::move(presence),
                                                  open_for_repair, repair,
                                                  {pool, clock, random, log, registry}));
}

KafkaSide::KafkaSide(std::unique_ptr<ChangePublisher> changes,
                     std::unique_ptr<PresenceReader> presence, TopicRepair::OpenKafka open_kafka,
                     const TopicRepair::Options& repair, const World& world)
    : changes_(std::move(changes)),
      presence_(std::move(presence)),
      repair_(std::move(open_kafka), world.pool, world.clock, world.random, world.log,
              world.registry, repair),
      repair_task_({.name = "topic_repair", .interval = kRepairInterval}, world.clock, world.random,
                   world.log, world.registry, [this](const std::stop_token& stop) {
                     // Before, there is nothing to compare with.
                     return changes_->is_ready() ? repair_.run(stop) : Result<>();
                   }) {}

void KafkaSide::record(const common::v1::AuditRecord& record) { audit().send_refusal(record); }

void KafkaSide::stop() {
  repair_task_.stop();
  presence_->stop();
  changes_->stop();
}

}  // namespace sluice::registry
