#include <sluice/base/bounded_queue.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(BoundedQueue, GivesValuesInTheirOrder) {
  BoundedQueue<int> queue(3);
  EXPECT_TRUE(queue.try_push(1));
  EXPECT_TRUE(queue.push(2));
  EXPECT_TRUE(queue.try_push(3));
  EXPECT_EQ(queue.pop(), 1);
  EXPECT_EQ(queue.try_pop(), 2);
  EXPECT_EQ(queue.pop_for(1h), 3);
  EXPECT_EQ(queue.try_pop(), std::nullopt);
}

TEST(BoundedQueue, AFullOneRefusesAndLeavesTheValueAlone) {
  BoundedQueue<std::unique_ptr<int>> queue(1);
  EXPECT_TRUE(queue.try_push(std::make_unique<int>(1)));
  auto second = std::make_unique<int>(2);
  EXPECT_FALSE(queue.try_push(std::move(second)));
  ASSERT_NE(second, nullptr);
  EXPECT_EQ(*second, 2);
  EXPECT_EQ(queue.size(), 1U);
  EXPECT_EQ(queue.capacity(), 1U);
}

TEST(BoundedQueue, PushWaitsForRoom) {
  BoundedQueue<int> queue(1);
  queue.push(1);
  std::atomic<bool> is_pushed = false;
  std::jthread pusher([&] {
    queue.push(2);
    is_pushed = true;
  });
  EXPECT_FALSE(is_pushed);
  EXPECT_EQ(queue.pop(), 1);
  EXPECT_EQ(queue.pop(), 2);
}

TEST(BoundedQueue, DrainTakesAllAndMakesRoomForAll) {
  BoundedQueue<int> queue(2);
  queue.push(1);
  queue.push(2);
  std::vector<std::jthread> pushers;
  for (int i = 0; i < 2; ++i) pushers.emplace_back([&] { queue.push(3); });
  EXPECT_THAT(queue.drain(), ElementsAre(1, 2));
  pushers.clear();  // both came through
  EXPECT_THAT(queue.drain(), ElementsAre(3, 3));
  EXPECT_THAT(queue.drain(), IsEmpty());
}

TEST(BoundedQueue, AClosedOneRefusesAndIsEmptiedFirst) {
  BoundedQueue<int> queue(2);
  queue.push(1);
  EXPECT_FALSE(queue.is_closed());
  queue.close();
  EXPECT_TRUE(queue.is_closed());
  EXPECT_FALSE(queue.push(2));
  EXPECT_FALSE(queue.try_push(2));
  EXPECT_EQ(queue.pop(), 1);
  EXPECT_EQ(queue.pop(), std::nullopt);
  EXPECT_EQ(queue.pop_for(1h), std::nullopt);
}

TEST(BoundedQueue, ClosingWakesEverybody) {
  BoundedQueue<int> full(1);
  full.push(1);
  BoundedQueue<int> empty(1);
  std::atomic<int> refused = 0;
  {
    std::vector<std::jthread> waiting;
    for (int i = 0; i < 3; ++i) {
      waiting.emplace_back([&] { refused += full.push(2) ? 0 : 1; });
      waiting.emplace_back([&] { refused += empty.pop() ? 0 : 1; });
    }
    full.close();
    empty.close();
  }
  EXPECT_EQ(refused, 6);
}

TEST(BoundedQueue, PopForGivesUp) {
  BoundedQueue<int> queue(1);
  EXPECT_EQ(queue.pop_for(1ms), std::nullopt);
  EXPECT_FALSE(queue.is_closed());
}

TEST(BoundedQueue, LosesAndDoublesNothingUnderManyThreads) {
  constexpr int kThreads = 4;
  constexpr int kEach = 5'000;
  BoundedQueue<int> queue(16);
  std::atomic<std::int64_t> sum = 0;
  std::atomic<int> count = 0;
  {
    std::vector<std::jthread> takers;
    for (int i = 0; i < kThreads; ++i) {
      takers.emplace_back([&] {
        while (const auto value = queue.pop()) {
          sum += *value;
          ++count;
        }
      });
    }
    {
      std::vector<std::jthread> pushers;
      for (int i = 0; i < kThreads; ++i) {
        pushers.emplace_back([&, i] {
          for (int j = 0; j < kEach; ++j) EXPECT_TRUE(queue.push(i * kEach + j));
        });
      }
    }
    queue.close();
  }
  constexpr std::int64_t kAll = kThreads * kEach;
  EXPECT_EQ(count, kAll);
  EXPECT_EQ(sum, kAll * (kAll - 1) / 2);
}

}  // namespace
}  // namespace sluice
