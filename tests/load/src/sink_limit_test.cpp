#include "sink_limit.h"

#include <gtest/gtest.h>

namespace sluice::load {

namespace {

using namespace std::chrono_literals;

constexpr MonoTime kStart{1h};

int admitted(SinkLimit& limit, MonoTime at, int tries) {
  int count = 0;
  for (int i = 0; i < tries; ++i) count += limit.admits(at) ? 1 : 0;
  return count;
}

TEST(SinkLimit, LetsInTwiceARateAtOnceAndThenTheRate) {
  SinkLimit limit(100);
  EXPECT_EQ(admitted(limit, kStart, 1000), 200);
  EXPECT_EQ(admitted(limit, kStart + 500ms, 1000), 50);
  EXPECT_EQ(admitted(limit, kStart + 1h, 1000), 200);
}

TEST(SinkLimit, ZeroIsNone) {
  SinkLimit limit(0);
  EXPECT_EQ(admitted(limit, kStart, 1000), 1000);
}

}  // namespace

}  // namespace sluice::load
