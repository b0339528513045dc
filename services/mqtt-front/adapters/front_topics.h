#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include <sluice/base/result.h>
#include <sluice/kafka/config.h>
#include <sluice/kafka/topic_admin.h>
#include <sluice/log/logger.h>
#include <sluice/metrics/metrics.h>

namespace sluice::front {

/// Makes the topics that a front writes and reads where they are missing; blocks until that is done
/// or its time is up. Returns how many partitions `raw_topic` has.
Result<std::int32_t> ensure_topics(const kafka::Config& kafka, std::string_view raw_topic,
                                   const Logger& log);

/// Sees that a topic was given more partitions than this front counted at its start. The front
/// stays with what it counted: its producers learn of new partitions at times of their own, and a
/// record for one that they do not know of yet would be lost. README.md says how partitions are
/// added.
class PartitionWatch {
 public:
  using OpenAdmin = std::function<Result<std::unique_ptr<kafka::TopicAdmin>>()>;
  /// `log` must outlive it.
  PartitionWatch(OpenAdmin open, std::string_view topic, std::int32_t counted, const Logger& log,
                 Registry& registry);

  /// Asks Kafka, by an admin that is opened once that succeeds; takes a second at most. For a
  /// PeriodicTask.
  Result<> look();

 private:
  const OpenAdmin open_;
  std::unique_ptr<kafka::TopicAdmin> admin_{};
  const std::string topic_;
  const std::int32_t counted_;
  std::int32_t last_seen_;
  const Logger& log_;
  Gauge uncounted_;
};

}  // namespace sluice::front
