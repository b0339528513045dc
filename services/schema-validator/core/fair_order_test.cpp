#include "core/fair_order.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::validator {
namespace {

using ::testing::ElementsAre;

TEST(FairOrder, LeavesOneTenantsRecordsAsTheyCame) {
  FairOrder order(10);
  const FairOrder::Item items[] = {{"a", 100}, {"a", 1}, {"a", 50}};
  EXPECT_THAT(order.of(items), ElementsAre(0, 1, 2));
}

TEST(FairOrder, AQuietTenantWaitsForAQuantumOfEachOtherAndNotForAFlood) {
  FairOrder order(10);
  std::vector<FairOrder::Item> items(100, {"flood", 10});
  items.push_back({"quiet", 10});
  items.push_back({"quiet", 10});
  const auto ordered = order.of(items);
  EXPECT_EQ(ordered[1], 100U);
  EXPECT_EQ(ordered[3], 101U);
  EXPECT_EQ(ordered.size(), items.size());
}

TEST(FairOrder, KeepsEachTenantsOrderAndEveryRecord) {
  FairOrder order(7);
  const FairOrder::Item items[] = {{"a", 5}, {"b", 30}, {"a", 5}, {"c", 1}, {"b", 1}, {"a", 5}};
  std::vector<std::uint32_t> a;
  std::vector<std::uint32_t> b;
  for (const std::uint32_t i : order.of(items)) {
    if (items[i].tenant == "a") a.push_back(i);
    if (items[i].tenant == "b") b.push_back(i);
  }
  EXPECT_THAT(a, ElementsAre(0, 2, 5));
  EXPECT_THAT(b, ElementsAre(1, 4));
}

TEST(FairOrder, ARecordLargerThanTheQuantumWaitsForItsTurnAndIsNotForgotten) {
  FairOrder order(10);
  const FairOrder::Item items[] = {{"large", 25}, {"small", 10}, {"small", 10}, {"small", 10}};
  EXPECT_THAT(order.of(items), ElementsAre(1, 2, 0, 3));
}

TEST(FairOrder, IsUsedAgain) {
  FairOrder order(10);
  const FairOrder::Item items[] = {{"a", 1}, {"b", 1}};
  EXPECT_EQ(order.of(items).size(), 2U);
  EXPECT_TRUE(order.of({}).empty());
  EXPECT_THAT(order.of(items), ElementsAre(0, 1));
}

}  // namespace
}  // namespace sluice::validator
