#pragma once

#include <memory>

#include <sluice/base/clock.h>
#include <sluice/base/random.h>
#include <sluice/base/result.h>
#include <sluice/kafka/config.h>
#include <sluice/log/logger.h>
#include <sluice/metrics/metrics.h>
#include <sluice/postgres/pool.h>

namespace sluice::registry {

/// Follows device.events as a member of the group "device-registry": instances share its
/// partitions. Nothing waits for it, so Kafka may be down when it starts and while it runs; it then
/// tries for as long as it takes. What it has read is in the store before its offsets are committed
/// (I2).
class PresenceReader {
 public:
  struct Options {
    kafka::Config kafka;
    kafka::ConsumerConfig consumer;
  };

  /// Starts to read on a thread of its own. What is passed by reference must outlive it.
  static Result<std::unique_ptr<PresenceReader>> open(const Options& options, postgres::Pool& pool,
                                                      const Clock& clock, Random& random,
                                                      const Logger& log, Registry& registry);
  ~PresenceReader();
  PresenceReader(const PresenceReader&) = delete;
  PresenceReader& operator=(const PresenceReader&) = delete;

  /// Ends what is under way, commits it and leaves the group. Safe to call twice.
  void stop();

 private:
  struct Impl;
  explicit PresenceReader(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::registry
