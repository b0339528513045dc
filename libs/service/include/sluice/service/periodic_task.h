#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>

#include <sluice/base/clock.h>
#include <sluice/base/random.h>
#include <sluice/base/result.h>
#include <sluice/log/logger.h>
#include <sluice/metrics/metrics.h>

namespace sluice::service {

/// Runs a function again and again on a thread of its own: a janitor, a refresher, a publisher.
/// The first run comes after a random part of the interval, so that the pods of a service do not
/// all work at once; each later one an interval after the last ended, so that a slow run never
/// piles up. A run that fails is logged and counted, and the next comes as usual; an exception
/// counts as failure.
///
/// Metrics, by task: sluice_task_runs_total{outcome}, sluice_task_duration_seconds,
/// sluice_task_last_success_timestamp_seconds (an alert on it finds a stalled task).
class PeriodicTask {
 public:
  struct Options {
    std::string name;  // snake_case: the metric label and the log field
    std::chrono::milliseconds interval{std::chrono::minutes(1)};
  };
  /// Should give up soon once the token says stop.
  using Function = std::function<Result<>(std::stop_token)>;

  PeriodicTask(Options options, const Clock& clock, Random& random, const Logger& log,
               Registry& registry, Function function);
  ~PeriodicTask();  // stops
  PeriodicTask(const PeriodicTask&) = delete;
  PeriodicTask& operator=(const PeriodicTask&) = delete;

  /// Runs as soon as the thread is free, without waiting for the interval. Any thread.
  void trigger();
  /// Lets the current run end and runs no more. Any thread, any number of times.
  void stop();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::service
