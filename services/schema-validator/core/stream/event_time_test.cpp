#include "core/stream/event_time.h"

#include <gtest/gtest.h>

namespace sluice::validator {
namespace {

constexpr std::int64_t kNow = 1'800'000'000'000;
constexpr std::int64_t kDay = 24LL * 3600 * 1000;

EventTime judge(std::optional<std::int64_t> device_time, const TimeSettings& settings = {}) {
  return event_time_of(device_time, kNow, ClockEstimate(), settings);
}

TEST(EventTime, IsTheDevicesWhereItIsCredible) {
  const EventTime time = judge(kNow - 1000);
  EXPECT_EQ(time.event_time_ms, kNow - 1000);
  EXPECT_EQ(time.quality, 0U);
  EXPECT_FALSE(time.keeps_device_time);
  EXPECT_TRUE(time.is_credible);
}

TEST(EventTime, IsOursWithoutAFlagWhereTheDeviceTellsNone) {
  const EventTime time = judge(std::nullopt);
  EXPECT_EQ(time.event_time_ms, kNow);
  EXPECT_EQ(time.quality, 0U);
  EXPECT_FALSE(time.keeps_device_time);
  EXPECT_FALSE(time.is_credible);
}

TEST(EventTime, TakesBothBoundsOfTheWindowForCredible) {
  EXPECT_EQ(judge(kNow - 7 * kDay).event_time_ms, kNow - 7 * kDay);
  EXPECT_EQ(judge(kNow + 300'000).event_time_ms, kNow + 300'000);
}

TEST(EventTime, FlagsAndKeepsWhatIsNotCredible) {
  for (const std::int64_t device_time :
       {kNow - 7 * kDay - 1, kNow + 300'001, std::int64_t{0}, INT64_MIN, INT64_MAX}) {
    const EventTime time = judge(device_time);
    EXPECT_EQ(time.event_time_ms, kNow) << device_time;
    EXPECT_EQ(time.quality, kClockSkewed) << device_time;
    EXPECT_TRUE(time.keeps_device_time) << device_time;
  }
}

TEST(EventTime, IsLatePastTheAllowedLatenessOnly) {
  const TimeSettings settings{.allowed_lateness_ms = 60'000};
  EXPECT_EQ(judge(kNow - 60'000, settings).quality, 0U);
  EXPECT_EQ(judge(kNow - 60'001, settings).quality, kLate);
}

TEST(EventTime, IsNeverLateWhereOursIsUsed) {
  EXPECT_EQ(judge(kNow - 100 * kDay).quality & kLate, 0U);
}

TEST(ClockEstimate, SaysNothingAfterTooFewMessages) {
  ClockEstimate clock;
  for (std::uint32_t i = 1; i < ClockEstimate::kMinObservations; ++i) {
    clock.observe(kNow + i, kNow + i);
    EXPECT_FALSE(clock.offset_ms());
  }
  clock.observe(kNow + 100, kNow + 100);
  EXPECT_EQ(clock.offset_ms(), 0);
}

TEST(ClockEstimate, FindsTheOffsetUnderVaryingDelays) {
  ClockEstimate clock;
  constexpr std::int64_t kAhead = 90'000;
  for (std::int64_t i = 0; i < 200; ++i) {
    const std::int64_t sent = kNow + i * 10'000;
    const std::int64_t delay = 20 + (i * 7919) % 3000;
    clock.observe(sent + kAhead, sent + delay);
  }
  ASSERT_TRUE(clock.offset_ms());
  EXPECT_LE(*clock.offset_ms(), kAhead);
  EXPECT_GE(*clock.offset_ms(), kAhead - 200);
}

TEST(ClockEstimate, FollowsAClockThatWasSetAfterTwoWindows) {
  ClockEstimate clock;
  std::int64_t now = kNow;
  for (; now < kNow + ClockEstimate::kWindowMs; now += 10'000) clock.observe(now + 60'000, now);
  for (; now < kNow + 4 * ClockEstimate::kWindowMs; now += 10'000) clock.observe(now - 5'000, now);
  EXPECT_EQ(clock.offset_ms(), -5'000);
}

TEST(ClockEstimate, StandsAnyTimeADeviceMayClaim) {
  ClockEstimate clock;
  for (int i = 0; i < 20; ++i) clock.observe(i % 2 == 0 ? INT64_MIN : INT64_MAX, kNow);
  EXPECT_EQ(clock.offset_ms(), INT64_MAX - kNow);
}

TEST(EventTime, IsCorrectedByTheEstimateWhereThePolicySaysSo) {
  ClockEstimate clock;
  for (int i = 0; i < 20; ++i) clock.observe(kNow - 50 * kDay + i, kNow + i);  // no battery
  const TimeSettings settings{.corrects_offset = true};
  const EventTime time = event_time_of(kNow - 50 * kDay - 2000, kNow, clock, settings);
  EXPECT_EQ(time.event_time_ms, kNow - 2000);
  EXPECT_EQ(time.quality, kClockSkewed);
  EXPECT_TRUE(time.keeps_device_time);
  EXPECT_EQ(event_time_of(kNow - 50 * kDay - 2000, kNow, clock, {}).event_time_ms, kNow);
}

TEST(EventTime, IsNotCorrectedForASmallOffset) {
  ClockEstimate clock;
  for (int i = 0; i < 20; ++i) clock.observe(kNow + 30'000 + i, kNow + i);
  const EventTime time = event_time_of(kNow + 30'000, kNow, clock, {.corrects_offset = true});
  EXPECT_EQ(time.event_time_ms, kNow + 30'000);
  EXPECT_EQ(time.quality, 0U);
}

}  // namespace
}  // namespace sluice::validator
