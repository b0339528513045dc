#include <sluice/service/periodic_task.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <stdexcept>
#include <thread>

#include <sluice/testing/captured_log.h>
#include <sluice/testing/eventually.h>
#include <sluice/testing/sim_clock.h>
#include <sluice/testing/sim_random.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::service {
namespace {

using namespace std::chrono_literals;
using testing::CapturedLog;
using testing::eventually;
using ::testing::HasSubstr;

struct Fixture {
  testing::SimClock clock;
  testing::SimRandom random{1};
  Registry registry;
  std::shared_ptr<CapturedLog> lines = std::make_shared<CapturedLog>();
  const Logger log = lines->logger("test", clock);

  PeriodicTask task(std::chrono::milliseconds interval, PeriodicTask::Function function) {
    return PeriodicTask({.name = "janitor", .interval = interval}, clock, random, log, registry,
                        std::move(function));
  }
  std::uint64_t runs(std::string outcome) {
    return registry
        .counter("sluice_task_runs_total", "Runs of a periodic task.",
                 {{"task", "janitor"}, {"outcome", std::move(outcome)}})
        .value();
  }
};

TEST(PeriodicTask, RunsAgainAndAgain) {
  Fixture fixture;
  const auto task = fixture.task(1ms, [](const std::stop_token&) -> Result<> { return {}; });
  EXPECT_TRUE(eventually([&] { return fixture.runs("ok") >= 3; }));
  EXPECT_THAT(fixture.registry.scrape(),
              HasSubstr("sluice_task_last_success_timestamp_seconds{task=\"janitor\"} 17672256"));
}

TEST(PeriodicTask, ATriggerDoesNotWaitForTheInterval) {
  Fixture fixture;
  auto task = fixture.task(24h * 365, [](const std::stop_token&) -> Result<> { return {}; });
  task.trigger();
  EXPECT_TRUE(eventually([&] { return fixture.runs("ok") == 1; }));
}

TEST(PeriodicTask, AFailureIsToldAndTheNextRunComes) {
  Fixture fixture;
  std::atomic<int> count = 0;
  const auto task = fixture.task(1ms, [&](const std::stop_token&) -> Result<> {
    if (++count == 1) return fail(ErrorCode::kUnavailable, "planted");
    if (count == 2) throw std::runtime_error("planted too");
    return {};
  });
  EXPECT_TRUE(eventually([&] { return fixture.runs("ok") >= 1; }));
  EXPECT_EQ(fixture.runs("error"), 2U);
  EXPECT_EQ(fixture.lines->count("task_failed"), 2U);
}

TEST(PeriodicTask, StopTellsTheRunningOneAndWaitsForIt) {
  Fixture fixture;
  std::atomic<bool> is_running = false;
  std::atomic<bool> has_ended = false;
  auto task = fixture.task(1ms, [&](const std::stop_token& stop) -> Result<> {
    is_running = true;
    std::mutex mutex;
    std::condition_variable_any never;
    std::unique_lock lock(mutex);
    never.wait(lock, stop, [] { return false; });
    has_ended = true;
    return fail(ErrorCode::kCancelled, "told to stop");
  });
  EXPECT_TRUE(eventually([&] { return is_running.load(); }));
  task.stop();
  EXPECT_TRUE(has_ended);
  EXPECT_EQ(fixture.runs("error"), 0U);  // giving up when told to is no failure
}

TEST(PeriodicTask, StopsFromSeveralThreadsAndMoreThanOnce) {
  Fixture fixture;
  auto task = fixture.task(1ms, [](const std::stop_token&) -> Result<> { return {}; });
  {
    const std::jthread first([&] { task.stop(); });
    const std::jthread second([&] { task.stop(); });
  }
  task.stop();
  const auto runs = fixture.runs("ok");
  task.trigger();
  EXPECT_EQ(fixture.runs("ok"), runs);
}

}  // namespace
}  // namespace sluice::service
