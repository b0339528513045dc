#include "adapters/front_topics.h"

#include <array>
#include <chrono>
#include <utility>

#include <sluice/kafka/topics.h>

namespace sluice::front {
namespace {

constexpr std::chrono::seconds kTimeout{10};
// Short, for a stop of the front waits for it.
constexpr std::chrono::seconds kLookTimeout{1};
// Whoever of its users comes first makes a topic.
constexpr std::array kTopics{kafka::topics::kTelemetryRaw, kafka::topics::kDeviceEvents,
                             kafka::topics::kShadowRequests, kafka::topics::kControlDevices,
                             kafka::topics::kControlLimits};

}  // namespace

Result<std::int32_t> ensure_topics(const kafka::Config& kafka, std::string_view raw_topic,
                                   const Logger& log) {
  SLUICE_TRY_ASSIGN(auto admin, kafka::open_topic_admin(kafka, log));
  SLUICE_TRY(admin->ensure(kTopics, kTimeout));
  SLUICE_TRY_ASSIGN(const auto raw, admin->describe(raw_topic, kTimeout));
  return raw.partitions;
}

PartitionWatch::PartitionWatch(OpenAdmin open, std::string_view topic, std::int32_t counted,
                               const Logger& log, Registry& registry)
    : open_(std::move(open)),
      topic_(topic),
      counted_(counted),
      last_seen_(counted),
      log_(log),
      uncounted_(registry.gauge("sluice_mqtt_partitions_uncounted",
                                "Partitions that the topic of telemetry was given since this front "
                                "counted them: it writes to none of them.")) {}

Result<> PartitionWatch::look() {
  if (!admin_) {
    SLUICE_TRY_ASSIGN(admin_, open_());
  }
  SLUICE_TRY_ASSIGN(const kafka::TopicDescription found, admin_->describe(topic_, kLookTimeout));
  uncounted_.set(found.partitions - counted_);
  if (std::exchange(last_seen_, found.partitions) == found.partitions) return {};
  log_.warning("topic_partitions_changed", {{"topic", topic_},
                                            {"counted", std::int64_t{counted_}},
                                            {"partitions", std::int64_t{found.partitions}}});
  return {};
}

}  // namespace sluice::front
