#pragma once

#include "adapters/front_loops.h"
#include "core/identity_cache.h"

#include <chrono>
#include <memory>
#include <optional>

#include <sluice/base/clock.h>
#include <sluice/base/result.h>
#include <sluice/kafka/config.h>
#include <sluice/kafka/consumer.h>
#include <sluice/log/logger.h>
#include <sluice/metrics/metrics.h>

namespace sluice::front {

/// Follows control.devices and control.limits, each on a thread of its own: tells the cache of
/// identities at once, and the loops in one task per batch that Kafka gives. At most a few batches
/// wait at a loop; the reader then waits for it, so that a million records at the start flood
/// nobody. Records that make no sense are counted and skipped.
///
/// Which certificates are revoked is not decided here: the tables name the credentials that are
/// active, and a handshake shows a certificate, not the credential it stands for.
class ControlTables {
 public:
  struct Consumers {
    std::unique_ptr<kafka::Consumer> devices{};
    std::unique_ptr<kafka::Consumer> limits{};
  };
  static Result<std::unique_ptr<ControlTables>> open(const kafka::Config& kafka,
                                                     const kafka::ConsumerConfig& limits,
                                                     const Clock& clock, const Logger& log,
                                                     Registry& registry, IdentityCache& cache,
                                                     FrontLoops loops);
  /// What is passed by reference, and the loops, must outlive it.
  ControlTables(Consumers consumers, const kafka::ConsumerConfig& limits, const Clock& clock,
                const Logger& log, Registry& registry, IdentityCache& cache, FrontLoops loops);
  ~ControlTables();  // stops
  ControlTables(const ControlTables&) = delete;
  ControlTables& operator=(const ControlTables&) = delete;

  void start();
  /// Returns when both threads have ended.
  void stop();

  /// Whether everything that both topics held at the start has reached the cache and was handed to
  /// the loops: for readiness.
  bool caught_up() const;
  /// How old the older of the tables may be; nullopt before caught_up().
  std::optional<std::chrono::milliseconds> staleness() const;

 private:
  class Table;
  class Devices;
  class Limits;
  std::unique_ptr<Devices> devices_;
  std::unique_ptr<Limits> limits_;
};

}  // namespace sluice::front
