#pragma once

#include "ops_routes.h"
#include "readiness.h"
#include "service_settings.h"

#include <condition_variable>
#include <functional>
#include <list>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/base/clock.h>
#include <sluice/base/random.h>
#include <sluice/log/logger.h>
#include <sluice/metrics/metrics.h>

namespace sluice::service::runtime_detail {

/// The life of a service's process, which Runtime is the body's view of.
///
///   starting ── wait() ──▶ serving ── drain or stop ──▶ draining ──▶ drained ── stop ──▶ stopping
///   ──▶ stopped
///
/// POST /drain leads to drained and no further, so that whoever takes the process out of service
/// decides when it ends. The body's thread makes all steps; other threads only ask.
class Core {
 public:
  Core(std::string name, const ServiceSettings& settings, const Clock& clock, Random& random,
       const Logger& log, Registry& registry);
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;

  // What Runtime offers.
  void add_component(std::string type, std::function<void()> stop);
  void add_check(std::string name, std::function<Result<>()> check);
  void on_drain(std::function<void()> hook);
  void add_page(OpsPage page);
  void set_address(std::string_view listener, std::string_view address);
  Result<> wait();
  void fail(Error error);

  // Any thread.
  void ask_drain();
  /// With the signal that asks, if one does: the body's thread writes it to the log.
  void ask_stop(std::string_view signal = {});
  bool is_stopping() const;
  bool is_started() const;
  ReadinessReport readiness() const;
  std::string scrape() const;
  /// The service's own page at that path; it stays where it is. nullptr when there is none.
  const OpsPage* find_page(std::string_view path) const;
  OpsResponse show(const OpsPage& page) const;
  std::optional<Error> failure() const;
  /// The type of the component that is being stopped; empty when none is.
  std::string stopping_component() const;
  /// When the process must have ended; nullopt until an end was asked for.
  std::optional<MonoTime> end_deadline() const;
  /// Called whenever end_deadline() changes; must be quick and call nothing of this.
  void on_change(std::function<void()> notify);

  const std::string name;
  const Clock& clock;
  Random& random;
  const Logger& log;
  Registry& registry;

 private:
  enum class Phase { kStarting, kServing, kDraining, kDrained, kStopping, kStopped };
  struct Component {
    std::string type;
    std::function<void()> stop;
  };

  static std::string_view to_string(Phase phase);
  /// Lets gauge functions and pages be called by the ops port, or waits for the one that does and
  /// lets no other.
  void allow_functions(bool allowed);
  void tell_signal();
  /// Returns when nothing that the body owns is called any more. Any number of times.
  void stop_watching();
  void enter(Phase phase);
  void begin_serving();
  void drain();
  void stop_components();
  void set_stopping_component(std::string_view type);
  Result<> write_address_file() const;

  const ServiceSettings& settings_;
  Readiness readiness_;
  std::vector<Component> components_;         // of the body's thread
  std::vector<std::function<void()>> hooks_;  // of the body's thread
  std::map<std::string, std::string> addresses_;

  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable asked_;
  Phase phase_ = Phase::kStarting;
  bool has_served_ = false;
  bool is_drain_asked_ = false;
  bool is_stop_asked_ = false;
  std::optional<MonoTime> stop_asked_at_;
  std::string_view stop_signal_;  // a literal, until it is in the log
  std::optional<Error> failure_;
  std::string stopping_component_;
  std::function<void()> notify_;

  mutable std::mutex scrape_mutex_;  // held while gauge functions and pages may be called
  bool may_call_functions_ = false;
  std::list<OpsPage> pages_;  // none ever goes, so that one that was found stays good
};

}  // namespace sluice::service::runtime_detail
