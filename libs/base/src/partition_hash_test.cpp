#include <sluice/base/partition_hash.h>

#include <gtest/gtest.h>

namespace sluice {
namespace {

TEST(PartitionHash, AgreesWithKafkasJavaClient) {
  // The vectors of Kafka's own tests of murmur2, here without their sign bit.
  const auto check = [](std::string_view key, std::int32_t hash) {
    EXPECT_EQ(partition_hash(key), static_cast<std::uint32_t>(hash) & 0x7fffffffU) << key;
  };
  check("21", -973932308);
  check("foobar", -790332482);
  check("a-little-bit-long-string", -985981536);
  check("a-little-bit-longer-string", -1486304829);
  check("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971);
  check("abc", 479470107);
}

}  // namespace
}  // namespace sluice
