#include <sluice/kafka/record.h>

#include <limits>

#include <gtest/gtest.h>

namespace sluice::kafka {
namespace {

TEST(PartitionForKey, AgreesWithKafkasJavaClient) {
  // The vectors of Kafka's own tests of murmur2, without their sign bit.
  const auto check = [](std::string_view key, std::int64_t hash) {
    constexpr std::int32_t kMax = std::numeric_limits<std::int32_t>::max();
    const auto positive = static_cast<std::int32_t>(hash & kMax);
    EXPECT_EQ(partition_for_key(key, kMax).value(), positive % kMax) << key;
    EXPECT_EQ(partition_for_key(key, 12).value(), positive % 12) << key;
  };
  check("21", -973932308);
  check("foobar", -790332482);
  check("a-little-bit-long-string", -985981536);
  check("a-little-bit-longer-string", -1486304829);
  check("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971);
  check("abc", 479470107);
}

}  // namespace
}  // namespace sluice::kafka
