#include "core/attributes/attribute_limits.h"

#include <gtest/gtest.h>

namespace sluice::tsdb {
namespace {

using Refused = std::map<AttributeValue, AttributeRefusal>;

TEST(AttributeLimits, LetsInWhatThereIsRoomForInOrderOfNames) {
  const std::set<AttributeValue> unknown{
      {"blue", "floor", "1"}, {"blue", "site", "ulm"}, {"blue", "zone", "a"}};
  const auto result = admit(unknown, {}, {.names = 2, .values_of_name = 1});
  EXPECT_EQ(result.admitted, (std::vector<AttributeValue>{unknown.begin(), --unknown.end()}));
  EXPECT_EQ(result.refused, (Refused{{{"blue", "zone", "a"}, AttributeRefusal::kTooManyNames}}));
}

TEST(AttributeLimits, RefusesAValueMoreThanAnAttributeMayHave) {
  const auto result = admit({{"blue", "site", "a"}, {"blue", "site", "b"}},
                            {{"blue", {{"site", 9}}}}, {.names = 1, .values_of_name = 10});
  EXPECT_EQ(result.admitted, (std::vector<AttributeValue>{{"blue", "site", "a"}}));
  EXPECT_EQ(result.refused, (Refused{{{"blue", "site", "b"}, AttributeRefusal::kTooManyValues}}));
}

TEST(AttributeLimits, OneTenantTakesNothingOfAnother) {
  const auto result = admit({{"red", "site", "a"}}, {{"blue", {{"site", 10}, {"zone", 10}}}},
                            {.names = 1, .values_of_name = 10});
  EXPECT_EQ(result.admitted.size(), 1U);
  EXPECT_TRUE(result.refused.empty());
}

}  // namespace
}  // namespace sluice::tsdb
