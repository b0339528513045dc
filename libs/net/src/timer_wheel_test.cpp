#include <sluice/net/timer_wheel.h>

#include <map>
#include <memory>
#include <random>
#include <vector>

#include <gtest/gtest.h>

namespace sluice::net {
namespace {

struct TestTimer final : Timer {
  void on_timer() override {
    ++fired;
    if (then) then();
  }
  int fired = 0;
  std::function<void()> then{};
};

TEST(TimerWheel, KeepsATimerIn32Bytes) { static_assert(sizeof(Timer) == 32); }

TEST(TimerWheel, FiresAtTheDeadlineAndNotBefore) {
  TimerWheel wheel;
  TestTimer timer;
  wheel.arm(timer, 5);
  wheel.advance(4);
  EXPECT_EQ(timer.fired, 0);
  wheel.advance(5);
  EXPECT_EQ(timer.fired, 1);
  EXPECT_FALSE(timer.is_armed());
}

TEST(TimerWheel, RoundsLongDelaysUpSoThatTheyShareWakeUps) {
  TimerWheel wheel;
  TestTimer a;
  TestTimer b;
  wheel.arm(a, 60'001);
  wheel.advance(20);
  wheel.arm(b, 60'003);
  wheel.advance(60'001);
  EXPECT_EQ(a.fired + b.fired, 0);
  wheel.advance(60'032);  // the next multiple of 128
  EXPECT_EQ(a.fired + b.fired, 2);
}

TEST(TimerWheel, PutsOffWithoutFiringEarly) {
  TimerWheel wheel;
  TestTimer timer;
  wheel.arm(timer, 1000);
  for (TimerWheel::Ticks now = 0; now < 100'000; now += 900) {
    wheel.advance(now);
    wheel.arm(timer, 1000);
  }
  EXPECT_EQ(timer.fired, 0);
  wheel.advance(99'900 + 1000);
  EXPECT_EQ(timer.fired, 1);
}

TEST(TimerWheel, BringsADeadlineForward) {
  TimerWheel wheel;
  TestTimer timer;
  wheel.arm(timer, 50'000);
  wheel.arm(timer, 10);
  wheel.advance(10);
  EXPECT_EQ(timer.fired, 1);
  wheel.advance(60'000);
  EXPECT_EQ(timer.fired, 1);
}

TEST(TimerWheel, SurvivesTimersThatDestroyOthersOfTheirSlot) {
  TimerWheel wheel;
  auto victim = std::make_unique<TestTimer>();
  TestTimer killer;
  killer.then = [&] { victim.reset(); };
  wheel.arm(killer, 7);
  wheel.arm(*victim, 7);
  wheel.advance(7);
  EXPECT_EQ(killer.fired, 1);
  EXPECT_EQ(wheel.next_due(), std::nullopt);
}

TEST(TimerWheel, LetsATimerRearmAndDestroyItself) {
  TimerWheel wheel;
  TestTimer again;
  again.then = [&] {
    if (again.fired < 3) wheel.arm(again, 0);
  };
  auto* gone = new TestTimer;
  gone->then = [gone] { delete gone; };
  wheel.arm(again, 1);
  wheel.arm(*gone, 1);
  wheel.advance(10);
  EXPECT_EQ(again.fired, 3);
}

TEST(TimerWheel, DisarmsWhatIsLeftWhenItGoesFirst) {
  TestTimer timer;
  {
    TimerWheel wheel;
    wheel.arm(timer, 7);
  }
  EXPECT_FALSE(timer.is_armed());
}

/// The wheel against a map of deadlines, with delays of every level and leaps of every size, past
/// the wrap of 32 bits.
TEST(TimerWheel, AgreesWithASimpleModelUnderRandomUse) {
  for (const unsigned seed : {1U, 2U, 3U, 4U}) {
    std::mt19937_64 random(seed);
    TimerWheel wheel;
    std::vector<TestTimer> timers(200);
    std::map<std::size_t, TimerWheel::Ticks> model;
    TimerWheel::Ticks now = 0;
    if (seed % 2 == 0) wheel.advance(now = (TimerWheel::Ticks{1} << 32) - 100'000);
    const auto any = [&random](unsigned bits) { return random() >> (64 - 1 - random() % bits); };
    for (int step = 0; step < 20'000; ++step) {
      const std::size_t i = random() % timers.size();
      switch (random() % 4) {
        case 0:
        case 1: {
          const TimerWheel::Ticks delay = any(24);
          wheel.arm(timers[i], delay);
          TimerWheel::Ticks due = now + std::max<TimerWheel::Ticks>(delay, 1);
          if (delay >= TimerWheel::kCoarseFrom) due = (due + 127) / 128 * 128;
          model[i] = due;
          break;
        }
        case 2:
          timers[i].cancel();
          model.erase(i);
          break;
        default:
          now += any(step % 100 == 0 ? 22 : 10);
          wheel.advance(now);
      }
      const auto next = wheel.next_due();
      for (auto it = model.begin(); it != model.end();) {
        const bool is_due = it->second <= now;
        ASSERT_EQ(timers[it->first].fired, is_due ? 1 : 0) << seed << " " << step;
        if (!is_due) {
          ASSERT_TRUE(timers[it->first].is_armed());
          ASSERT_TRUE(next && *next <= it->second) << seed << " " << step;
        }
        timers[it->first].fired = 0;
        it = is_due ? model.erase(it) : std::next(it);
      }
    }
  }
}

}  // namespace
}  // namespace sluice::net
