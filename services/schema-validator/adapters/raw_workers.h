#pragma once

#include "adapters/raw_handler.h"

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include <sluice/base/random.h>
#include <sluice/kafka/config.h>
#include <sluice/kafka/topic_admin.h>

namespace sluice::validator {

/// The threads that judge telemetry.raw: each with a membership of the group, a producer and the
/// states of its partitions, sharing nothing but the catalogue.
///
/// A worker begins once the topics are there, of equal partition counts, and the catalogue is
/// complete. One whose handler is broken (an output was not stored) leaves the group and begins
/// anew at what is committed, so that nothing is passed over.
class RawWorkers {
 public:
  struct Options {
    std::size_t workers = 1;
    std::string group = "schema-validator";
    kafka::Config kafka{};
    kafka::ConsumerConfig consumer{};
    kafka::ProducerConfig producer{};
    RawHandler::Options handler{};
  };
  using MakeJudge = std::function<std::unique_ptr<RecordJudge>()>;

  /// What is passed by reference must outlive it.
  RawWorkers(Options options, const Clock& clock, Random& random, const Logger& log,
             Registry& registry, const CatalogueHolder& catalogue, MakeJudge make_judge);
  ~RawWorkers();  // stops
  RawWorkers(const RawWorkers&) = delete;
  RawWorkers& operator=(const RawWorkers&) = delete;

  /// `may_begin` is asked until it says yes: whether the catalogue is complete.
  void start(std::function<bool()> may_begin);
  /// Flushes and commits what is in hand, leaves the group.
  void stop();
  /// Whether every worker has been given its share, be it none; why not, where it is known.
  Result<> readiness() const;

 private:
  void run(const std::stop_token& stop, std::size_t index);
  Result<> ensure_topics();
  Result<> work(const std::stop_token& stop, std::size_t index);
  void pause(const std::stop_token& stop, std::chrono::milliseconds time);

  const Options options_;
  const Clock& clock_;
  Random& random_;
  const Logger& log_;
  Registry& registry_;
  const CatalogueHolder& catalogue_;
  const MakeJudge make_judge_;
  RawMetrics metrics_;
  Counter restarts_;
  std::function<bool()> may_begin_;
  mutable std::mutex mutex_;  // guards what follows
  bool has_topics_ = false;
  std::string trouble_;
  std::vector<std::unique_ptr<std::atomic<bool>>> assigned_;
  std::vector<std::jthread> threads_;
};

}  // namespace sluice::validator
