#include "lag_probe.h"

#include <gtest/gtest.h>

namespace sluice::load {

namespace {

using namespace std::chrono_literals;

constexpr MonoTime kStart{1h};

TEST(LagProbe, ALoopThatIsAlwaysThereIsNeverLate) {
  swarm::Histogram lag;
  LagProbe probe(kStart, lag);
  for (auto now = kStart; now < kStart + 50ms; now += 100us) probe.polled(now);
  EXPECT_GE(lag.count(), 48U);
  EXPECT_LE(lag.max(), 100us);
}

TEST(LagProbe, CountsEachMillisecondThatALoopWasAway) {
  swarm::Histogram lag;
  LagProbe probe(kStart, lag);
  probe.polled(kStart + 20ms);
  EXPECT_EQ(lag.count(), 0U);  // seen, but whatever was ready then is for the next poll
  probe.polled(kStart + 20ms);
  EXPECT_EQ(lag.count(), 20U);
  EXPECT_EQ(lag.max(), 19ms);
  EXPECT_NEAR(static_cast<double>(lag.quantile(0.5).count()), 9e6, 0.2e6);
}

TEST(LagProbe, APollWaitsForTheNextTickAndNotAtAllWhereOneWaits) {
  swarm::Histogram lag;
  LagProbe probe(kStart, lag);
  EXPECT_EQ(probe.limit(kStart, 10ms), 1ms);
  EXPECT_EQ(probe.limit(kStart, 200us), 200us);
  EXPECT_EQ(probe.limit(kStart + 3ms, 10ms), 0ms);
  probe.polled(kStart + 1ms);
  EXPECT_EQ(probe.limit(kStart + 1ms, 10ms), 0ms);
  probe.polled(kStart + 1ms);
  EXPECT_EQ(probe.limit(kStart + 1ms, 10ms), 1ms);
}

TEST(LagProbe, ForgetsATimeInWhichItWasNotMeantToRun) {
  swarm::Histogram lag;
  LagProbe probe(kStart, lag);
  probe.restart(kStart + 1s);
  probe.polled(kStart + 1s);
  probe.polled(kStart + 1s + 1ms);
  probe.polled(kStart + 1s + 1ms);
  EXPECT_EQ(lag.count(), 1U);
  EXPECT_EQ(lag.max(), 0ns);
}

TEST(LagProbe, CountsWhereItIsTold) {
  swarm::Histogram before, during;
  LagProbe probe(kStart, before);
  probe.record_in(during);
  probe.polled(kStart + 1ms);
  probe.polled(kStart + 1ms);
  EXPECT_EQ(before.count(), 0U);
  EXPECT_EQ(during.count(), 1U);
}

}  // namespace

}  // namespace sluice::load
