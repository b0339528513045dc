#include <sluice/base/crash_point.h>

#include <csignal>
#include <cstdlib>

#include <gtest/gtest.h>

namespace sluice {
namespace {

// Death tests run their statement in a forked child, so the environment is read anew in each.
void arm_and_pass(const char* armed, int passes, std::string_view name) {
  setenv("SLUICE_CRASH_POINT", armed, 1);
  for (int i = 0; i < passes; ++i) pass_crash_point(name);
  std::_Exit(0);
}

TEST(CrashPoint, KillsAtTheArmedName) {
  EXPECT_EXIT(arm_and_pass("before_commit", 1, "before_commit"), testing::KilledBySignal(SIGKILL),
              "");
}

TEST(CrashPoint, LeavesOtherNamesAlone) {
  EXPECT_EXIT(arm_and_pass("before_commit", 3, "after_commit"), testing::ExitedWithCode(0), "");
}

TEST(CrashPoint, DiesAtTheNthPassAndNotBefore) {
  EXPECT_EXIT(arm_and_pass("flush:3", 2, "flush"), testing::ExitedWithCode(0), "");
  EXPECT_EXIT(arm_and_pass("flush:3", 3, "flush"), testing::KilledBySignal(SIGKILL), "");
}

TEST(CrashPoint, DoesNothingWhenUnarmed) {
  EXPECT_EXIT(arm_and_pass("", 3, "flush"), testing::ExitedWithCode(0), "");
}

TEST(CrashPoint, AMalformedOrderIsABugOfTheTest) {
  EXPECT_DEATH(arm_and_pass("flush:0", 1, "flush"), "BUG:");
  EXPECT_FALSE(CrashPointSpec::parse(""));
  EXPECT_FALSE(CrashPointSpec::parse(":2"));
  EXPECT_FALSE(CrashPointSpec::parse("flush:"));
  EXPECT_FALSE(CrashPointSpec::parse("flush:2x"));
  EXPECT_FALSE(CrashPointSpec::parse("flush:-1"));
}

TEST(CrashPoint, TheMacroIsCompiledIntoTestBuilds) {
  EXPECT_EXIT(
      {
        setenv("SLUICE_CRASH_POINT", "macro", 1);
        SLUICE_CRASH_POINT("macro");
        std::_Exit(0);
      },
      testing::KilledBySignal(SIGKILL), "");
}

}  // namespace
}  // namespace sluice
