#pragma once

#include "ops_routes.h"

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <sluice/base/clock.h>
#include <sluice/base/result.h>
#include <sluice/log/logger.h>
#include <sluice/metrics/metrics.h>

namespace sluice::service {

/// What one check's answers so far mean. A pure value.
class CheckState {
 public:
  /// Failures in a row that turn a good check bad, so that one slow answer of a store does not take
  /// all pods out at once; and successes that turn it good again.
  static constexpr int kFailuresToBad = 3;
  static constexpr int kSuccessesToGood = 2;
  /// Without an answer for this long the last one counts no more.
  static constexpr std::chrono::seconds kMaxAge{10};

  /// The first answer counts at once. True when it was the first or the state changed.
  bool update(const Result<>& result, MonoTime now);
  CheckReport report(std::string name, MonoTime now) const;

 private:
  bool is_good_ = false;
  bool has_answered_ = false;
  int against_ = 0;  // answers in a row that speak against is_good_
  std::string reason_ = "not checked yet";
  MonoTime answered_at_{};
};

/// Runs the readiness checks one after the other on a thread of its own.
///
/// Metrics: sluice_readiness_check_ready{check}.
class Readiness {
 public:
  using Check = std::function<Result<>()>;

  Readiness(const Clock& clock, const Logger& log, Registry& registry)
      : clock_(clock), log_(log), registry_(registry) {}
  ~Readiness() { stop(); }
  Readiness(const Readiness&) = delete;
  Readiness& operator=(const Readiness&) = delete;

  /// Before start().
  void add(std::string name, Check check);
  void start(std::chrono::milliseconds period);
  /// Returns when no check runs any more. Any number of times.
  void stop();

  /// Any thread.
  std::vector<CheckReport> reports() const;

 private:
  struct Entry {
    std::string name;
    Check check;
    Gauge gauge;
    CheckState state;  // under the mutex
  };

  void run(const std::stop_token& stop, std::chrono::milliseconds period);
  void run_one(Entry& entry);

  const Clock& clock_;
  const Logger& log_;
  Registry& registry_;
  mutable std::mutex mutex_;
  std::condition_variable_any stopped_;
  std::vector<std::unique_ptr<Entry>> entries_;
  std::jthread thread_;
};

}  // namespace sluice::service
