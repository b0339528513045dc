#include "readiness.h"

#include <atomic>
#include <stdexcept>
#include <thread>

#include <sluice/metrics/metrics.h>
#include <sluice/testing/captured_log.h>
#include <sluice/testing/eventually.h>
#include <sluice/testing/sim_clock.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::service {
namespace {

using namespace std::chrono_literals;
using testing::CapturedLog;
using testing::eventually;
using ::testing::HasSubstr;
using testing::SimClock;

Result<> good() { return {}; }
Result<> bad() { return fail(ErrorCode::kUnavailable, "connect: refused"); }

TEST(CheckState, IsBadUntilTheFirstAnswer) {
  const CheckState state;
  const CheckReport report = state.report("postgres", MonoTime());
  EXPECT_EQ(report.name, "postgres");
  EXPECT_FALSE(report.is_ready);
  EXPECT_EQ(report.reason, "not checked yet");
}

TEST(CheckState, TheFirstAnswerCountsAtOnce) {
  CheckState state;
  EXPECT_TRUE(state.update(good(), MonoTime()));
  EXPECT_TRUE(state.report("", MonoTime()).is_ready);
  CheckState other;
  EXPECT_TRUE(other.update(bad(), MonoTime()));
  EXPECT_EQ(other.report("", MonoTime()).reason, "connect: refused");
}

TEST(CheckState, TurnsBadAfterThreeFailuresInARow) {
  CheckState state;
  state.update(good(), MonoTime());
  EXPECT_FALSE(state.update(bad(), MonoTime()));
  EXPECT_FALSE(state.update(bad(), MonoTime()));
  EXPECT_FALSE(state.update(good(), MonoTime()));  // the row begins anew
  EXPECT_FALSE(state.update(bad(), MonoTime()));
  EXPECT_FALSE(state.update(bad(), MonoTime()));
  EXPECT_TRUE(state.report("", MonoTime()).is_ready);
  EXPECT_TRUE(state.update(bad(), MonoTime()));
  EXPECT_FALSE(state.report("", MonoTime()).is_ready);
  EXPECT_EQ(state.report("", MonoTime()).reason, "connect: refused");
}

TEST(CheckState, TurnsGoodAfterTwoSuccessesInARow) {
  CheckState state;
  state.update(bad(), MonoTime());
  EXPECT_FALSE(state.update(good(), MonoTime()));
  EXPECT_FALSE(state.update(bad(), MonoTime()));
  EXPECT_FALSE(state.update(good(), MonoTime()));
  EXPECT_FALSE(state.report("", MonoTime()).is_ready);
  EXPECT_TRUE(state.update(good(), MonoTime()));
  EXPECT_TRUE(state.report("", MonoTime()).is_ready);
  EXPECT_EQ(state.report("", MonoTime()).reason, "");
}

TEST(CheckState, AnAnswerThatIsTooOldCountsNoMore) {
  CheckState state;
  state.update(good(), MonoTime(100s));
  EXPECT_TRUE(state.report("", MonoTime(110s)).is_ready);
  const CheckReport report = state.report("", MonoTime(112s));
  EXPECT_FALSE(report.is_ready);
  EXPECT_EQ(report.reason, "has not answered for 12 s");
}

struct Fixture {
  SimClock clock;
  Registry registry;
  std::shared_ptr<CapturedLog> lines = std::make_shared<CapturedLog>();
  const Logger log = lines->logger("test", clock);
  Readiness readiness{clock, log, registry};

  bool is_ready() const { return readiness.reports().front().is_ready; }
};

TEST(Readiness, FollowsItsCheck) {
  Fixture fixture;
  std::atomic<bool> is_up = false;
  fixture.readiness.add("store", [&] { return is_up ? good() : bad(); });
  EXPECT_FALSE(fixture.is_ready());
  fixture.readiness.start(1ms);
  EXPECT_TRUE(fixture.lines->wait_for("readiness_check_bad", 30s));
  is_up = true;
  EXPECT_TRUE(eventually([&] { return fixture.is_ready(); }));
  EXPECT_TRUE(fixture.lines->wait_for("readiness_check_good", 30s));
  EXPECT_THAT(fixture.registry.scrape(),
              HasSubstr("sluice_readiness_check_ready{check=\"store\"} 1"));
}

TEST(Readiness, WhatACheckThrowsIsAFailure) {
  Fixture fixture;
  fixture.readiness.add("store", []() -> Result<> { throw std::runtime_error("planted"); });
  fixture.readiness.start(1ms);
  EXPECT_TRUE(eventually([&] { return fixture.readiness.reports().front().reason == "planted"; }));
}

TEST(Readiness, ACheckThatHangsIsSeenAndHoldsNoReaderUp) {
  Fixture fixture;
  std::atomic<bool> is_hanging = false;
  std::atomic<bool> may_return = false;
  fixture.readiness.add("store", [&] {
    if (is_hanging) may_return.wait(false);
    return good();
  });
  fixture.readiness.start(1ms);
  EXPECT_TRUE(eventually([&] { return fixture.is_ready(); }));
  is_hanging = true;
  // Time goes on with the test, however often the check ran before it hung.
  EXPECT_TRUE(eventually([&] {
    fixture.clock.advance(11s);
    return !fixture.is_ready();
  }));
  may_return = true;
  may_return.notify_all();
}

TEST(Readiness, NoCheckRunsAfterStop) {
  Fixture fixture;
  std::atomic<int> runs = 0;
  fixture.readiness.add("store", [&] {
    ++runs;
    return good();
  });
  fixture.readiness.start(1ms);
  EXPECT_TRUE(eventually([&] { return runs > 3; }));
  fixture.readiness.stop();
  const int at_stop = runs;
  fixture.readiness.stop();
  EXPECT_EQ(runs, at_stop);
}

}  // namespace
}  // namespace sluice::service
