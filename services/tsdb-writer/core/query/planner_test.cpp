#include "core/query/planner.h"

#include <gtest/gtest.h>

namespace sluice::tsdb {
namespace {

using namespace std::chrono_literals;

const WallTime kNow = parse_rfc3339("2026-06-15T12:00:00Z").value();
const TierRetention kStandard{.policy = PolicyId(1),
                              .raw = 48h,
                              .rollup_1m = 24h * 30,
                              .rollup_1h = 24h * 365,
                              .rollup_1d = std::nullopt};

TEST(Planner, TakesTheCoarsestTierThatMakesUpTheWindows) {
  const WallTime recent = kNow - 1h;
  EXPECT_EQ(choose_tier(10s, recent, kNow, kStandard), Tier::kWarm);
  EXPECT_EQ(choose_tier(1min, recent, kNow, kStandard), Tier::kRollup1m);
  EXPECT_EQ(choose_tier(90s, recent, kNow, kStandard), Tier::kWarm);
  EXPECT_EQ(choose_tier(90min, recent, kNow, kStandard), Tier::kRollup1m);
  EXPECT_EQ(choose_tier(6h, recent, kNow, kStandard), Tier::kRollup1h);
  EXPECT_EQ(choose_tier(24h, recent, kNow, kStandard), Tier::kRollup1d);
  EXPECT_EQ(choose_tier(24h * 7, recent, kNow, kStandard), Tier::kRollup1d);
}

TEST(Planner, TakesTheTierThatReachesFarthestWhereNoneReaches) {
  EXPECT_EQ(choose_tier(1min, kNow - 24h * 60, kNow, kStandard), Tier::kRollup1m);
  EXPECT_EQ(choose_tier(10s, kNow - 24h * 60, kNow, kStandard), Tier::kWarm);
  EXPECT_EQ(choose_tier(1h, kNow - 24h * 800, kNow, kStandard), Tier::kRollup1h);
}

TEST(Planner, TakesAFinerTierThatIsKeptLonger) {
  TierRetention odd = kStandard;
  odd.rollup_1h = 24h;
  EXPECT_EQ(choose_tier(1h, kNow - 24h * 10, kNow, odd), Tier::kRollup1m);
}

TEST(Planner, ChoosesWindowsThatFitAScreenAndAreKept) {
  EXPECT_EQ(auto_width(kNow - 5min, kNow, kNow, kStandard), 1s);
  EXPECT_EQ(auto_width(kNow - 6h, kNow, kNow, kStandard), 1min);
  EXPECT_EQ(auto_width(kNow - 24h * 7, kNow, kNow, kStandard), 30min);
  EXPECT_EQ(auto_width(kNow - 24h * 365, kNow, kNow, kStandard), 24h);
  // An hour two months ago: neither seconds nor minutes are kept.
  EXPECT_EQ(auto_width(kNow - 24h * 60, kNow - 24h * 60 + 1h, kNow, kStandard), 1h);
  EXPECT_EQ(auto_width(kNow - 24h * 800, kNow - 24h * 799, kNow, kStandard), 24h);
}

}  // namespace
}  // namespace sluice::tsdb
