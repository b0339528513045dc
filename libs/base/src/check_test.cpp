#include <sluice/base/check.h>

#include <gtest/gtest.h>

namespace sluice {
namespace {

TEST(CheckDeathTest, ABrokenConditionNamesItselfAndItsPlace) {
  const int rows = -1;
  EXPECT_DEATH(SLUICE_CHECK(rows >= 0), "BUG: rows >= 0 does not hold at .*check_test.cpp:");
}

TEST(Check, AConditionThatHoldsCostsNothingButItsReading) {
  int reads = 0;
  SLUICE_CHECK(++reads == 1);
  EXPECT_EQ(reads, 1);
}

}  // namespace
}  // namespace sluice
