#include "adapters/redis_under_test.h"

#include <algorithm>
#include <condition_variable>
#include <format>
#include <iterator>
#include <latch>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include <sluice/base/planted_bug.h>

// Wills of a front that died and had thousands of them.
namespace sluice::front::testing {
namespace {

using namespace std::chrono_literals;

/// Keeps the store's thread from the first will on until it is let go on, and counts.
class WillListener final : public SessionStoreListener {
 public:
  explicit WillListener(const RedisLine& line) : line_(line) {}

  void on_will_due(const SessionKey& key, StoredWill) override {
    std::unique_lock lock(mutex_);
    if (wills_++ == 0) trips_before_ = line_.round_trips();
    ++by_session_[key];
    trips_ = line_.round_trips() - trips_before_;
    changed_.notify_all();
    changed_.wait(lock, [this] { return is_open_; });
  }
  void on_wide_put(const SessionStore::WideSubscription&) override {
    const std::lock_guard lock(mutex_);
    wills_before_change_ = wills_;
    changed_.notify_all();
  }
  void on_wide_removed(const SessionKey&, std::string_view, std::string_view) override {}
  void on_retained_put(const mqtt::MessagePtr&) override {}
  void on_retained_removed(std::string_view) override {}
  void on_session_ended(const SessionKey&, std::vector<mqtt::Delivery>) override {}
  void on_lease(bool, bool) override {}

  void wait_for_first() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return wills_ > 0; });
  }
  void open() {
    const std::lock_guard lock(mutex_);
    is_open_ = true;
    changed_.notify_all();
  }
  bool has_all(std::size_t wills) const {
    const std::lock_guard lock(mutex_);
    return wills_ >= wills && wills_before_change_;
  }
  std::size_t sessions() const {
    const std::lock_guard lock(mutex_);
    return by_session_.size();
  }
  std::size_t wills() const {
    const std::lock_guard lock(mutex_);
    return wills_;
  }
  /// That came before it heard of a change of a table.
  std::size_t wills_before_change() const {
    const std::lock_guard lock(mutex_);
    return wills_before_change_.value_or(0);
  }
  /// From the first will to the last.
  std::uint64_t round_trips() const {
    const std::lock_guard lock(mutex_);
    return trips_;
  }

 private:
  const RedisLine& line_;
  mutable std::mutex mutex_{};
  std::condition_variable changed_{};
  std::map<SessionKey, int> by_session_{};
  std::size_t wills_ = 0;
  std::optional<std::size_t> wills_before_change_{};
  std::uint64_t trips_before_ = 0;
  std::uint64_t trips_ = 0;
  bool is_open_ = false;
};

class ManyWills : public RedisSessionStoreTest {
 protected:
  /// So many sessions of the front, each with a will of that delay.
  static void claim_many(FrontUnderTest& front, int first, int count, std::chrono::seconds delay) {
    constexpr int kAtOnce = 2000;  // below what may be under way in Redis
    for (int done = 0; done < count; done += kAtOnce) {
      const int some = std::min(kAtOnce, count - done);
      std::latch claimed(some);
      for (int i = first + done; i < first + done + some; ++i) {
        front.loop().post()([&front, &claimed, i, delay] {
          front.store().claim(SessionKey(std::format("blue/w{}", i)),
                              {.expiry_seconds = 1000, .will = will_of(std::to_string(i), delay)},
                              [&claimed](const Result<SessionStore::ClaimOutcome>& outcome) {
                                EXPECT_TRUE(outcome) << outcome.error().message();
                                claimed.count_down();
                              });
        });
      }
      claimed.wait();
    }
  }

  struct Seen {
    std::size_t wills = 0;
    std::size_t sessions = 0;
    std::size_t before_change = 0;
    std::uint64_t round_trips = 0;
  };
  /// A front that hands out the wills of one that has died, as far as the first of them.
  struct HandingOut {
    explicit HandingOut(std::size_t wills) {
      const auto dying = shared.start_front();
      claim_many(*dying, 0, static_cast<int>(wills), 0s);
      shared.kill(*dying);
      auto client = redis::Client::open(line.config(), shared.clock, random, registry, logger);
      if (!client) throw std::runtime_error(client.error().message());
      store = std::make_unique<RedisSessionStore>(
          shared.config(), shared.clock, registry, logger, *std::move(client),
          RedisSessionStore::Identity{.front = FrontId(unique_name("front")), .address = "address"},
          listener);
      listener.wait_for_first();
    }

    RedisUnderTest shared{contract_config(), false};
    RedisLine line{shared.redis()};
    SystemRandom random;
    Registry registry;
    std::shared_ptr<sluice::testing::CapturedLog> log =
        std::make_shared<sluice::testing::CapturedLog>();
    Logger logger = log->logger("test", shared.clock);
    WillListener listener{line};
    TestLoop loop;
    std::unique_ptr<RedisSessionStore> store;
  };

