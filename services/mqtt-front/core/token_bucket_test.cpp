#include "core/token_bucket.h"

#include <algorithm>
#include <thread>
#include <vector>

#include <sluice/testing/sim_random.h>

#include <gtest/gtest.h>

namespace sluice::front {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;

constexpr MonoTime kStart{hours(1)};

std::uint64_t take_all(TokenBucket& bucket, const Rate& rate, MonoTime now) {
  std::uint64_t taken = 0;
  while (taken < 10'000'000 && bucket.try_take(rate, 1, now)) ++taken;
  return taken;
}

TEST(TokenBucket, GivesItsBurstAndThenItsRate) {
  for (const std::uint64_t per_second : {1U, 3U, 7U, 100U, 999U}) {
    const Rate rate(per_second, 2 * per_second);
    TokenBucket bucket;
    EXPECT_EQ(take_all(bucket, rate, kStart), 2 * per_second);
    // Each token is rounded up to a whole nanosecond.
    const nanoseconds rounding(per_second);
    EXPECT_EQ(take_all(bucket, rate, kStart + std::chrono::seconds(1) + rounding), per_second);
  }
}

TEST(TokenBucket, IsNoFullerForALongRest) {
  const Rate rate(1000);
  TokenBucket bucket;
  EXPECT_EQ(take_all(bucket, rate, kStart), 1000U);
  EXPECT_EQ(take_all(bucket, rate, kStart + hours(24 * 365 * 20)), 1000U);
  SharedTokenBucket shared;
  for (const MonoTime now : {kStart, kStart + hours(24 * 365 * 20)}) {
    std::uint64_t taken = 0;
    while (taken < 5000 && shared.try_take(rate, 1, now).count() == 0) ++taken;
    EXPECT_EQ(taken, 1000U);
  }
}

TEST(TokenBucket, WithoutALimitGivesEverything) {
  TokenBucket bucket;
  SharedTokenBucket shared;
  for (int i = 0; i < 1000; ++i) {
    EXPECT_TRUE(bucket.try_take(Rate(), 1U << 30, kStart));
    EXPECT_EQ(shared.try_take(Rate(), 1U << 30, kStart), nanoseconds(0));
  }
}

TEST(TokenBucket, SaysHowLongToWaitAndGivesThen) {
  testing::SimRandom random(3);
  for (int round = 0; round < 2000; ++round) {
    const Rate rate(1 + random.below(1'000'000), random.below(1'000'000));
    TokenBucket bucket;
    MonoTime now = kStart;
    for (int i = 0; i < 10; ++i) {
      const std::uint64_t tokens = 1 + random.below(200'000);  // more than the burst at times
      const nanoseconds wait = bucket.wait(rate, tokens, now);
      if (wait.count() > 0) {
        ASSERT_FALSE(bucket.try_take(rate, tokens, now + wait - nanoseconds(1)));
      }
      now += wait;
      ASSERT_TRUE(bucket.try_take(rate, tokens, now));
    }
  }
}

// Over any time: at most the burst and what flowed in.
TEST(TokenBucket, NeverGivesMoreThanBurstAndRate) {
  testing::SimRandom random(4);
  for (int round = 0; round < 500; ++round) {
    const Rate rate(1 + random.below(5000), random.below(5000));
    TokenBucket bucket;
    MonoTime now = kStart;
    std::uint64_t taken = 0;
    for (int i = 0; i < 500; ++i) {
      if (random.chance(0.5)) now += milliseconds(random.below(50));
      if (random.chance(0.01)) now += hours(random.below(1000));
      if (now - kStart > std::chrono::seconds(5)) break;
      const std::uint64_t tokens = 1 + random.below(rate.burst());
      if (bucket.try_take(rate, tokens, now)) taken += tokens;
    }
    const double seconds = std::chrono::duration<double>(now - kStart).count();
    const double allowed = (static_cast<double>(rate.burst_ns()) / 1e9 + seconds) *
                           static_cast<double>(rate.per_second());
    ASSERT_LE(static_cast<double>(taken), allowed + 1e-6);
  }
}

TEST(TokenBucket, KeepsAReserveForWhoeverAsksWithoutOne) {
  const Rate rate(100);
  TokenBucket bucket;
  std::uint64_t taken = 0;
  while (bucket.wait(rate, 1, kStart, rate.burst_ns() / 2).count() == 0) {
    bucket.take(rate, 1, kStart);
    ++taken;
  }
  EXPECT_EQ(taken, 50U);
  EXPECT_EQ(take_all(bucket, rate, kStart), 50U);
  // A message that is larger than what a reserve leaves gets through when the bucket is full.
  TokenBucket full;
  EXPECT_EQ(full.wait(rate, 80, kStart, rate.burst_ns() / 2).count(), 0);
}

TEST(TokenBucket, HoldsTheRateOverWhatIsTakenOnCredit) {
  const Rate rate(10);
  TokenBucket bucket;
  SharedTokenBucket shared;
  for (int i = 0; i < 100; ++i) {  // ten seconds' worth, of which one is the burst
    bucket.take(rate, 1, kStart);
    shared.take(rate, 1, kStart);
  }
  EXPECT_EQ(bucket.wait(rate, 1, kStart), milliseconds(9100));
  EXPECT_EQ(shared.try_take(rate, 1, kStart), milliseconds(9100));
  EXPECT_TRUE(bucket.try_take(rate, 1, kStart + milliseconds(9100)));
}

TEST(TokenBucket, OwesNoMoreThanItsMost) {
  TokenBucket bucket;
  const Rate slow(1);
  for (int i = 0; i < 100'000; ++i) bucket.take(slow, 1, kStart);
  EXPECT_LE(bucket.wait(slow, 1, kStart), kMaxDebt + std::chrono::seconds(2));
}

TEST(Rate, StaysWithinItsBounds) {
  const Rate rate(~0ULL, ~0ULL);
  EXPECT_EQ(rate.per_second(), Rate::kMaxPerSecond);
  EXPECT_GT(rate.burst_ns(), 0);
  const Rate slow(1, ~0ULL);
  EXPECT_GT(slow.burst_ns(), 0);
  EXPECT_GE(slow.cost_ns(~0ULL), 0);
  EXPECT_LE(slow.cost_ns(~0ULL), slow.burst_ns());
}

TEST(SharedTokenBucket, GivesNoMoreToManyThreadsThanToOne) {
  const Rate rate(20'000);
  SharedTokenBucket bucket;
  std::atomic<std::uint64_t> taken{0};
  std::vector<std::jthread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      while (bucket.try_take(rate, 1, kStart).count() == 0) ++taken;
    });
  }
  threads.clear();
  EXPECT_EQ(taken, 20'000U);
  bucket.give_back(rate, 1);
  EXPECT_EQ(bucket.try_take(rate, 1, kStart).count(), 0);
  EXPECT_GT(bucket.try_take(rate, 1, kStart).count(), 0);
}

}  // namespace
}  // namespace sluice::front
