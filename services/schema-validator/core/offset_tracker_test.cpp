#include "core/offset_tracker.h"

#include <gtest/gtest.h>

namespace sluice::validator {
namespace {

TEST(OffsetTracker, IsDurableUpToTheFirstRecordThatAwaitsSomething) {
  OffsetTracker tracker;
  tracker.handled(100, 1);
  tracker.handled(101, 2);
  tracker.handled(102, 0);
  EXPECT_EQ(tracker.durable(), 100);
  tracker.acknowledged(101);
  tracker.acknowledged(100);
  EXPECT_EQ(tracker.durable(), 101);
  tracker.acknowledged(101);
  EXPECT_EQ(tracker.durable(), 103);
  EXPECT_EQ(tracker.size(), 0U);
}

TEST(OffsetTracker, NeverPassesARecordThatWasNotHandled) {
  OffsetTracker tracker;
  for (std::int64_t offset = 5; offset < 9; ++offset) tracker.expect(offset);
  tracker.handled(8, 0);
  tracker.handled(6, 0);
  EXPECT_EQ(tracker.durable(), 5);
  tracker.handled(5, 0);
  EXPECT_EQ(tracker.durable(), 7);
  EXPECT_TRUE(tracker.is_handled(8));
  EXPECT_FALSE(tracker.is_handled(7));
  tracker.handled(7, 0);
  EXPECT_EQ(tracker.durable(), 9);
}

TEST(OffsetTracker, PassesOffsetsThatNoRecordHas) {
  OffsetTracker tracker;
  tracker.handled(10, 0);
  tracker.handled(14, 0);
  EXPECT_EQ(tracker.durable(), 15);
}

TEST(OffsetTracker, KnowsRecordsThatComeAgain) {
  OffsetTracker tracker;
  EXPECT_FALSE(tracker.is_handled(3));
  tracker.handled(3, 1);
  tracker.handled(4, 0);
  EXPECT_TRUE(tracker.is_handled(3));
  EXPECT_TRUE(tracker.is_handled(2));
  EXPECT_FALSE(tracker.is_handled(5));
  tracker.expect(3);
  EXPECT_EQ(tracker.durable(), 3);
}

}  // namespace
}  // namespace sluice::validator
