#include "adapters/redis_under_test.h"

#include <algorithm>
#include <condition_variable>
#include <format>
#include <mutex>
#include <string>
#include <vector>

#include <sluice/base/planted_bug.h>
#include <sluice/testing/sim_clock.h>

// The store in Redis when a front stood still or was cut off, or when Redis has lost its data.
namespace sluice::front::testing {
namespace {

using namespace std::chrono_literals;

TEST_P(RedisSessionStoreTest, LosesItsLeaseWhenItStoodStill) {
  // A clock that stands still is a process that is stopped: nothing is renewed, and Redis' own time
  // goes on.
  sluice::testing::SimClock frozen;
  RedisFront front(redis().config(), redis().redis(), frozen);
  const auto made = claim(front);
  EXPECT_TRUE(whole(front).lease_is_valid(frozen.mono()));
  EXPECT_TRUE(eventually([&] {
    const auto tried = try_claim(*two, {.expiry_seconds = 100}, key);
    return tried && !tried->owned_by_other;
  }));
  frozen.advance(config.front_lease);
  EXPECT_FALSE(whole(front).lease_is_valid(frozen.mono())) << "before anything could tell it";
  const auto without_lease = try_claim(front, {}, SessionKey("blue/d9"));
  ASSERT_FALSE(without_lease);
  EXPECT_EQ(without_lease.error().code(), ErrorCode::kUnavailable);
  const auto is_told = [&](const char* what) {
    return std::ranges::contains(front.listener().leases(), what);
  };
  EXPECT_TRUE(eventually([&] { return is_told("lost"); }));
  const auto late = put_delivery(front, made.epoch, delivery_of(1, "x"));
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().reason(), "fenced");
  EXPECT_TRUE(eventually([&] { return front.listener().leases().back() == "valid"; }));
  EXPECT_EQ(front.listener().leases(),
            (std::vector<std::string>{"valid", "uncertain", "lost", "valid"}));
}

/// Takes a change of a table for each step() alone, and notes what it was told of the lease.
class SlowListener final : public SessionStoreListener {
 public:
  ~SlowListener() override { EXPECT_TRUE(is_open_) << "the store's thread would wait for ever"; }

  void on_retained_put(const mqtt::MessagePtr&) override {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return is_open_ || steps_ > 0; });
    if (!is_open_) --steps_;
    ++taken_;
  }
  void on_lease(bool is_valid, bool sessions_lost) override {
    const std::lock_guard lock(mutex_);
    leases_.emplace_back(is_valid ? "valid" : sessions_lost ? "lost" : "uncertain");
  }
  void on_wide_put(const SessionStore::WideSubscription&) override {}
  void on_wide_removed(const SessionKey&, std::string_view, std::string_view) override {}
  void on_retained_removed(std::string_view) override {}
  void on_will_due(const SessionKey&, StoredWill) override {}
  void on_session_ended(const SessionKey&, std::vector<mqtt::Delivery>) override {}

  void step() {
    const std::lock_guard lock(mutex_);
    ++steps_;
    changed_.notify_all();
  }
  void open() {
    const std::lock_guard lock(mutex_);
    is_open_ = true;
    changed_.notify_all();
  }
  int taken() const {
    const std::lock_guard lock(mutex_);
    return taken_;
  }
  std::vector<std::string> leases() const {
    const std::lock_guard lock(mutex_);
    return leases_;
  }

 private:
  mutable std::mutex mutex_{};
  std::condition_variable changed_{};
  std::vector<std::string> leases_{};
  int steps_ = 0;
  int taken_ = 0;
  bool is_open_ = false;
};

