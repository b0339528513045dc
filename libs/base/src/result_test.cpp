#include <sluice/base/result.h>

#include <memory>
#include <string>

#include <gtest/gtest.h>

namespace sluice {
namespace {

Result<int> half(int value) {
  if (value % 2 != 0) return fail(ErrorCode::kInvalidArgument, "is odd");
  return value / 2;
}

Result<> only_checks(int value) {
  SLUICE_TRY(half(value));
  return {};
}

Result<int> quarter(int value) {
  SLUICE_TRY_ASSIGN(const int once, half(value));
  SLUICE_TRY_ASSIGN(const int twice, half(once));
  return twice;
}

TEST(Result, TryPassesTheErrorUpAndElseGoesOn) {
  EXPECT_TRUE(only_checks(4));
  EXPECT_EQ(only_checks(3).error().code(), ErrorCode::kInvalidArgument);
}

TEST(Result, TryAssignGivesTheValueOrPassesTheErrorUp) {
  EXPECT_EQ(quarter(8).value(), 2);
  EXPECT_EQ(quarter(6).error().message(), "is odd");
}

TEST(Result, TryAssignMovesWhatCannotBeCopied) {
  const auto make = []() -> Result<std::unique_ptr<int>> { return std::make_unique<int>(7); };
  const auto use = [&]() -> Result<int> {
    SLUICE_TRY_ASSIGN(const std::unique_ptr<int> value, make());
    return *value;
  };
  EXPECT_EQ(use().value(), 7);
}

TEST(Result, TryIsOneStatement) {
  const auto branch = [](bool wanted) -> Result<int> {
    if (wanted)
      SLUICE_TRY(only_checks(3));
    else
      return 1;
    return 2;
  };
  EXPECT_FALSE(branch(true));
  EXPECT_EQ(branch(false).value(), 1);
}

}  // namespace
}  // namespace sluice
