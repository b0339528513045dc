#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include <sluice/audit/trail.h>
#include <sluice/base/clock.h>
#include <sluice/base/random.h>
#include <sluice/base/result.h>
#include <sluice/kafka/config.h>
#include <sluice/kafka/topics.h>
#include <sluice/log/logger.h>
#include <sluice/metrics/metrics.h>
#include <sluice/postgres/pool.h>

namespace sluice {

/// How a service tells Kafka what operators changed in its database: makes the topics, publishes
/// the outbox, sends the audit records of refusals.
///
/// The outbox and the refusals have a producer each: a flood of refusals, which anybody can cause,
/// fills a small buffer of its own and does not stand in the way of what was changed.
///
/// No answer needs it, so Kafka may be down when it starts and while it runs: changes then wait in
/// the outbox. It is ready once its topics were found or made, and stays so.
class ChangePublisher {
 public:
  struct Options {
    std::string service{};                   // "device-registry"; its schema's outbox is published
    std::vector<kafka::TopicSpec> topics{};  // besides audit
    kafka::Config kafka{};
    kafka::ProducerConfig producer{};
    std::chrono::milliseconds interval{100};            // how often the outbox is looked into
    std::chrono::milliseconds delivery_timeout{5'000};  // of the outbox's records
  };

  /// Everything passed by reference must outlive it.
  static Result<std::unique_ptr<ChangePublisher>> open(Options options, postgres::Pool& pool,
                                                       const Clock& clock, Random& random,
                                                       const Logger& log, Registry& registry);
  ~ChangePublisher();
  ChangePublisher(const ChangePublisher&) = delete;
  ChangePublisher& operator=(const ChangePublisher&) = delete;

  audit::Trail& audit();
  bool is_ready() const;
  /// Publishes no more. What is in the outbox is published by the next instance.
  void stop();

 private:
  struct Impl;
  explicit ChangePublisher(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice
