#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include <sluice/base/clock.h>
#include <sluice/base/result.h>
#include <sluice/kafka/config.h>
#include <sluice/kafka/partition_reader.h>
#include <sluice/log/logger.h>

namespace sluice::sim {

/// What comes to a topic from now on. One owner thread at a time.
class TopicTail {
 public:
  using Take = std::function<void(const kafka::RecordView&)>;

  /// Looks up where the topic ends now. `clock` and `logger` must outlive it.
  static Result<TopicTail> open(const kafka::Config& config, const std::string& topic,
                                const Clock& clock, const Logger& logger);

  /// Gives what came since the last time, in order within each partition.
  Result<> read_on(const Take& take);

 private:
  TopicTail(std::string topic, std::map<kafka::Partition, kafka::Offset> next,
            std::unique_ptr<kafka::PartitionReader> reader);

  std::string topic_;
  std::map<kafka::Partition, kafka::Offset> next_;
  std::unique_ptr<kafka::PartitionReader> reader_;
};

}  // namespace sluice::sim
