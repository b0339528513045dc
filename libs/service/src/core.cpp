#include "core.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <exception>
#include <format>
#include <fstream>
#include <ranges>
#include <utility>

#include <sluice/base/check.h>

#include <nlohmann/json.hpp>
#include <unistd.h>

namespace sluice::service::runtime_detail {

Core::Core(std::string service_name, const ServiceSettings& settings, const Clock& service_clock,
           Random& service_random, const Logger& service_log, Registry& service_registry)
    : name(std::move(service_name)),
      clock(service_clock),
      random(service_random),
      log(service_log),
      registry(service_registry),
      settings_(settings),
      readiness_(clock, log, registry) {
  registry.gauge_function("sluice_service_ready", "Whether /readyz says ready (1) or not (0).", {},
                          [this] { return readiness().is_ready ? 1 : 0; });
}

void Core::add_component(std::string type, std::function<void()> stop) {
  components_.push_back({std::move(type), std::move(stop)});
}

void Core::add_check(std::string check_name, std::function<Result<>()> check) {
  readiness_.add(std::move(check_name), std::move(check));
}

void Core::on_drain(std::function<void()> hook) { hooks_.push_back(std::move(hook)); }

void Core::add_page(OpsPage page) {
  const std::lock_guard lock(scrape_mutex_);
  pages_.push_back(std::move(page));
}

void Core::set_address(std::string_view listener, std::string_view address) {
  addresses_[std::string(listener)] = address;
}

Result<> Core::wait() {
  {
    const std::lock_guard lock(mutex_);
    SLUICE_CHECK(phase_ == Phase::kStarting);
  }
  // Also when a hook or a component throws: the body's unwinding destroys what checks and gauge
  // functions refer to.
  struct Guard {
    ~Guard() { core.stop_watching(); }
    Core& core;
  } const guard{*this};
  if (!is_stopping()) {
    if (auto written = write_address_file(); !written) {
      fail(std::move(written).error().context("address_file"));
    } else {
      begin_serving();
    }
  }
  drain();
  {
    std::unique_lock lock(mutex_);
    asked_.wait(lock, [&] { return is_stop_asked_; });
  }
  stop_components();
  if (auto error = failure()) return sluice::fail(*std::move(error));
  return {};
}

void Core::begin_serving() {
  enter(Phase::kServing);
  allow_functions(true);
  readiness_.start(settings_.readiness_period);
  std::unique_lock lock(mutex_);
  has_served_ = true;
  asked_.wait(lock, [&] { return is_drain_asked_ || is_stop_asked_; });
}

void Core::drain() {
  tell_signal();
  enter(Phase::kDraining);
  {
    // Nobody was sent here who never was ready, and a failure serves nobody by lasting.
    std::unique_lock lock(mutex_);
    if (has_served_)
      asked_.wait_for(lock, settings_.drain_delay, [&] { return failure_.has_value(); });
  }
  for (const auto& hook : hooks_) hook();
  enter(Phase::kDrained);
}

void Core::stop_components() {
  tell_signal();
  enter(Phase::kStopping);
  stop_watching();
  for (const Component& component : std::views::reverse(components_)) {
    const MonoTime begin = clock.mono();
    set_stopping_component(component.type);
    component.stop();
    const auto took = std::chrono::duration<double>(clock.mono() - begin);
    log.info("component_stopped", {{"component", component.type}, {"seconds", took.count()}});
  }
  set_stopping_component("");
  enter(Phase::kStopped);
}

void Core::tell_signal() {
  std::string_view signal;
  {
    const std::lock_guard lock(mutex_);
    signal = std::exchange(stop_signal_, {});
  }
  if (!signal.empty()) log.info("signal", {{"signal", signal}});
}

void Core::stop_watching() {
  readiness_.stop();
  allow_functions(false);
}

void Core::fail(Error error) {
  {
    const std::lock_guard lock(mutex_);
    if (failure_) return;
    failure_ = std::move(error);
  }
  ask_stop();
}

void Core::ask_drain() {
  {
    const std::lock_guard lock(mutex_);
    is_drain_asked_ = true;
  }
  asked_.notify_all();
}

void Core::ask_stop(std::string_view signal) {
  {
    const std::lock_guard lock(mutex_);
    is_stop_asked_ = true;
    if (!stop_asked_at_) stop_asked_at_ = clock.mono();
    if (!signal.empty()) stop_signal_ = signal;
    // Under the lock, so that on_change(nullptr) returns when no call runs any more.
    if (notify_) notify_();
  }
  asked_.notify_all();
}

bool Core::is_stopping() const {
  const std::lock_guard lock(mutex_);
  return is_stop_asked_;
}

bool Core::is_started() const {
  const std::lock_guard lock(mutex_);
  return phase_ != Phase::kStarting;
}

ReadinessReport Core::readiness() const {
  ReadinessReport report{.is_ready = false, .state = "", .checks = readiness_.reports()};
  const std::lock_guard lock(mutex_);
  // Not ready from the moment somebody asks for the end, not from when the body's thread takes
  // note.
  const bool is_serving = phase_ == Phase::kServing && !is_drain_asked_ && !is_stop_asked_;
  report.is_ready = is_serving && std::ranges::all_of(report.checks, &CheckReport::is_ready);
  report.state = phase_ == Phase::kServing && !is_serving ? "draining" : to_string(phase_);
  return report;
}

std::string Core::scrape() const {
  const std::lock_guard lock(scrape_mutex_);
  return registry.scrape(may_call_functions_ ? Registry::Functions::kCall
                                             : Registry::Functions::kSkip);
}

const OpsPage* Core::find_page(std::string_view path) const {
  const std::lock_guard lock(scrape_mutex_);
  const auto page = std::ranges::find(pages_, path, &OpsPage::path);
  return page == pages_.end() ? nullptr : &*page;
}

OpsResponse Core::show(const OpsPage& page) const {
  const std::lock_guard lock(scrape_mutex_);
  return may_call_functions_ ? page.answer() : plain(503, "not while starting or stopping");
}

std::optional<Error> Core::failure() const {
  const std::lock_guard lock(mutex_);
  return failure_;
}

std::string Core::stopping_component() const {
  const std::lock_guard lock(mutex_);
  return stopping_component_;
}

void Core::set_stopping_component(std::string_view type) {
  const std::lock_guard lock(mutex_);
  stopping_component_ = type;
}

std::optional<MonoTime> Core::end_deadline() const {
  const std::lock_guard lock(mutex_);
  if (!stop_asked_at_) return std::nullopt;
  return *stop_asked_at_ + settings_.drain_delay + settings_.shutdown_grace;
}

void Core::on_change(std::function<void()> notify) {
  const std::lock_guard lock(mutex_);
  notify_ = std::move(notify);
}

std::string_view Core::to_string(Phase phase) {
  switch (phase) {
    case Phase::kStarting:
      return "starting";
    case Phase::kServing:
      return "serving";
    case Phase::kDraining:
      return "draining";
    case Phase::kDrained:
      return "drained";
    case Phase::kStopping:
      return "stopping";
    case Phase::kStopped:
      return "stopped";
  }
  return "";
}

void Core::allow_functions(bool allowed) {
  const std::lock_guard lock(scrape_mutex_);
  may_call_functions_ = allowed;
}

void Core::enter(Phase phase) {
  {
    const std::lock_guard lock(mutex_);
    phase_ = phase;
  }
  log.info("service_state", {{"state", to_string(phase)}});
}

Result<> Core::write_address_file() const {
  if (settings_.address_file.empty()) return {};
  // Under another name first: a reader sees nothing or the whole.
  const std::string temporary = std::format("{}.{}", settings_.address_file, getpid());
  {
    std::ofstream file(temporary, std::ios::trunc);
    file << nlohmann::json(addresses_).dump() << '\n';
    file.close();
    if (!file) return sluice::fail(ErrorCode::kUnavailable, std::strerror(errno));
  }
  if (std::rename(temporary.c_str(), settings_.address_file.c_str()) != 0) {
    const std::string why = std::strerror(errno);
    std::remove(temporary.c_str());
    return sluice::fail(ErrorCode::kUnavailable, why);
  }
  return {};
}

}  // namespace sluice::service::runtime_detail
