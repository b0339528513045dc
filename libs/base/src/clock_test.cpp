#include <sluice/base/clock.h>

#include <random>
#include <string>

#include <gtest/gtest.h>

namespace sluice {
namespace {

using std::chrono::milliseconds;

WallTime at(std::int64_t ms) { return WallTime(milliseconds(ms)); }
std::string again(std::string_view text) {
  const auto time = parse_rfc3339(text);
  return time ? format_rfc3339(*time) : "refused";
}

TEST(Rfc3339, WritesMillisecondsInUtc) {
  EXPECT_EQ(format_rfc3339(at(0)), "1970-01-01T00:00:00.000Z");
  EXPECT_EQ(format_rfc3339(at(1'767'225'600'007)), "2026-01-01T00:00:00.007Z");
  EXPECT_EQ(format_rfc3339(at(-1)), "1969-12-31T23:59:59.999Z");
  EXPECT_EQ(format_rfc3339(at(951'782'400'000)), "2000-02-29T00:00:00.000Z");
  std::string line = "at ";
  append_rfc3339(line, at(0));
  EXPECT_EQ(line, "at 1970-01-01T00:00:00.000Z");
}

TEST(Rfc3339, ReadsEveryFormOfTheSpecification) {
  EXPECT_EQ(again("2026-01-31T12:00:00Z"), "2026-01-31T12:00:00.000Z");
  EXPECT_EQ(again("2026-01-31t12:00:00z"), "2026-01-31T12:00:00.000Z");
  EXPECT_EQ(again("2026-01-31 12:00:00Z"), "2026-01-31T12:00:00.000Z");
  EXPECT_EQ(again("2026-01-31T12:00:00.5Z"), "2026-01-31T12:00:00.500Z");
  EXPECT_EQ(again("2026-01-31T12:00:00.123999999Z"), "2026-01-31T12:00:00.123Z");
  EXPECT_EQ(again("2026-01-31T12:00:00+05:30"), "2026-01-31T06:30:00.000Z");
  EXPECT_EQ(again("2026-01-31T12:00:00-08:00"), "2026-01-31T20:00:00.000Z");
  EXPECT_EQ(again("2026-01-31T12:00:00-00:00"), "2026-01-31T12:00:00.000Z");
  EXPECT_EQ(again("2016-12-31T23:59:60Z"), "2017-01-01T00:00:00.000Z");  // a leap second
  EXPECT_EQ(again("2024-02-29T00:00:00Z"), "2024-02-29T00:00:00.000Z");
}

TEST(Rfc3339, RefusesEverythingElse) {
  for (const char* text : {"",
                           "2026-01-31",
                           "2026-01-31T12:00:00",
                           "2026-1-31T12:00:00Z",
                           "2026-02-30T00:00:00Z",
                           "2025-02-29T00:00:00Z",
                           "2026-13-01T00:00:00Z",
                           "2026-00-01T00:00:00Z",
                           "2026-01-00T00:00:00Z",
                           "2026-01-01T24:00:00Z",
                           "2026-01-01T00:60:00Z",
                           "2026-01-01T00:00:61Z",
                           "2026-01-01T00:00:00.Z",
                           "2026-01-01T00:00:00Zx",
                           "2026-01-01T00:00:00+24:00",
                           "2026-01-01T00:00:00+01:60",
                           "2026-01-01T00:00:00+0100",
                           "-026-01-01T00:00:00Z",
                           "+2026-01-01T00:00:00Z",
                           "0000-01-01T00:00:00+00:01",
                           "9999-12-31T23:59:60Z",
                           "2026-01-01T00:00:00,5Z"}) {
    EXPECT_EQ(again(text), "refused") << text;
  }
}

TEST(Rfc3339, WhatIsWrittenIsReadAgain) {
  std::mt19937_64 random(1);
  // Any moment of the years 0000 to 9999.
  std::uniform_int_distribution<std::int64_t> any(-62'167'219'200'000, 253'402'300'799'999);
  for (int round = 0; round < 10'000; ++round) {
    const WallTime time = at(any(random));
    EXPECT_EQ(parse_rfc3339(format_rfc3339(time)).value(), time);
  }
}

TEST(SystemClock, TheMonotonicClockNeverGoesBack) {
  const SystemClock clock;
  MonoTime last = clock.mono();
  for (int i = 0; i < 1'000; ++i) {
    const MonoTime now = clock.mono();
    EXPECT_GE(now, last);
    last = now;
  }
  EXPECT_GT(clock.wall(), at(1'767'225'600'000));  // written in 2026
}

}  // namespace
}  // namespace sluice
