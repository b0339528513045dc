#include "core/outlier_policy.h"

#include <gtest/gtest.h>

namespace sluice::validator {
namespace {

TEST(OutlierPolicy, TakesWhatIsSaidAndLeavesTheRest) {
  const auto rule = parse_outlier_rule(
      R"({"action": "quarantine", "min": -40, "max": 120.5, "stuck_count": 30})");
  ASSERT_TRUE(rule) << rule.error().message();
  EXPECT_EQ(rule->action, OutlierAction::kQuarantine);
  EXPECT_EQ(rule->min, -40.0);
  EXPECT_EQ(rule->max, 120.5);
  EXPECT_EQ(rule->stuck_count, 30U);
  EXPECT_EQ(rule->warm_up, OutlierRule().warm_up);
}

TEST(OutlierPolicy, ANullSwitchesACheckOff) {
  const auto rule = parse_outlier_rule(R"({"max_deviations": null})");
  ASSERT_TRUE(rule);
  EXPECT_FALSE(rule->max_deviations);
}

TEST(OutlierPolicy, TellsEveryMemberThatItCannotUse) {
  const auto rule = parse_outlier_rule(
      R"({"action": "drop", "max_step": -1, "stuck_count": 1.5, "min": 5, "max": 4, "colour": 1})");
  ASSERT_FALSE(rule);
  std::vector<std::string> fields;
  for (const FieldFault& fault : rule.error().faults()) fields.push_back(fault.field);
  EXPECT_EQ(fields,
            (std::vector<std::string>{"/action", "/max_step", "/stuck_count", "/min", "/colour"}));
}

TEST(OutlierPolicy, IsWrittenInFullAndReadBack) {
  const auto rule = parse_outlier_rule(R"({"action": "pass", "max_rate_per_s": 2.5})");
  ASSERT_TRUE(rule);
  const auto again = parse_outlier_rule(to_json(*rule));
  ASSERT_TRUE(again);
  EXPECT_EQ(to_json(*again), to_json(*rule));
  EXPECT_EQ(again->max_rate_per_s, 2.5);
}

}  // namespace
}  // namespace sluice::validator
