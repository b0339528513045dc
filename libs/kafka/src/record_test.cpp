#include <sluice/kafka/record.h>

#include <gtest/gtest.h>

namespace sluice::kafka {
namespace {

TEST(PartitionForKey, ChoosesAsKafkasJavaClientDoes) {
  EXPECT_EQ(partition_for_key("foobar", 12), Partition(1357151166 % 12));
  EXPECT_EQ(partition_for_key("abc", 12), Partition(479470107 % 12));
  EXPECT_EQ(partition_for_key("abc", 1), Partition(0));
}

}  // namespace
}  // namespace sluice::kafka