// A front that goes on after a pause finds thousands of changes and the loss of its lease.
TEST_P(RedisSessionStoreTest, TellsOfALostLeaseBeforeItHasAnother) {
  constexpr int kChanges = 300;
  SessionStoreConfig roomy = contract_config();
  roomy.max_retained = roomy.max_tenant_retained = kChanges;
  roomy.max_retained_bytes = roomy.max_tenant_retained_bytes = 1_MiB;
  RedisUnderTest shared(roomy, false);
  const auto other = shared.start_front();
  for (int i = 0; i < kChanges; ++i) {
    ASSERT_TRUE(retain(*other, std::format("blue/t{}", i), "x"));
  }
  sluice::testing::SimClock frozen;
  SystemClock system;
  SystemRandom random;
  Registry registry;
  const auto log = std::make_shared<sluice::testing::CapturedLog>();
  const Logger logger = log->logger("test", system);
  auto client = redis::Client::open(shared.redis(), system, random, registry, logger);
  ASSERT_TRUE(client);
  const std::string id = unique_name("front");
  SlowListener listener;
  RedisSessionStore store(shared.config(), frozen, registry, logger, *std::move(client),
                          {.front = FrontId(id), .address = "address"}, listener);
  const auto has_lease = [&] {
    listener.step();
    return store.lease_is_valid(frozen.mono());
  };
  EXPECT_TRUE(eventually(has_lease));
  const std::string lease = shared.keys().lease(id);
  shared.ask(lease, {"DEL", lease});
  frozen.advance(config.front_lease);
  EXPECT_TRUE(eventually(has_lease));
  EXPECT_TRUE(std::ranges::contains(listener.leases(), "lost"));
  EXPECT_LT(listener.taken(), kChanges) << "or nothing was tested";
  listener.open();
}

TEST_P(RedisSessionStoreTest, GoesOnAsOwnerWhileRedisIsAway) {
  for (const bool keeps : {true, false}) {
    RedisLine line(redis().redis());
    SessionStoreConfig short_lease = redis().config();
    short_lease.front_lease = 300ms;
    short_lease.session_outage = keeps ? "keep" : "fence";
    RedisFront front(short_lease, line.config(100ms), redis().clock);
    const SessionKey mine("blue/outage");
    ASSERT_TRUE(try_claim(front, {.expiry_seconds = 100}, mine));
    line.cut();
    // Its key in Redis runs out, whatever it believes.
    const std::string lease = redis().keys().lease(front.id().value());
    EXPECT_TRUE(eventually([&] { return redis().ask(lease, {"EXISTS", lease}).integer() == 0; }));
    if (keeps) {
      EXPECT_TRUE(whole(front).lease_is_valid(redis().clock.mono()));
      EXPECT_EQ(front.listener().leases(), std::vector<std::string>{"valid"});
    } else {
      EXPECT_TRUE(eventually([&] { return !whole(front).lease_is_valid(redis().clock.mono()); }));
    }
    Result<SessionStore::ClaimOutcome> taken = fail(ErrorCode::kUnknown, "not claimed yet");
    ASSERT_TRUE(eventually([&] {  // it has just started, and takes nobody for dead yet
      taken = try_claim(*two, {.expiry_seconds = 100}, mine);
      return taken && !taken->owned_by_other;
    }));
    line.heal();
    if (keeps) {
      EXPECT_TRUE(eventually([&] {
        return front.listener().fenced() == std::vector<std::string>{"blue/outage"};
      })) << "the one that was taken";
    } else {
      EXPECT_TRUE(
          eventually([&] { return std::ranges::contains(front.listener().leases(), "lost"); }));
    }
    ASSERT_TRUE(wait_for<void>(two->loop(), [&](Done<void> done) {
      two->store().release(mine, taken->claim.epoch, {.expiry_seconds = 0}, std::move(done));
    }));
  }
}

/// A front that was cut off from Redis and is there again; meanwhile the lease of another one ran
/// out, which owns a session with a will.
class AfterAnOutage : public RedisSessionStoreTest {
 protected:
  AfterAnOutage() {
    claim(*one, {.expiry_seconds = 100, .will = will_of("w", 0s)});
    under_test->kill(*two);  // which had no outage, and could tell
    line.cut();
    under_test->kill(*one);
    const std::string lease = redis().keys().lease(one->id().value());
    EXPECT_TRUE(eventually([&] { return redis().ask(lease, {"EXISTS", lease}).integer() == 0; }));
    line.heal();
  }
  bool takes_the_session() {
    const auto tried = try_claim(back, {.expiry_seconds = 100}, key);
    EXPECT_TRUE(tried) << tried.error().message();
    if (!tried || !tried->owned_by_other) return true;
    EXPECT_EQ(tried->owned_by_other->address, "address of " + one->id().value());
    return false;
  }

