#include "adapters/descriptor_limit.h"

#include <gtest/gtest.h>

namespace sluice::front {
namespace {

TEST(DescriptorsForDevices, LeaveEnoughForWhatTheFrontItselfNeeds) {
  EXPECT_EQ(descriptors_for_devices(1'048'576, 4), 1'048'576U - 256U - 4U * 32U);
  EXPECT_EQ(descriptors_for_devices(65'536, 8), 65'536U - 512U);
}

TEST(DescriptorsForDevices, AreHalfWhereThereAreFew) {
  EXPECT_EQ(descriptors_for_devices(200, 2), 100U);
  EXPECT_EQ(descriptors_for_devices(1, 2), 1U);
}

}  // namespace
}  // namespace sluice::front