  /// What that front sees when a table changes after the first.
  static Seen hand_out(std::size_t wills) {
    HandingOut front(wills);
    WillListener& listener = front.listener;
    const auto handle = front.store->for_loop(front.loop.post());
    const StoredSubscription wide{.filter = "#", .is_wide = true};
    EXPECT_TRUE(wait_for<void>(front.loop, [&](Done<void> done) {
      handle->put_wide(SessionKey("blue/other"), Epoch(1), wide, std::move(done));
    }));
    listener.open();
    EXPECT_TRUE(sluice::testing::eventually([&] { return listener.has_all(wills); }, 90s));
    return {.wills = listener.wills(),
            .sessions = listener.sessions(),
            .before_change = listener.wills_before_change(),
            .round_trips = listener.round_trips()};
  }

  /// How many neither Redis has nor the listener was told of when the front has stopped sweeping.
  /// `tells`: the listener goes on while it does.
  static std::size_t lost_when_stopped(bool tells) {
    HandingOut front(kMany);
    if (tells) front.listener.open();
    front.store->stop_sweeping();
    const std::size_t told = front.listener.wills();
    std::vector<redis::Command> questions;
    for (std::size_t i = 0; i < kMany; ++i) {
      const auto keys = front.shared.keys().session(SessionKey(std::format("blue/w{}", i)));
      questions.push_back(redis::Command::on_key(keys[2], {"EXISTS", keys[2]}));
    }
    std::size_t left = 0;
    for (const auto& answer : front.shared.client().call_all(std::move(questions))) {
      EXPECT_TRUE(answer) << answer.error().message();
      if (answer) left += static_cast<std::size_t>(answer->integer());
    }
    front.listener.open();
    return kMany - told - left;
  }

  // More than may wait for the listener, kWaitingCalls, and a slice.
  static constexpr std::size_t kMany = 6000;
};
INSTANTIATE_TEST_SUITE_P(Redis, ManyWills, ::testing::Values(make_single));

TEST_P(ManyWills, AreHandedOutInBatchesBetweenWhichTheTablesAreFollowed) {
  const Seen seen = hand_out(kMany);
  EXPECT_EQ(seen.wills, kMany);
  EXPECT_EQ(seen.sessions, kMany);
  EXPECT_LT(seen.before_change, kMany);
  EXPECT_LT(seen.round_trips, kMany / 5) << "one by one they take two each";
}

TEST_P(ManyWills, HeldUpTablesWouldBeSeen) {
  const ScopedPlantedBug bug("front_sweeps_to_the_end");
  EXPECT_EQ(hand_out(kMany).before_change, kMany);
}

TEST_P(ManyWills, AreInRedisOrToldOfWhenAFrontHasStoppedSweeping) {
  EXPECT_EQ(lost_when_stopped(true), 0U);
}

TEST_P(ManyWills, OfAFrontThatSweepsWhileItStopsWouldBeSeenToBeLost) {
  const ScopedPlantedBug bug("front_sweeps_while_it_stops");
  EXPECT_GT(lost_when_stopped(false), 400U) << "a slice, but for the first";
}

TEST_P(ManyWills, AreHandedOutOnceByAllFrontsTogetherAndAfterTheirDelay) {
  constexpr int kAtOnce = 1200;
  constexpr int kLater = 700;
  claim_many(*one, 0, kAtOnce, 0s);
  claim_many(*one, kAtOnce, kLater, 500s);
  const auto three = under_test->start_front();
  under_test->kill(*one);
  const auto wills = [&] {
    auto all = two->listener().wills();
    std::ranges::move(three->listener().wills(), std::back_inserter(all));
    std::ranges::sort(all);
    return all;
  };
  const RedisKeys keys = redis().keys();
  const std::string list = keys.due_wills();
  const std::string lock = keys.sweeper();
  EXPECT_TRUE(eventually([&] {
    redis().ask(lock, {"DEL", lock});  // so that both look after them together
    return wills().size() >= kAtOnce && redis().ask(list, {"ZCARD", list}).integer() == kLater;
  }));
  std::vector<std::string> expected;
  for (int i = 0; i < kAtOnce; ++i) expected.push_back(std::format("blue/w{0} {0}", i));
  std::ranges::sort(expected);
  EXPECT_EQ(wills(), expected);
  const auto in_400_s = redis().clock.wall() + 400s;
  const std::string from = std::to_string(in_400_s.time_since_epoch().count());
  EXPECT_EQ(redis().ask(list, {"ZCOUNT", list, from, "+inf"}).integer(), kLater);
}

}  // namespace
}  // namespace sluice::front::testing
