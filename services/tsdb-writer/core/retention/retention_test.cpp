#include "core/retention/retention.h"

#include <gtest/gtest.h>

namespace sluice::tsdb {
namespace {

using namespace std::chrono_literals;

constexpr WallTime kDay0{};

TimePartition day(int number) {
  return {.name = "warm_p1_" + std::to_string(number),
          .starts = kDay0 + 24h * number,
          .ends = kDay0 + 24h * (number + 1),
          .bytes = 10 * number};
}

const RetentionPolicy kPolicy{
    .id = PolicyId(1), .name = "standard", .keep_raw = 48h, .keep_rollup_1m = 720h};

TEST(Retention, APartitionGoesWhenItsLastMomentIsNoLongerKept) {
  EXPECT_EQ(drop_due(day(3), 48h), kDay0 + 24h * 6);
}

TEST(Retention, WhatIsKeptForEverNeverGoes) {
  EXPECT_EQ(drop_due(day(3), std::nullopt), std::nullopt);
  EXPECT_TRUE(plan_drops(Tier::kRollup1d, kPolicy, std::vector{day(1)}).empty());
}

TEST(Retention, TellsTheNextDropFirst) {
  const auto drops = plan_drops(Tier::kWarm, kPolicy, std::vector{day(5), day(2)});
  ASSERT_EQ(drops.size(), 2U);
  EXPECT_EQ(drops[0].partition, "warm_p1_2");
  EXPECT_EQ(drops[0].due, kDay0 + 24h * 5);
  EXPECT_EQ(drops[0].bytes, 20);
  EXPECT_EQ(drops[0].policy, "standard");
}

TEST(Retention, EachTierHasItsOwnTime) {
  const auto drops = plan_drops(Tier::kRollup1m, kPolicy, std::vector{day(0)});
  ASSERT_EQ(drops.size(), 1U);
  EXPECT_EQ(drops[0].due, kDay0 + 24h * 31);
}

}  // namespace
}  // namespace sluice::tsdb
