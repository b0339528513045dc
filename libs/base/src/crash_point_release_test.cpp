// What a build without tests, such as that of the images, makes of a crash point.
#undef SLUICE_CRASH_POINTS
#include <cstdlib>

#include <sluice/base/crash_point.h>

#include <gtest/gtest.h>

namespace sluice {
namespace {

TEST(CrashPoint, IsCompiledToNothingInABuildWithoutTests) {
  EXPECT_EXIT(
      {
        setenv("SLUICE_CRASH_POINT", "release", 1);
        SLUICE_CRASH_POINT("release");
        std::_Exit(0);
      },
      ::testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace sluice
