#include <sluice/ingest/message_ids.h>

#include <set>

#include <sluice/testing/sim_random.h>

#include <gtest/gtest.h>

namespace sluice::ingest {
namespace {

constexpr WallTime kNow{std::chrono::milliseconds(1'767'225'600'000)};

std::int64_t milliseconds_of(const MessageIds::Id& id) {
  std::int64_t time = 0;
  for (std::size_t i = 0; i < 6; ++i) time = time << 8 | id[i];
  return time;
}

TEST(MessageIds, AreUuidsOfVersionSeven) {
  testing::SimRandom random(1);
  MessageIds ids(random);
  for (int i = 0; i < 10'000; ++i) {
    const MessageIds::Id id = ids.next(kNow + std::chrono::milliseconds(i / 7));
    ASSERT_EQ(id[6] >> 4, 7);
    ASSERT_EQ(id[8] >> 6, 2);
    ASSERT_EQ(milliseconds_of(id), kNow.time_since_epoch().count() + i / 7);
  }
}

TEST(MessageIds, RiseWhateverTheClockDoes) {
  testing::SimRandom random(2);
  MessageIds ids(random);
  MessageIds::Id last{};
  WallTime now = kNow;
  for (int i = 0; i < 100'000; ++i) {
    if (random.chance(0.01)) now += std::chrono::milliseconds(random.between(-20, 25));
    const MessageIds::Id id = ids.next(now);
    ASSERT_LT(last, id) << i;
    last = id;
  }
}

TEST(MessageIds, BorrowFromTheTimeThatFollowsWhenAMillisecondIsUsedUp) {
  testing::SimRandom random(3);
  MessageIds ids(random);
  for (int i = 0; i < 4096; ++i) {
    ASSERT_EQ(milliseconds_of(ids.next(kNow)), kNow.time_since_epoch().count());
  }
  EXPECT_EQ(milliseconds_of(ids.next(kNow)), kNow.time_since_epoch().count() + 1);
}

TEST(MessageIds, OfTwoGeneratorsDiffer) {
  testing::SimRandom random(4);
  testing::SimRandom other = random.fork();
  MessageIds first(random);
  MessageIds second(other);
  std::set<MessageIds::Id> seen;
  for (int i = 0; i < 10'000; ++i) {
    ASSERT_TRUE(seen.insert(first.next(kNow)).second);
    ASSERT_TRUE(seen.insert(second.next(kNow)).second);
  }
}

}  // namespace
}  // namespace sluice::ingest
