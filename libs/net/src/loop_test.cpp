#include <sluice/net/loop.h>

#include <atomic>
#include <functional>
#include <thread>
#include <vector>

#include <sluice/testing/sim_clock.h>

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

namespace sluice::net {
namespace {

using namespace std::chrono_literals;

class TestHandler final : public FdHandler {
 public:
  explicit TestHandler(std::function<void(std::uint32_t)> act) : act_(std::move(act)) {}
  void on_ready(std::uint32_t events) override {
    const auto act = act_;  // it may destroy us
    act(events);
  }

 private:
  std::function<void(std::uint32_t)> act_;
};

/// Writes down what it is told, and removes another when it is its turn.
class ProphetHandler final : public FdHandler {
 public:
  void on_ready(std::uint32_t) override {
    is_ready_ = true;
    if (removes >= 0) loop->remove(removes);
  }
  void prefetch(PrefetchStep step) const override {
    EXPECT_FALSE(is_ready_);
    steps.push_back(step);
  }
  Loop* loop = nullptr;
  int removes = -1;
  mutable std::vector<PrefetchStep> steps{};

 private:
  bool is_ready_ = false;
};

struct TestTimer final : Timer {
  void on_timer() override { ++fired; }
  int fired = 0;
};

struct Pair {
  Pair() {
    int fds[2] = {};
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    near = Socket(fds[0]);
    far = Socket(fds[1]);
  }
  void poke() const { EXPECT_EQ(write(far.fd(), "x", 1), 1); }
  Socket near;
  Socket far;
};

class LoopTest : public ::testing::Test {
 protected:
  std::unique_ptr<Loop> make(LoopOptions options = {}) {
    return *Loop::create(options, clock_, registry_);
  }
  SystemClock clock_;
  Registry registry_;
};

TEST_F(LoopTest, RunsWhatOtherThreadsPostUntilItIsStopped) {
  const auto loop = make();
  int ran = 0;
  std::jthread other([&] {
    for (int i = 0; i < 10'000; ++i) loop->post([&] { ++ran; });
    loop->stop();
  });
  loop->run();
  EXPECT_EQ(ran, 10'000);
}

TEST_F(LoopTest, RefusesTasksPastTheBoundOfItsInbox) {
  const auto loop = make({.inbox_capacity = 2});
  int ran = 0;
  Loop::Task kept = [&] { ++ran; };
  EXPECT_TRUE(loop->try_post([&] { ++ran; }));
  EXPECT_TRUE(loop->try_post([&] { ++ran; }));
  EXPECT_FALSE(loop->try_post(std::move(kept)));
  EXPECT_TRUE(kept);  // untouched
  loop->post([&] { ++ran; });
  loop->run_once(0ms);
  EXPECT_EQ(ran, 3);
  EXPECT_TRUE(loop->try_post(std::move(kept)));
  EXPECT_NE(registry_.scrape().find("sluice_net_inbox_refused_total 1"), std::string::npos);
}

TEST_F(LoopTest, LeavesTasksThatTasksPostToTheNextTurn) {
  const auto loop = make();
  int ran = 0;
  std::function<void()> again = [&] {
    ++ran;
    loop->post(again);
  };
  loop->post(again);
  loop->run_once(0ms);
  EXPECT_EQ(ran, 1);
  loop->run_once(1h);  // does not wait
  EXPECT_EQ(ran, 2);
}

TEST_F(LoopTest, DoesNotSleepOverWhatItsOwnThreadPosts) {
  const auto loop = make();
  int ran = 0;
  bool posts = true;
  loop->before_wait([&] {
    if (std::exchange(posts, false)) loop->post([&] { ++ran; });
  });
  loop->run_once(1h);
  EXPECT_EQ(ran, 1);
  const Pair pair;
  TestHandler handler([&](std::uint32_t) {
    EXPECT_TRUE(loop->try_post([&] { ++ran; }));  // runs in this turn
    posts = true;                                 // and that in the next
  });
  ASSERT_TRUE(loop->add(pair.near.fd(), EPOLLIN | EPOLLET, handler));
  pair.poke();
  loop->run_once(1h);
  EXPECT_EQ(ran, 2);
  loop->run_once(1h);
  EXPECT_EQ(ran, 3);
}

TEST_F(LoopTest, DropsEventsOfHandlersDestroyedInTheSameBatch) {
  const auto loop = make();
  Pair pairs[2];
  std::unique_ptr<TestHandler> handlers[2];
  int calls = 0;
  for (int i = 0; i < 2; ++i) {
    handlers[i] = std::make_unique<TestHandler>([&](std::uint32_t) {
      ++calls;
      // Whichever is first destroys both, itself among them.
      for (int k = 0; k < 2; ++k) {
        loop->remove(pairs[k].near.fd());
        handlers[k].reset();
      }
    });
    ASSERT_TRUE(loop->add(pairs[i].near.fd(), kStreamEvents, *handlers[i]));
    pairs[i].poke();
  }
  loop->run_once(1h);
  EXPECT_EQ(calls, 1);
}

TEST_F(LoopTest, DoesNotGiveOldEventsToTheNextOwnerOfADescriptor) {
  const auto loop = make();
  Pair pairs[2];
  int wrong = 0;
  int calls = 0;
  TestHandler heir([&](std::uint32_t events) { wrong += (events & EPOLLIN) != 0 ? 1 : 0; });
  std::unique_ptr<TestHandler> handlers[2];
  Pair fresh;
  for (int i = 0; i < 2; ++i) {
    handlers[i] = std::make_unique<TestHandler>([&, i](std::uint32_t) {
      ++calls;
      Pair& other = pairs[1 - i];
      loop->remove(other.near.fd());
      // The same number, another socket: as accept() would hand it out.
      EXPECT_GE(dup2(fresh.near.fd(), other.near.fd()), 0);
      EXPECT_TRUE(loop->add(other.near.fd(), EPOLLIN, heir));
    });
    ASSERT_TRUE(loop->add(pairs[i].near.fd(), EPOLLIN, *handlers[i]));
    pairs[i].poke();
  }
  loop->run_once(1h);
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(wrong, 0);
}

TEST_F(LoopTest, TellsWhoseTurnComesSoonStepByStep) {
  const auto loop = make();
  Pair pairs[6];
  ProphetHandler handlers[6];
  for (int i = 0; i < 6; ++i) {
    handlers[i].loop = loop.get();
    ASSERT_TRUE(loop->add(pairs[i].near.fd(), EPOLLIN, handlers[i]));
    pairs[i].poke();
  }
  handlers[2].removes = pairs[4].near.fd();  // the fifth has heard of its first two steps then
  loop->run_once(1h);
  using Steps = std::vector<PrefetchStep>;
  const Steps all = {PrefetchStep::kObject, PrefetchStep::kPointees, PrefetchStep::kBehind};
  EXPECT_EQ(handlers[3].steps, all);
  EXPECT_EQ(handlers[4].steps, (Steps{PrefetchStep::kObject, PrefetchStep::kPointees}));
  EXPECT_EQ(handlers[5].steps, all);
}

TEST_F(LoopTest, StopsCallingAHandlerThatWasRemovedAndCallsItWhenAddedAgain) {
  const auto loop = make();
  const Pair pair;
  int calls = 0;
  TestHandler handler([&](std::uint32_t) { ++calls; });
  ASSERT_TRUE(loop->add(pair.near.fd(), EPOLLIN, handler));
  pair.poke();
  loop->run_once(1h);
  EXPECT_EQ(calls, 1);
  loop->modify(pair.near.fd(), 0);
  loop->run_once(0ms);
  EXPECT_EQ(calls, 1);
  loop->remove(pair.near.fd());
  loop->remove(pair.near.fd());
  loop->run_once(0ms);
  EXPECT_EQ(calls, 1);
  ASSERT_TRUE(loop->add(pair.near.fd(), EPOLLIN, handler));
  loop->run_once(1h);
  EXPECT_EQ(calls, 2);
}

TEST_F(LoopTest, SaysWhenADescriptorCannotBeWatched) {
  const auto loop = make();
  TestHandler handler([](std::uint32_t) {});
  EXPECT_FALSE(loop->add(900, EPOLLIN, handler));
}

TEST_F(LoopTest, FiresTimersByItsClockAndNeverEarly) {
  testing::SimClock clock;
  const auto loop = *Loop::create({}, clock, registry_);
  TestTimer timer;
  clock.advance(300us);
  loop->arm(timer, 10ms);
  clock.advance(9'600us);
  loop->run_once(0ms);
  EXPECT_EQ(timer.fired, 0);
  clock.advance(1ms);
  loop->run_once(0ms);
  EXPECT_EQ(timer.fired, 1);
  EXPECT_EQ(loop->now(), clock.mono());
}

TEST_F(LoopTest, WakesForATimerThatIsTheOnlyThingToWaitFor) {
  const auto loop = make();
  TestTimer timer;
  loop->arm(timer, 3ms);
  while (timer.fired == 0) loop->run_once(1h);
  EXPECT_EQ(timer.fired, 1);
}

TEST_F(LoopTest, RunsHooksOnceATurnInTheirOrder) {
  const auto loop = make();
  std::string calls;
  loop->before_wait([&] { calls += 'a'; });
  loop->before_wait([&] { calls += 'b'; });
  loop->run_once(0ms);
  loop->run_once(0ms);
  EXPECT_EQ(calls, "abab");
}

TEST_F(LoopTest, KnowsWhetherItsOwnThreadIsAsking) {
  const auto loop = make();
  EXPECT_FALSE(loop->is_current());
  bool is_inside = false;
  loop->post([&] { is_inside = loop->is_current(); });
  loop->run_once(0ms);
  EXPECT_TRUE(is_inside);
}

TEST_F(LoopTest, LosesNoWakeUpWhileItNaps) {
  const auto loop = make({.nap = 1ms});
  const Pair pair;
  TestHandler handler([&](std::uint32_t) {
    char c = 0;
    EXPECT_EQ(read(pair.near.fd(), &c, 1), 1);
  });
  ASSERT_TRUE(loop->add(pair.near.fd(), EPOLLIN, handler));
  int ran = 0;
  std::jthread other([&] {
    for (int i = 0; i < 200; ++i) {
      std::atomic<bool> is_done = false;
      pair.poke();
      loop->post([&] {
        ++ran;
        is_done = true;
        is_done.notify_one();
      });
      is_done.wait(false);
    }
    loop->stop();
  });
  loop->run();
  EXPECT_EQ(ran, 200);
}

TEST_F(LoopTest, DestroysTasksThatNeverRan) {
  auto loop = make();
  const auto held = std::make_shared<int>(1);
  loop->post([held] {});
  EXPECT_EQ(held.use_count(), 2);
  loop.reset();
  EXPECT_EQ(held.use_count(), 1);
}

}  // namespace
}  // namespace sluice::net