  RedisLine line{redis().redis()};
  RedisFront back{redis().config(), line.config(), redis().clock};
};
INSTANTIATE_TEST_SUITE_P(Redis, AfterAnOutage, ::testing::Values(make_single));

TEST_P(AfterAnOutage, AFrontIsAskedForItsSessionsUntilItHadTimeToComeBack) {
  EXPECT_FALSE(takes_the_session());
  EXPECT_TRUE(back.listener().wills().empty());
  EXPECT_TRUE(eventually([&] { return takes_the_session(); })) << "it is dead";
  EXPECT_TRUE(
      eventually([&] { return back.listener().wills() == std::vector<std::string>{"blue/d1 w"}; }));
}

TEST_P(AfterAnOutage, ASessionThatIsTakenUnaskedWouldBeSeen) {
  const ScopedPlantedBug bug("front_judges_others_after_an_outage");
  EXPECT_TRUE(takes_the_session());
}

TEST_P(RedisSessionStoreTest, OutlivesTheLossOfEverything) {
  const Epoch epoch = claim(*one).epoch;
  ASSERT_TRUE(put_delivery(*one, epoch, delivery_of(1, "x")));
  ASSERT_TRUE(change(*one, [&](SessionStore& store, Done<void> done) {
    store.put_wide(key, epoch, {.filter = "w"}, std::move(done));
  }));
  const auto retained = message_of("r", "kept");
  ASSERT_TRUE(change(*two, [&](SessionStore& store, Done<void> done) {
    store.put_retained(retained, SessionStore::WhenAway::kFail, std::move(done));
  }));
  for (FrontUnderTest* front : {one.get(), two.get()}) {
    ASSERT_TRUE(eventually([&] {
      return front->listener().wide().size() == 1 && front->listener().retained().size() == 1;
    }));
  }

  lose_everything();
  const RedisKeys keys = redis().keys();
  const std::string lease = keys.lease(one->id().value());
  const std::string record = keys.session(key)[0];
  const std::string wide = keys.mirror("wide")[0];
  const std::string values = keys.mirror("retained")[0];
  const auto is_there = [&](const std::string& name) {
    return redis().ask(name, {"EXISTS", name}).integer() == 1;
  };
  EXPECT_TRUE(eventually([&] { return is_there(lease) && is_there(record); }))
      << "put back as owned without anybody asking";
  EXPECT_TRUE(eventually([&] { return is_there(wide) && is_there(values); }));
  EXPECT_EQ(one->listener().leases(), std::vector<std::string>{"valid"}) << "it goes on";
  EXPECT_TRUE(try_claim(*two, {.expiry_seconds = 100}, key)->owned_by_other);
  EXPECT_TRUE(put_delivery(*one, epoch, delivery_of(2, "y")));
  ASSERT_TRUE(release(*one, epoch, {.expiry_seconds = 100}));
  const auto after = claim(*two);
  EXPECT_FALSE(after.session_present) << "half of a session is none";
  EXPECT_GT(after.epoch, epoch);
  EXPECT_EQ(two->listener().retained().at("r"), "kept");
}

TEST_P(RedisSessionStoreTest, PutsASessionBackWhenAWriteMissesIt) {
  const Epoch epoch = claim(*one).epoch;
  for (const auto& name : redis().keys().session(key)) redis().ask(name, {"DEL", name});
  EXPECT_TRUE(put_delivery(*one, epoch, delivery_of(1, "x")));
  EXPECT_TRUE(locate(*two)->owner);
  EXPECT_FALSE(claim(*one).session_present) << "what was there before is lost";
}

}  // namespace
}  // namespace sluice::front::testing
