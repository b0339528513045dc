#pragma once

#include "ports.h"

#include <chrono>
#include <memory>

#include <sluice/base/clock.h>
#include <sluice/base/random.h>
#include <sluice/base/result.h>
#include <sluice/kafka/config.h>
#include <sluice/log/logger.h>
#include <sluice/metrics/metrics.h>
#include <sluice/postgres/pool.h>

namespace sluice::registry {

/// The Kafka side of the registry: makes its topics, publishes the outbox, tells of refusals.
///
/// The outbox and the refusals have a producer each: a flood of refusals, which anybody can cause,
/// fills a small buffer of its own and not the way of revocations.
///
/// Nothing here is needed to answer a device, so Kafka may be down when it starts and while it
/// runs: changes then wait in the outbox. It is ready once its topics were found or made, and stays
/// so.
class KafkaPublisher {
 public:
  struct Options {
    kafka::Config kafka;
    kafka::ProducerConfig producer;
    std::chrono::milliseconds interval{100};            // how often the outbox is looked into
    std::chrono::milliseconds delivery_timeout{5'000};  // of the outbox's records
  };

  /// Everything passed by reference must outlive it.
  static Result<std::unique_ptr<KafkaPublisher>> open(const Options& options, postgres::Pool& pool,
                                                      const Clock& clock, Random& random,
                                                      const Logger& log, Registry& registry);
  ~KafkaPublisher();
  KafkaPublisher(const KafkaPublisher&) = delete;
  KafkaPublisher& operator=(const KafkaPublisher&) = delete;

  AuditTrail& audit();
  bool is_ready() const;
  /// Publishes no more. What is in the outbox is published by the next instance.
  void stop();

 private:
  struct Impl;
  explicit KafkaPublisher(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::registry
