#pragma once

#include "world/faults.h"
#include "world/trace.h"
#include "world/violations.h"

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

#include <sluice/base/clock.h>
#include <sluice/log/logger.h>
#include <sluice/testing/sim_clock.h>
#include <sluice/testing/sim_random.h>

namespace sluice::simulation {

using Duration = std::chrono::nanoseconds;

/// Time, chance and order of one run: everything that happens is an action in one queue, by
/// simulated time and then by the order in which it was asked for, and every choice comes from one
/// generator. The same seed gives the same run, to the byte of its trace.
class World {
 public:
  World(std::uint64_t seed, Faults faults);

  testing::SimClock clock;
  testing::SimRandom random;
  Trace trace;
  Violations violations;
  const Logger log;  // of the services: into the trace

  void after(Duration delay, std::function<void()> action) {
    clock.after(delay, std::move(action));
  }
  /// Whether this fault happens here and now.
  bool strikes(Fault fault, double probability) {
    return is_faulty_ && faults_.has(fault) && random.chance(probability);
  }
  bool may_strike(Fault fault) const { return is_faulty_ && faults_.has(fault); }
  /// From now on nothing breaks.
  void heal() { is_faulty_ = false; }

  /// Uniform between both.
  Duration between(Duration low, Duration high);
  /// The time that something takes to get from one machine to another.
  Duration hop();

  /// Lets everything happen until `is_over` holds or the time has come; whether it held. May be
  /// called from within an action: that is how a blocking call waits.
  bool run_until(const std::function<bool()>& is_over, MonoTime limit);

  template <typename... Args>
  void violated(Invariant invariant, std::format_string<Args...> format, Args&&... args) {
    report(invariant, std::format(format, std::forward<Args>(args)...));
  }
  std::chrono::milliseconds elapsed() const {
    return std::chrono::duration_cast<std::chrono::milliseconds>(clock.mono() - start_);
  }
  const Faults& faults() const { return faults_; }

 private:
  void report(Invariant invariant, std::string text);

  const Faults faults_;
  const MonoTime start_;
  bool is_faulty_ = true;
};

}  // namespace sluice::simulation
