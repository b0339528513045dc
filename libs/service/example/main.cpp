// A service with nothing to do, which the tests of libs/service start as a real process. What it
// does wrong is a setting, so that every way to end can be seen from outside.

#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>

#include <sluice/service/periodic_task.h>
#include <sluice/service/run.h>

namespace {

using sluice::Result;

struct Config {
  std::string behaviour;
  std::string ready_file;
  std::int64_t batch_rows = 0;
  sluice::Secret password;

  void declare(sluice::Settings& settings) {
    settings.text("behaviour", &behaviour, "serve",
                  {.required = true,
                   .one_of = {"serve", "return", "fail_start", "throw", "fail_later",
                              "ignore_failure", "stop", "slow_start", "hang_stop"}},
                  "What it does wrong.");
    settings.text("ready_file", &ready_file, "", {}, "Ready once this file exists; empty: always.");
    settings.integer("batch_rows", &batch_rows, 100, {.min = 1, .max = 1000}, "Rows at once.");
    settings.secret_file("password_file", &password, false, "File with a password.");
  }
};

/// A component that tells the log when it is stopped.
class Part {
 public:
  Part(std::string name, const sluice::Logger& log) : name_(std::move(name)), log_(log) {}
  void stop() { log_.info("part_stopped", {{"part", name_}}); }

 private:
  std::string name_;
  const sluice::Logger& log_;
};

/// A component that never comes to rest.
class Hanging {
 public:
  void stop() {
    std::unique_lock lock(mutex_);
    never_.wait(lock, [] { return false; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable never_;
};

Result<> body(sluice::service::Runtime& runtime, const Config& config) {
  using std::chrono::milliseconds;
  const std::string& behaviour = config.behaviour;
  const auto broken = [] {
    return sluice::Error(sluice::ErrorCode::kUnavailable, "planted failure");
  };
  if (behaviour == "return") return {};
  if (behaviour == "fail_start") return sluice::fail(broken());
  if (behaviour == "throw") throw std::runtime_error("planted exception");
  if (behaviour == "slow_start") {
    runtime.log().info("starting_slowly");
    std::mutex mutex;
    std::condition_variable never;
    std::unique_lock lock(mutex);
    while (!runtime.is_stopping()) never.wait_for(lock, milliseconds(1));
  }

  Part first("first", runtime.log());
  Part second("second", runtime.log());
  Hanging hanging;
  runtime.registry().gauge_function("sluice_example_rows", "A gauge of what the body owns.", {},
                                    [&] { return static_cast<double>(config.batch_rows); });
  // Only its first run matters: within a millisecond of serving or earlier, as a component's thread
  // does.
  sluice::service::PeriodicTask task(
      {.name = "example", .interval = milliseconds(1)}, runtime.clock(), runtime.random(),
      runtime.log(), runtime.registry(), [&](const std::stop_token&) -> Result<> {
        if (behaviour == "fail_later" || behaviour == "ignore_failure") runtime.fail(broken());
        if (behaviour == "stop") runtime.stop();
        return {};
      });
  runtime.add(first);
  runtime.add(second);
  runtime.add(task);
  if (behaviour == "hang_stop") runtime.add(hanging);
  runtime.add_readiness("file", [&]() -> Result<> {
    if (config.ready_file.empty() || std::filesystem::exists(config.ready_file)) return {};
    return sluice::fail(sluice::ErrorCode::kUnavailable, "the file is missing");
  });
  runtime.add_readiness("always", [] { return true; });
  runtime.on_drain([&] { runtime.log().info("hook_called", {{"hook", "first"}}); });
  runtime.on_drain([&] { runtime.log().info("hook_called", {{"hook", "second"}}); });
  runtime.set_address("http", "127.0.0.1:1");
  const Result<> outcome = runtime.wait();
  return behaviour == "ignore_failure" ? Result<>() : outcome;
}

}  // namespace

int main(int argc, char** argv) {
  return sluice::service::run<Config>("service-example", argc, argv, body);
}
