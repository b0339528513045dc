#include "scheduling.h"

#include <thread>

#include <gtest/gtest.h>
#include <sched.h>

namespace sluice::load {

namespace {

/// Of the calling thread, without the flag that children have another one.
int policy() { return sched_getscheduler(0) & ~SCHED_RESET_ON_FORK; }

TEST(Scheduling, AThreadIsFirstOrIsToldWhyNot) {
  Scheduling got;
  int is = -1;
  std::jthread([&] {
    got = schedule_first();
    is = policy();
  }).join();
  EXPECT_EQ(is, got.is_as_wanted ? SCHED_FIFO : SCHED_OTHER);
  EXPECT_TRUE(got.words.starts_with(got.is_as_wanted ? "SCHED_FIFO" : "as everybody: "))
      << got.words;
}

TEST(Scheduling, AThreadMayAlwaysBeLastAndTheOthersStayAsTheyWere) {
  const int before = policy();
  Scheduling got;
  int is = -1;
  std::jthread([&] {
    got = schedule_last(false);
    is = policy();
  }).join();
  EXPECT_TRUE(got.is_as_wanted) << got.words;
  EXPECT_EQ(got.words, "SCHED_IDLE");
  EXPECT_EQ(is, SCHED_IDLE);
  EXPECT_EQ(policy(), before);
}

}  // namespace

}  // namespace sluice::load
