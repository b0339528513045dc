#pragma once

#include "adapters/attribute_index.h"

#include <memory>
#include <string>

#include <sluice/base/clock.h>
#include <sluice/base/random.h>
#include <sluice/base/result.h>
#include <sluice/kafka/config.h>
#include <sluice/kafka/consumer_loop.h>
#include <sluice/log/logger.h>
#include <sluice/metrics/metrics.h>
#include <sluice/postgres/pool.h>

namespace sluice::tsdb {

/// Reads control.devices as a member of a group of its own, on its own thread, and keeps
/// AttributeIndex up to date. Queries go on while it cannot, with what was known before.
class AttributeFollower {
 public:
  struct Options {
    kafka::Config kafka;
    kafka::ConsumerConfig consumer;
    std::string group;
    AttributeLimits limits{};
  };

  /// Everything passed by reference must outlive it.
  static Result<std::unique_ptr<AttributeFollower>> open(const Options& options,
                                                         postgres::Pool& pool, const Clock& clock,
                                                         Random& random, const Logger& log,
                                                         Registry& registry);

  void start() { loop_->start(); }
  void stop() { loop_->stop(); }

 private:
  AttributeFollower(const AttributeLimits& limits, postgres::Pool& pool, const Clock& clock,
                    const Logger& log, Registry& registry)
      : index_(limits, pool, clock, log, registry) {}

  AttributeIndex index_;
  std::unique_ptr<kafka::ConsumerLoop> loop_;  // last: it calls the index
};

}  // namespace sluice::tsdb
