#include <sluice/base/strong_id.h>

#include <concepts>
#include <cstdint>
#include <string>
#include <type_traits>
#include <unordered_set>

#include <sluice/base/ids.h>

#include <gtest/gtest.h>

namespace sluice {
namespace {

using Offset = StrongId<struct OffsetTag, std::int64_t>;

TEST(StrongId, IsNotMistakenForAnother) {
  static_assert(!std::is_convertible_v<TenantId, DeviceId>);
  static_assert(!std::is_convertible_v<std::string, TenantId>);
  static_assert(!std::is_convertible_v<TenantId, std::string>);
  static_assert(!std::equality_comparable_with<TenantId, DeviceId>);
  static_assert(!std::is_convertible_v<std::int64_t, Offset>);
}

TEST(StrongId, ComparesAndHashesAsItsValue) {
  EXPECT_EQ(TenantId("a"), TenantId("a"));
  EXPECT_LT(Offset(1), Offset(2));
  const std::unordered_set<DeviceId> ids = {DeviceId("a"), DeviceId("b"), DeviceId("a")};
  EXPECT_EQ(ids.size(), 2U);
}

TEST(CheckId, TakesWhatIsOneLiteralPartEverywhere) {
  for (const std::string& id : {std::string("a"), std::string("A-1_b.c:d"), std::string("0"),
                                std::string("urn:x"), std::string(kMaxIdSize, 'x')}) {
    EXPECT_TRUE(check_id(id, "id")) << id;
  }
}

TEST(CheckId, RefusesWhatMeansMoreInTopicsPathsAndKeys) {
  for (const std::string& id :
       {std::string(), std::string(kMaxIdSize + 1, 'x'), std::string(".."), std::string(".a"),
        std::string("a/b"), std::string("a+"), std::string("#"), std::string("a b"),
        std::string("a%2f"), std::string("ü"), std::string("a\0b", 3), std::string("a\n"),
        std::string("$a"), std::string("a*")}) {
    const auto result = check_id(id, "device_id");
    ASSERT_FALSE(result) << id;
    EXPECT_EQ(result.error().code(), ErrorCode::kInvalidArgument);
    ASSERT_EQ(result.error().faults().size(), 1U);
    EXPECT_EQ(result.error().faults()[0].field, "device_id");
  }
}

}  // namespace
}  // namespace sluice
