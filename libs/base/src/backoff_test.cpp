#include <sluice/base/backoff.h>

#include <gtest/gtest.h>

namespace sluice {
namespace {

using namespace std::chrono_literals;

/// The largest result below() can give, or the smallest.
class Extreme final : public Random {
 public:
  explicit Extreme(bool is_largest) : is_largest_(is_largest) {}
  std::uint64_t next() override { return is_largest_ ? max() - max() % divisor - 1 : 0; }
  std::uint64_t divisor = 1;

 private:
  bool is_largest_;
};

TEST(Backoff, TheWindowDoublesUpToItsCap) {
  SystemRandom random;
  Backoff backoff({.base = 50ms, .cap = 300ms}, random);
  for (auto window : {50ms, 100ms, 200ms, 300ms, 300ms, 300ms}) {
    const auto wait = backoff.next();
    EXPECT_GE(wait, 0ms);
    EXPECT_LE(wait, window);
  }
}

TEST(Backoff, ReachesBothEndsOfTheWindow) {
  Extreme smallest(false);
  EXPECT_EQ(Backoff({.base = 50ms, .cap = 300ms}, smallest).next(), 0ms);
  Extreme largest(true);
  largest.divisor = 51;  // 0 ms to 50 ms
  EXPECT_EQ(Backoff({.base = 50ms, .cap = 300ms}, largest).next(), 50ms);
}

TEST(Backoff, StaysInBoundsForEver) {
  SystemRandom random;
  Backoff backoff({.base = 50ms, .cap = 10s}, random);
  for (int i = 0; i < 10'000; ++i) {
    const auto wait = backoff.next();
    ASSERT_GE(wait, 0ms);
    ASSERT_LE(wait, 10s);
  }
}

TEST(Backoff, ResetBeginsAnew) {
  SystemRandom random;
  Backoff backoff({.base = 1ms, .cap = 1h}, random);
  for (int i = 0; i < 20; ++i) backoff.next();
  backoff.reset();
  EXPECT_LE(backoff.next(), 1ms);
}

}  // namespace
}  // namespace sluice
