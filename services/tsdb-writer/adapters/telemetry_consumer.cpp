#include "adapters/telemetry_consumer.h"

#include <chrono>
#include <utility>

#include <sluice/kafka/consumer.h>

namespace sluice::tsdb {
namespace {

// A broker that elects a leader for a new partition takes seconds; one that is down is waited for
// by whoever starts us again.
constexpr std::chrono::seconds kTopicsTimeout{30};

}  // namespace

Result<std::unique_ptr<TelemetryConsumer>> TelemetryConsumer::open(
    Options options, const Clock& clock, Random& random, const Logger& log, Registry& registry,
    WritePipeline& pipeline) {
  SLUICE_TRY_ASSIGN(const auto admin, kafka::open_topic_admin(options.kafka, log));
  SLUICE_TRY(admin->ensure(options.topics, kTopicsTimeout));
  std::vector<std::string> names;
  for (const kafka::TopicSpec& topic : options.topics) names.emplace_back(topic.name);
  SLUICE_TRY_ASSIGN(auto consumer,
                    kafka::open_group_consumer(options.kafka, options.consumer, options.group,
                                               std::move(names), clock, log));
  auto loop = std::make_unique<kafka::ConsumerLoop>(
      kafka::ConsumerLoop::Options{.durability = kafka::Durability::kOnMark,
                                   .limits = options.consumer},
      clock, random, log, registry, std::move(consumer), pipeline.handler());
  return std::unique_ptr<TelemetryConsumer>(new TelemetryConsumer(std::move(loop), pipeline));
}

void TelemetryConsumer::stop() {
  loop_->stop();
  pipeline_.stop();
}

}  // namespace sluice::tsdb
