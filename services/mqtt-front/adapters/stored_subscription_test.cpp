#include "adapters/stored_subscription.h"

#include <gtest/gtest.h>

namespace sluice::front {
namespace {

TEST(StoredSubscription, KeepsAListOfThem) {
  const StoredSubscription plain{.filter = "blue/d1/#", .qos = mqtt::Qos::kAtLeastOnce};
  const StoredSubscription shared{.filter = "blue/+/up",
                                  .group = "workers",
                                  .qos = mqtt::Qos::kExactlyOnce,
                                  .no_local = true,
                                  .retain_as_published = true,
                                  .subscription_id = 268'435'455};
  const std::string list = encode_subscription(plain) + encode_subscription(shared);
  const auto read = decode_subscriptions(list);
  ASSERT_TRUE(read);
  EXPECT_EQ(*read, (std::vector{plain, shared}));
  EXPECT_FALSE(decode_subscriptions(std::string_view(list).substr(0, list.size() - 1)));
  EXPECT_TRUE(decode_subscriptions("")->empty());
}

}  // namespace
}  // namespace sluice::front
