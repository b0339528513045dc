#include "core/payload/timestamp.h"

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

namespace sluice::validator {
namespace {

TEST(Timestamp, TellsTheUnitOfANumberByItsSize) {
  EXPECT_EQ(epoch_ms(std::int64_t{1'700'000'000}), 1'700'000'000'000);
  EXPECT_EQ(epoch_ms(std::int64_t{1'700'000'000'123}), 1'700'000'000'123);
  EXPECT_EQ(epoch_ms(std::int64_t{1'700'000'000'123'456}), 1'700'000'000'123);
  EXPECT_EQ(epoch_ms(std::int64_t{1'700'000'000'123'456'789}), 1'700'000'000'123);
  EXPECT_EQ(epoch_ms(std::int64_t{99'999'999'999}), 99'999'999'999'000);
  EXPECT_EQ(epoch_ms(std::int64_t{100'000'000'000}), 100'000'000'000);
  EXPECT_EQ(epoch_ms(std::int64_t{0}), 0);
  EXPECT_EQ(epoch_ms(std::int64_t{-1}), std::nullopt);
}

TEST(Timestamp, KeepsTheFractionOfSeconds) {
  EXPECT_EQ(epoch_ms(1'700'000'000.25), 1'700'000'000'250);
  EXPECT_EQ(epoch_ms(1'700'000'000.1), 1'700'000'000'100);
  EXPECT_EQ(epoch_ms(1'700'000'000'123.9), 1'700'000'000'123);
  EXPECT_EQ(epoch_ms(std::numeric_limits<double>::quiet_NaN()), std::nullopt);
  EXPECT_EQ(epoch_ms(std::numeric_limits<double>::infinity()), std::nullopt);
  EXPECT_EQ(epoch_ms(-0.5), std::nullopt);
  EXPECT_EQ(epoch_ms(1e19), std::nullopt);
}

TEST(Timestamp, ReadsIso8601) {
  EXPECT_EQ(parse_timestamp("2023-11-14T22:13:20Z"), 1'700'000'000'000);
  EXPECT_EQ(parse_timestamp("2023-11-14 22:13:20.1239"), 1'700'000'000'123);
  EXPECT_EQ(parse_timestamp("2023-11-15T00:13:20+02:00"), 1'700'000'000'000);
  EXPECT_EQ(parse_timestamp("2023-11-14T17:13:20-0500"), 1'700'000'000'000);
  EXPECT_EQ(parse_timestamp("2016-12-31T23:59:60Z"), 1'483'228'799'000);
  EXPECT_EQ(parse_timestamp("2024-02-29T00:00:00Z"), 1'709'164'800'000);
}

TEST(Timestamp, RefusesWhatIsNoMoment) {
  for (const char* text :
       {"", "now", "2023-11-14", "2023-13-01T00:00:00Z", "2023-02-29T00:00:00Z",
        "2023-11-14T24:00:00Z", "2023-11-14T22:13:20.Z", "2023-11-14T22:13:20Zjunk",
        "2023-11-14T22:13:20+25:00", "2023-11-14T22:13:20+1", "1969-12-31T23:59:59Z",
        "2023-11-14T22:13", "+023-11-14T22:13:20Z"}) {
    EXPECT_EQ(parse_timestamp(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace sluice::validator
