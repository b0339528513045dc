#include <sluice/service/periodic_task.h>

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <format>
#include <mutex>
#include <thread>
#include <utility>

namespace sluice::service {
namespace {

using std::chrono::milliseconds;

Counter runs(Registry& registry, const std::string& task, std::string_view outcome) {
  return registry.counter("sluice_task_runs_total", "Runs of a periodic task.",
                          {{"task", task}, {"outcome", std::string(outcome)}});
}

}  // namespace

struct PeriodicTask::Impl {
  Impl(Options task_options, const Clock& task_clock, Random& random, const Logger& task_log,
       Registry& registry, Function task_function)
      : options(std::move(task_options)),
        clock(task_clock),
        log(task_log),
        function(std::move(task_function)),
        succeeded(runs(registry, options.name, "ok")),
        failed(runs(registry, options.name, "error")),
        seconds(registry.histogram("sluice_task_duration_seconds", "How long a run takes.",
                                   latency_buckets_seconds(), {{"task", options.name}})),
        last_success(registry.gauge("sluice_task_last_success_timestamp_seconds",
                                    "When a run last succeeded, since the epoch; 0 before.",
                                    {{"task", options.name}})),
        first_wait(random.below(static_cast<std::uint64_t>(options.interval.count()) + 1)),
        thread([this](const std::stop_token& stop) { loop(stop); }) {}

  void loop(const std::stop_token& stop) {
    milliseconds wait = first_wait;
    while (true) {
      {
        std::unique_lock lock(mutex);
        triggered.wait_for(lock, stop, wait, [&] { return is_triggered; });
        if (stop.stop_requested()) return;
        is_triggered = false;
      }
      run_once(stop);
      wait = options.interval;
    }
  }

  void run_once(const std::stop_token& stop) {
    const MonoTime begin = clock.mono();
    Result<> result;
    try {
      result = function(stop);
    } catch (const std::exception& e) {
      result = fail(ErrorCode::kInternal, std::format("exception: {}", e.what()));
    }
    seconds.observe(std::chrono::duration<double>(clock.mono() - begin).count());
    if (result) {
      succeeded.add();
      const auto now = clock.wall().time_since_epoch();
      last_success.set(std::chrono::duration<double>(now).count());
    } else if (!stop.stop_requested()) {  // a run that gave up because it was told to has not
                                          // failed
      failed.add();
      log.warning("task_failed", result.error(), {{"task", options.name}});
    }
  }

  const Options options;
  const Clock& clock;
  const Logger log;
  const Function function;
  Counter succeeded;
  Counter failed;
  Histogram seconds;
  Gauge last_success;
  const milliseconds first_wait;
  std::mutex mutex;
  std::condition_variable_any triggered;
  bool is_triggered = false;
  std::mutex stop_mutex;  // two stops at once may not both join
  std::jthread thread;    // last: ends before what it uses
};

PeriodicTask::PeriodicTask(Options options, const Clock& clock, Random& random, const Logger& log,
                           Registry& registry, Function function)
    : impl_(std::make_unique<Impl>(std::move(options), clock, random, log, registry,
                                   std::move(function))) {}

PeriodicTask::~PeriodicTask() { stop(); }

void PeriodicTask::trigger() {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->is_triggered = true;
  }
  impl_->triggered.notify_one();
}

void PeriodicTask::stop() {
  const std::lock_guard lock(impl_->stop_mutex);
  if (!impl_->thread.joinable()) return;
  impl_->thread.request_stop();
  impl_->thread.join();
}

}  // namespace sluice::service
