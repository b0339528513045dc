#include <sluice/base/planted_bug.h>

#include <gtest/gtest.h>

namespace sluice {
namespace {

TEST(PlantedBug, IsAbsentUntilATestPlantsIt) {
  EXPECT_FALSE(SLUICE_PLANTED_BUG("front_acks_early"));
  {
    const ScopedPlantedBug bug("front_acks_early");
    EXPECT_TRUE(SLUICE_PLANTED_BUG("front_acks_early"));
    EXPECT_FALSE(SLUICE_PLANTED_BUG("front_acks_earl"));
  }
  EXPECT_FALSE(SLUICE_PLANTED_BUG("front_acks_early"));
}

}  // namespace
}  // namespace sluice
