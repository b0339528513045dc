#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/base/result.h>
#include <sluice/kafka/config.h>
#include <sluice/kafka/record.h>
#include <sluice/kafka/topics.h>
#include <sluice/log/logger.h>

namespace sluice::kafka {

/// What Kafka says of a topic.
struct TopicDescription {
  std::int32_t partitions = 0;
  std::int32_t replication = 0;
  std::map<std::string, std::string> config;  // Kafka's names: "cleanup.policy", "retention.ms"
};

/// The topic with what the operator has chosen for it: copies, and partitions where it needs no
/// number of its own.
TopicSpec as_configured(TopicSpec topic, const Config& config);

/// The settings that a topic is made with, by Kafka's names.
std::map<std::string, std::string> config_of(const TopicSpec& topic);

/// Where a topic that exists is not as its specification says.
struct TopicDifference {
  std::string what;  // "partitions" or one of Kafka's names of settings
  std::string is;
  std::string should_be;
  /// Records would be lost, or kept for ever: nobody may use the topic. Otherwise an operator's
  /// choice.
  bool is_harmful = false;
};
std::vector<TopicDifference> compare(const TopicSpec& wanted, const TopicDescription& found);

/// The verdict of TopicAdmin::ensure on topics that exist: logs every difference and refuses the
/// harmful ones. `found[i]` describes `wanted[i]`.
Result<> judge(std::span<const TopicSpec> wanted, std::span<const TopicDescription> found,
               const Logger& logger);

/// How far a group is on one partition.
struct PartitionLag {
  TopicPartition partition;
  std::int64_t records = 0;  // between the committed offset (or the beginning) and the end
};

/// Makes and asks about topics. Thread-safe; every call blocks until it is done or its time is up.
class TopicAdmin {
 public:
  virtual ~TopicAdmin() = default;

  /// Makes those that are missing. Whoever else does the same at the same time does no harm, and
  /// topics that exist keep the partitions and the retention they have: an operator's choice is not
  /// undone, only logged (`kafka_topic_differs`). But a topic that should be compacted and is not
  /// (or the reverse) loses data or never forgets, and one with fewer copies than were chosen loses
  /// what was acknowledged: that is kFailedPrecondition, with a fault for each. All topics are
  /// ready for use when it returns.
  virtual Result<> ensure(std::span<const TopicSpec> topics, std::chrono::milliseconds timeout) = 0;

  /// kNotFound when there is none.
  virtual Result<TopicDescription> describe(std::string_view topic,
                                            std::chrono::milliseconds timeout) = 0;

  /// For tests; succeeds also when there is none.
  virtual Result<> remove(std::span<const std::string> topics,
                          std::chrono::milliseconds timeout) = 0;

  virtual Result<std::vector<PartitionLag>> group_lag(std::string_view group,
                                                      std::string_view topic,
                                                      std::chrono::milliseconds timeout) = 0;
};

Result<std::unique_ptr<TopicAdmin>> open_topic_admin(const Config& config, const Logger& logger);

}  // namespace sluice::kafka
