#pragma once

#include <atomic>
#include <chrono>
#include <memory>

#include <sluice/audit/trail.h>
#include <sluice/base/clock.h>
#include <sluice/base/random.h>
#include <sluice/base/result.h>
#include <sluice/kafka/config.h>
#include <sluice/kafka/sender.h>
#include <sluice/log/logger.h>
#include <sluice/metrics/metrics.h>
#include <sluice/postgres/pool.h>

namespace sluice::validator {

/// The Kafka side of the REST interface: publishes the outbox, tells of refusals, and has a sender
/// for re-drives. A producer each, so that none of them waits for another.
class Publisher {
 public:
  struct Options {
    kafka::Config kafka;
    kafka::ProducerConfig producer;
    std::chrono::milliseconds interval{100};            // how often the outbox is looked into
    std::chrono::milliseconds delivery_timeout{5'000};  // of the outbox's records
  };

  /// Everything passed by reference must outlive it.
  static Result<std::unique_ptr<Publisher>> open(const Options& options, postgres::Pool& pool,
                                                 const Clock& clock, Random& random,
                                                 const Logger& log, Registry& registry);
  ~Publisher();
  Publisher(const Publisher&) = delete;
  Publisher& operator=(const Publisher&) = delete;

  audit::Trail& audit();
  kafka::Sender& redrives();
  /// Once the topics were found or made; from then on for good.
  bool is_ready() const;
  /// Publishes no more. What is in the outbox is published by the next instance.
  void stop();

 private:
  struct Impl;
  explicit Publisher(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::validator
