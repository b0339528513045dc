#include "adapters/attribute_follower.h"

#include <array>
#include <chrono>
#include <utility>

#include <sluice/kafka/consumer.h>
#include <sluice/kafka/topic_admin.h>
#include <sluice/kafka/topics.h>

namespace sluice::tsdb {

Result<std::unique_ptr<AttributeFollower>> AttributeFollower::open(
    const Options& options, postgres::Pool& pool, const Clock& clock, Random& random,
    const Logger& log, Registry& registry) {
  constexpr std::array kTopics{kafka::topics::kControlDevices};
  constexpr std::chrono::seconds kTopicTimeout{30};  // as for telemetry
  SLUICE_TRY_ASSIGN(const auto admin, kafka::open_topic_admin(options.kafka, log));
  SLUICE_TRY(admin->ensure(kTopics, kTopicTimeout));
  SLUICE_TRY_ASSIGN(
      auto consumer,
      kafka::open_group_consumer(options.kafka, options.consumer, options.group,
                                 {std::string(kafka::topics::kControlDevices.name)}, clock, log));
  std::unique_ptr<AttributeFollower> follower(
      new AttributeFollower(options.limits, pool, clock, log, registry));
  follower->loop_ = std::make_unique<kafka::ConsumerLoop>(
      kafka::ConsumerLoop::Options{.durability = kafka::Durability::kOnReturn,
                                   .limits = options.consumer},
      clock, random, log, registry, std::move(consumer), follower->index_);
  return follower;
}

}  // namespace sluice::tsdb
