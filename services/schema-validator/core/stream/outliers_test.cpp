#include "core/stream/outliers.h"

#include <cmath>

#include <gtest/gtest.h>

namespace sluice::validator {
namespace {

class OutliersTest : public testing::Test {
 protected:
  std::optional<OutlierKind> say(double value) { return say_at(value, now_ms += 10'000); }
  std::optional<OutlierKind> say_at(double value, std::int64_t time_ms) {
    return judge_value(state, value, time_ms, rule);
  }
  /// Values around `level`, like a sensor's.
  void settle(double level, int count = 200) {
    for (int i = 0; i < count; ++i) say(level + 0.3 * std::sin(i * 1.7));
  }

  OutlierRule rule{};
  MetricState state{};
  std::int64_t now_ms = 1'800'000'000'000;
};

TEST_F(OutliersTest, FindsAStepFrom25To5000) {
  settle(25);
  EXPECT_EQ(say(5000), OutlierKind::kSpread);
  EXPECT_EQ(say(25), std::nullopt);
}

TEST_F(OutliersTest, FindsTheStepAfterAConstantValueToo) {
  for (int i = 0; i < 50; ++i) EXPECT_EQ(say(25), std::nullopt);
  EXPECT_EQ(say(5000), OutlierKind::kSpread);
}

TEST_F(OutliersTest, LetsASlowDriftPass) {
  for (int i = 0; i < 5'000; ++i) {
    EXPECT_EQ(say(25 + i * 0.05 + 0.3 * std::sin(i * 1.7)), std::nullopt) << i;
  }
}

TEST_F(OutliersTest, LetsTheFirstValuesPassWhileItWarmsUp) {
  for (int i = 0; i < 16; ++i) EXPECT_EQ(say(i % 2 == 0 ? 0 : 1000), std::nullopt);
}

TEST_F(OutliersTest, IsNotDulledByOneSpike) {
  settle(25);
  say(1e9);
  EXPECT_EQ(say(200), OutlierKind::kSpread);
}

TEST_F(OutliersTest, BelievesALevelThatStays) {
  settle(25);
  int flagged = 0;
  for (int i = 0; i < 400; ++i) flagged += say(5000 + 0.3 * std::sin(i * 1.7)) ? 1 : 0;
  EXPECT_GT(flagged, 10);
  EXPECT_EQ(say(5000), std::nullopt);
}

TEST_F(OutliersTest, JudgesTheRangeFromTheFirstValueAndLearnsNothingFromIt) {
  rule.min = -40;
  rule.max = 125;
  EXPECT_EQ(say(-127), OutlierKind::kRange);
  EXPECT_EQ(say(126), OutlierKind::kRange);
  EXPECT_EQ(say(125), std::nullopt);
  EXPECT_EQ(state.mean, 125);
}

TEST_F(OutliersTest, FindsAStepAndNotTheWayBack) {
  rule.max_step = 5;
  rule.max_deviations.reset();
  settle(25);
  EXPECT_EQ(say(31), OutlierKind::kStep);
  EXPECT_EQ(say(25), std::nullopt);
}

TEST_F(OutliersTest, AcceptsANewLevelAfterFiveValues) {
  rule.max_step = 5;
  rule.max_deviations.reset();
  settle(25);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(say(60), OutlierKind::kStep) << i;
  EXPECT_EQ(say(60), std::nullopt);
}

TEST_F(OutliersTest, FindsAStepThatIsTooFast) {
  rule.max_rate_per_s = 1;
  rule.max_deviations.reset();
  say_at(25, 1'000);
  EXPECT_EQ(say_at(35, 11'000), std::nullopt);
  EXPECT_EQ(say_at(45.1, 21'000), OutlierKind::kRate);
}

TEST_F(OutliersTest, FindsAValueThatDoesNotMove) {
  rule.stuck_count = 5;
  for (int i = 0; i < 4; ++i) EXPECT_EQ(say(21.5), std::nullopt);
  EXPECT_EQ(say(21.5), OutlierKind::kStuck);
  EXPECT_EQ(say(21.6), std::nullopt);
}

TEST_F(OutliersTest, FindsAValueThatDoesNotMoveForTooLong) {
  rule.stuck_seconds = 60;
  for (int i = 0; i < 6; ++i) EXPECT_EQ(say(21.5), std::nullopt);  // 50 s
  EXPECT_EQ(say(21.5), OutlierKind::kStuck);
}

TEST_F(OutliersTest, LeavesTheStateAloneForLateValues) {
  rule.max = 100;
  rule.max_step = 5;
  settle(25);
  const MetricState before = state;
  EXPECT_EQ(say_at(90, now_ms - 1), std::nullopt);
  EXPECT_EQ(say_at(90, now_ms), std::nullopt);
  EXPECT_EQ(say_at(101, now_ms - 5'000), OutlierKind::kRange);
  EXPECT_EQ(state, before);
}

TEST_F(OutliersTest, StaysFiniteWhateverComes) {
  for (const double value : {1.7e308, -1.7e308, 0.0, 5e-324, 1.7e308, -1.7e308}) {
    for (int i = 0; i < 50; ++i) say(value);
    EXPECT_TRUE(std::isfinite(state.mean) && std::isfinite(state.spread) &&
                std::isfinite(state.last));
  }
}

TEST_F(OutliersTest, StaysFiniteWhileItWarmsUpToo) {
  for (int i = 0; i < 50; ++i) {
    say(i % 2 == 0 ? 1.7e308 : -1.7e308);
    EXPECT_TRUE(std::isfinite(state.mean) && std::isfinite(state.spread)) << i;
  }
}

TEST(OutlierRules, GiveEachMetricItsOwn) {
  OutlierRules rules(OutlierRule{.action = OutlierAction::kPass});
  rules.set("temp", {.action = OutlierAction::kQuarantine});
  rules.set("humidity", {.action = OutlierAction::kFlag});
  rules.set("humidity", {.action = OutlierAction::kFlag, .max = 100.0});
  EXPECT_EQ(rules.rule_for(OutlierRules::key_of("temp")).action, OutlierAction::kQuarantine);
  EXPECT_EQ(rules.rule_for(OutlierRules::key_of("humidity")).max, 100.0);
  EXPECT_EQ(rules.rule_for(OutlierRules::key_of("other")).action, OutlierAction::kPass);
}

}  // namespace
}  // namespace sluice::validator
