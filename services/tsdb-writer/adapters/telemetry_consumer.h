#pragma once

#include "adapters/write_pipeline.h"

#include <memory>
#include <string>
#include <vector>

#include <sluice/base/clock.h>
#include <sluice/base/random.h>
#include <sluice/base/result.h>
#include <sluice/kafka/config.h>
#include <sluice/kafka/consumer_loop.h>
#include <sluice/kafka/topic_admin.h>
#include <sluice/kafka/topics.h>
#include <sluice/log/logger.h>
#include <sluice/metrics/metrics.h>

namespace sluice::tsdb {

/// Reads the input topics as a member of the group and feeds the pipeline.
class TelemetryConsumer {
 public:
  struct Options {
    kafka::Config kafka;
    kafka::ConsumerConfig consumer;
    std::string group;
    std::vector<kafka::TopicSpec> topics;
  };

  /// Makes topics that are missing. Everything passed by reference must outlive it.
  static Result<std::unique_ptr<TelemetryConsumer>> open(Options options, const Clock& clock,
                                                         Random& random, const Logger& log,
                                                         Registry& registry,
                                                         WritePipeline& pipeline);

  void start() { loop_->start(); }
  /// What is in memory is written before this returns, if the database lets it.
  void stop();
  bool is_assigned() const { return loop_->assigned(); }

 private:
  TelemetryConsumer(std::unique_ptr<kafka::ConsumerLoop> loop, WritePipeline& pipeline)
      : loop_(std::move(loop)), pipeline_(pipeline) {}

  std::unique_ptr<kafka::ConsumerLoop> loop_;
  WritePipeline& pipeline_;
};

}  // namespace sluice::tsdb
