#include <sluice/swarm/histogram.h>

#include <gtest/gtest.h>

namespace sluice::swarm {

namespace {

using std::chrono::nanoseconds;
using namespace std::chrono_literals;

double off_by(nanoseconds measured, nanoseconds exact) {
  return std::abs(static_cast<double>((measured - exact).count())) /
         static_cast<double>(exact.count());
}

TEST(Histogram, IsEmptyAtFirst) {
  const Histogram histogram;
  EXPECT_EQ(histogram.count(), 0U);
  EXPECT_EQ(histogram.quantile(0.5), 0ns);
  EXPECT_EQ(histogram.max(), 0ns);
}

TEST(Histogram, QuantilesAreWithinTheWidthOfABucket) {
  Histogram histogram;
  for (int i = 1; i <= 100'000; ++i) histogram.record(nanoseconds(i * 1'000));
  EXPECT_LT(off_by(histogram.quantile(0.5), 50ms), 0.016);
  EXPECT_LT(off_by(histogram.quantile(0.95), 95ms), 0.016);
  EXPECT_LT(off_by(histogram.quantile(0.999), 99'900us), 0.016);
  EXPECT_EQ(histogram.quantile(1.0), histogram.max());
}

TEST(Histogram, SmallValuesAreExact) {
  Histogram histogram;
  for (int i = 0; i < 64; ++i) histogram.record(nanoseconds(i));
  EXPECT_EQ(histogram.quantile(0.5), 31ns);
  EXPECT_EQ(histogram.quantile(1.0), 63ns);
}

TEST(Histogram, EveryPowerOfTwoIsFoundAgain) {
  for (unsigned bits = 0; bits < 40; ++bits) {
    Histogram histogram;
    const nanoseconds value(std::int64_t{1} << bits);
    histogram.record(value);
    EXPECT_LT(off_by(histogram.quantile(0.5), value), 0.016) << bits;
  }
}

TEST(Histogram, WhatIsTooLongCountsAsTheLongest) {
  Histogram histogram;
  histogram.record(10h);
  histogram.record(-5ns);
  EXPECT_EQ(histogram.count(), 2U);
  EXPECT_EQ(histogram.max(), 10h);
  EXPECT_GT(histogram.quantile(1.0), 15min);
  EXPECT_EQ(histogram.quantile(0.1), 0ns);
}

TEST(Histogram, AddingIsAsRecordingBoth) {
  Histogram low, high;
  for (int i = 0; i < 90; ++i) low.record(1us);
  for (int i = 0; i < 10; ++i) high.record(1ms);
  low.add(high);
  EXPECT_EQ(low.count(), 100U);
  EXPECT_LT(off_by(low.quantile(0.9), 1us), 0.016);
  EXPECT_LT(off_by(low.quantile(0.91), 1ms), 0.016);
  EXPECT_EQ(low.max(), 1ms);
}

}  // namespace

}  // namespace sluice::swarm
