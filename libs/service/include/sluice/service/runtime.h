#pragma once

#include <concepts>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <typeinfo>
#include <utility>

#include <sluice/base/clock.h>
#include <sluice/base/random.h>
#include <sluice/base/result.h>
#include <sluice/log/logger.h>
#include <sluice/metrics/metrics.h>
#include <sluice/service/ops_page.h>

namespace sluice::service {

namespace runtime_detail {
class Core;
}

/// Something that runs by itself until told to end: a consumer loop, a server, a periodic task.
/// stop() returns when the component is at rest; it must have an end of its own.
template <typename T>
concept Component = requires(T& component) { component.stop(); };

/// What the body of a service works with: the outside world as parameters, and the places where its
/// parts join the process' life. Made by run() alone; lives as long as the body runs.
///
/// The life: the body opens what it needs, add()s it and calls wait(). Inside wait() the service is
/// started, its readiness checks run, and it serves, until SIGTERM, SIGINT, stop() or fail(). Then
/// it says not-ready, waits `drain_delay`, calls the drain hooks, stops the components in reverse
/// order of add(), and wait() returns. What the body owns is destroyed after that, so that nothing
/// given to the Runtime is called outside wait(): a body that returns early needs no clean-up. POST
/// /drain goes as far as the drain hooks and waits there for the end to be asked for.
///
/// Threads: add*, on_drain, set_address and wait belong to the body's thread; the rest to any
/// thread.
class Runtime {
 public:
  explicit Runtime(runtime_detail::Core& core) : core_(core) {}
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  /// The service's name: "device-registry".
  const std::string& name() const;
  const Clock& clock() const;
  Random& random() const;
  const Logger& log() const;
  Registry& registry() const;

  /// Stopped in reverse order of adding. The component must outlive wait().
  template <Component T>
  void add(T& component) {
    add_component(typeid(T), [&component] { component.stop(); });
  }

  /// A condition for receiving work, such as "postgres". `check` returns bool or Result<>, whose
  /// error text /readyz shows to operators. All checks run on one background thread, every
  /// `readiness_period`, each followed by the next: /readyz shows the last answers and never waits.
  /// The first answer counts at once; then a check turns bad after three failures in a row and good
  /// after two successes, and bad when it has not answered for ten seconds. What it throws is a
  /// failure. Must be thread-safe and should have a deadline of its own, since the end waits for a
  /// check that runs.
  template <typename Check>
    requires std::is_invocable_v<Check&>
  void add_readiness(std::string check_name, Check check) {
    if constexpr (std::same_as<std::invoke_result_t<Check&>, bool>) {
      add_check(std::move(check_name), [check = std::move(check)]() mutable -> Result<> {
        if (check()) return {};
        return sluice::fail(ErrorCode::kUnavailable, "not ready");
      });
    } else {
      add_check(std::move(check_name), std::move(check));
    }
  }

  /// Called once, in order of adding, when the service begins to drain (POST /drain, SIGTERM):
  /// refuse new work, finish what is in hand. Components still run. On the body's thread.
  void on_drain(std::function<void()> hook);

  /// Shows something on the ops port: a page of the service's own, for GET alone. Asked for inside
  /// wait() only; before and after it answers 503.
  void add_ops_page(OpsPage page);

  /// Where a listener is bound: set_address("http", "127.0.0.1:41234"), for `address_file`.
  void set_address(std::string_view listener, std::string_view address);

  /// Serves until told to end, then drains and stops everything. An error when fail() was called.
  Result<> wait();

  /// Ends the service in good order with exit status 0, as SIGTERM does.
  void stop() const;
  /// A component cannot go on: ends the service in good order, with exit status 1. The first error
  /// wins.
  void fail(Error error) const;
  /// Whether the end was asked for: for long starts, such as migrations, that should give up early.
  bool is_stopping() const;

 private:
  void add_component(const std::type_info& type, std::function<void()> stop);
  void add_check(std::string check_name, std::function<Result<>()> check);

  runtime_detail::Core& core_;
};

}  // namespace sluice::service
