#include "core/stream/seen_filter.h"

#include <gtest/gtest.h>

namespace sluice::validator {
namespace {

std::uint64_t fingerprint(std::uint64_t i) {
  i = (i + 1) * 0x9E37'79B9'7F4A'7C15U;
  i = (i ^ (i >> 30U)) * 0xBF58'476D'1CE4'E5B9U;
  i = (i ^ (i >> 27U)) * 0x94D0'49BB'1331'11EBU;
  return i ^ (i >> 31U);
}

TEST(SeenFilter, NeverDeniesWhatItHolds) {
  SeenFilter filter(20'000);
  for (std::uint64_t i = 0; i < 20'000; ++i) filter.insert(fingerprint(i));
  std::size_t denied = 0;
  for (std::uint64_t i = 0; i < 20'000; ++i)
    denied += filter.maybe_contains(fingerprint(i)) ? 0U : 1U;
  EXPECT_EQ(denied, 0U);
}

TEST(SeenFilter, IsSeldomWrongAboutTheRestWhenFull) {
  SeenFilter filter(100'000);
  for (std::uint64_t i = 0; i < 100'000; ++i) filter.insert(fingerprint(i));
  std::size_t wrong = 0;
  for (std::uint64_t i = 0; i < 100'000; ++i) {
    wrong += filter.maybe_contains(fingerprint(1'000'000 + i)) ? 1U : 0U;
  }
  EXPECT_LT(wrong, 1'000U);  // 0.5 % expected
}

TEST(SeenFilter, RemembersForOnePeriodAndForgetsAfterTwo) {
  SeenFilter filter(10'000, 1'000);
  filter.advance(0);
  filter.advance(500);
  filter.insert(fingerprint(1));
  filter.advance(1'000);
  EXPECT_TRUE(filter.maybe_contains(fingerprint(1)));
  EXPECT_EQ(filter.knows_since_ms(), 0);
  filter.advance(1'999);
  EXPECT_TRUE(filter.maybe_contains(fingerprint(1)));
  filter.advance(2'000);
  EXPECT_FALSE(filter.maybe_contains(fingerprint(1)));
  EXPECT_EQ(filter.knows_since_ms(), 1'000);
  EXPECT_EQ(filter.rotations(), 2U);
}

TEST(SeenFilter, RotatesEarlyWhenFullAndSaysSinceWhenItKnows) {
  SeenFilter filter(SeenFilter::kMinCapacity);
  filter.advance(100);
  for (std::uint64_t i = 0; i < SeenFilter::kMinCapacity; ++i) filter.insert(fingerprint(i));
  filter.advance(200);
  EXPECT_EQ(filter.early_rotations(), 1U);
  EXPECT_EQ(filter.knows_since_ms(), 100);
  EXPECT_TRUE(filter.maybe_contains(fingerprint(7)));
  for (std::uint64_t i = 0; i < SeenFilter::kMinCapacity; ++i)
    filter.insert(fingerprint(9'000 + i));
  filter.advance(300);
  EXPECT_EQ(filter.knows_since_ms(), 200);
}

TEST(SeenFilter, IgnoresATimeThatGoesBack) {
  SeenFilter filter(1'024, 1'000);
  filter.advance(5'000);
  filter.advance(4'000);
  filter.advance(5'999);
  EXPECT_EQ(filter.rotations(), 0U);
}

TEST(SeenFilter, TakesTheMemoryThatItSays) {
  // 12 bits a key in each of two generations.
  EXPECT_NEAR(static_cast<double>(SeenFilter::memory_bytes(10'000'000)), 30e6, 1e3);
  EXPECT_EQ(SeenFilter::memory_bytes(0), SeenFilter::memory_bytes(SeenFilter::kMinCapacity));
}

TEST(SeenFilter, AnswersMaybeToAllOnceSaturated) {
  SeenFilter filter(1'024);
  filter.saturate();
  for (std::uint64_t i = 0; i < 1'000; ++i) EXPECT_TRUE(filter.maybe_contains(fingerprint(i)));
}

}  // namespace
}  // namespace sluice::validator
