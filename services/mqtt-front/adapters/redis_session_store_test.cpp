#include "adapters/redis_session_store.h"

#include "adapters/redis_under_test.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <format>
#include <mutex>
#include <thread>

#include <sluice/base/planted_bug.h>
#include <sluice/testing/fault_proxy.h>
#include <sluice/testing/sim_clock.h>

namespace sluice::front::testing {
namespace {

using namespace std::chrono_literals;

INSTANTIATE_TEST_SUITE_P(Redis, SessionStoreContract, ::testing::Values(make_single));
INSTANTIATE_TEST_SUITE_P(RedisCluster, SessionStoreContract, ::testing::Values(make_cluster));

INSTANTIATE_TEST_SUITE_P(Redis, RedisSessionStoreTest, ::testing::Values(make_single));

TEST_P(RedisSessionStoreTest, RefusesEveryWriteOfAnOldEpoch) {
  const Epoch old = claim(*one).epoch;
  const Epoch current = claim(*one).epoch;
  const StoredSubscription subscription{.filter = "a"};
  using Call = std::function<void(SessionStore&, Done<void>)>;
  const std::vector<std::pair<const char*, Call>> writes{
      {"put_subscription",
       [&](SessionStore& store, Done<void> done) {
         store.put_subscription(key, old, subscription, std::move(done));
       }},
      {"remove_subscription",
       [&](SessionStore& store, Done<void> done) {
         store.remove_subscription(key, old, "a", "", std::move(done));
       }},
      {"put_delivery",
       [&](SessionStore& store, Done<void> done) {
         store.put_delivery(key, old, delivery_of(1, "x"), std::move(done));
       }},
      {"put_inbound", [&](SessionStore& store,
                          Done<void> done) { store.put_inbound(key, old, 1, std::move(done)); }},
      {"remove_inbound", [&](SessionStore& store, Done<void> done) {
         store.remove_inbound(key, old, 1, std::move(done));
       }}};
  for (const auto& [name, call] : writes) {
    const auto refused = change(*one, call);
    ASSERT_FALSE(refused) << name;
    EXPECT_EQ(refused.error().code(), ErrorCode::kAborted) << name;
    EXPECT_EQ(refused.error().reason(), "fenced") << name;
  }
  // The two without an answer.
  ASSERT_TRUE(put_delivery(*one, current, delivery_of(1, "x")));
  one->loop().post()([&] {
    one->store().update_delivery(key, old, delivery_of(1, "x", 9, mqtt::Delivery::State::kSent));
    one->store().remove_delivery(key, old, 1);
  });
  ASSERT_TRUE(release(*one, current, {.expiry_seconds = 100}));
  const auto resumed = claim(*two);
  ASSERT_EQ(resumed.session.deliveries.size(), 1U);
  EXPECT_EQ(resumed.session.deliveries[0].packet_id, 0);
  EXPECT_TRUE(resumed.session.subscriptions.empty());
}

TEST_P(RedisSessionStoreTest, KeepsAReleasedHandshakeWithoutItsMessage) {
  const Epoch epoch = claim(*one).epoch;
  mqtt::Delivery delivery = delivery_of(1, std::string(2000, 'x'));
  delivery.qos = mqtt::Qos::kExactlyOnce;
  ASSERT_TRUE(put_delivery(*one, epoch, delivery));
  delivery.packet_id = 4711;
  delivery.state = mqtt::Delivery::State::kReleased;
  one->loop().post()([&] { one->store().update_delivery(key, epoch, delivery); });
  ASSERT_TRUE(release(*one, epoch, {.expiry_seconds = 100}));
  const auto resumed = claim(*two);
  ASSERT_EQ(resumed.session.deliveries.size(), 1U);
  EXPECT_EQ(resumed.session.deliveries[0].state, mqtt::Delivery::State::kReleased);
  EXPECT_EQ(resumed.session.deliveries[0].qos, mqtt::Qos::kExactlyOnce);
  EXPECT_EQ(resumed.session.deliveries[0].packet_id, 4711);
  EXPECT_EQ(resumed.session.deliveries[0].message, nullptr);
}

TEST_P(RedisSessionStoreTest, TakesSubscriptionsDeliveriesAndInboundOffAgain) {
  const Epoch epoch = claim(*one).epoch;
  for (const char* filter : {"a", "b", "a"}) {
    const StoredSubscription subscription{.filter = filter};
    ASSERT_TRUE(change(*one, [&](SessionStore& store, Done<void> done) {
      store.put_subscription(key, epoch, subscription, std::move(done));
    }));
  }
  ASSERT_TRUE(change(*one, [&](SessionStore& store, Done<void> done) {
    store.remove_subscription(key, epoch, "b", "", std::move(done));
  }));
  for (std::uint64_t i = 1; i <= 3; ++i) {
    ASSERT_TRUE(put_delivery(*one, epoch, delivery_of(i, std::to_string(i))));
  }
  one->loop().post()([&] {
    for (std::uint64_t i = 1; i <= 3; ++i) one->store().remove_delivery(key, epoch, i);
  });
  for (const bool is_put : {true, false}) {
    ASSERT_TRUE(change(*one, [&](SessionStore& store, Done<void> done) {
      if (is_put)
        store.put_inbound(key, epoch, 7, std::move(done));
      else
        store.remove_inbound(key, epoch, 7, std::move(done));
    }));
  }
  const std::string queue = redis().keys().session(key)[1];
  EXPECT_EQ(redis().ask(queue, {"EXISTS", queue}).integer(), 0) << "an empty queue takes no room";
  ASSERT_TRUE(release(*one, epoch, {.expiry_seconds = 100}));
  const auto resumed = claim(*two);
  ASSERT_EQ(resumed.session.subscriptions.size(), 1U);
  EXPECT_EQ(resumed.session.subscriptions[0].filter, "a");
  EXPECT_TRUE(resumed.session.deliveries.empty());
  EXPECT_TRUE(resumed.session.inbound_qos2.empty());
  EXPECT_EQ(resumed.session.next_sequence, 4U) << "a sequence is never given twice";
}

// A front whose first try was done, and whose answer was lost, cannot know that.
TEST_P(RedisSessionStoreTest, MayBeToldOfAnInboundPublishAgain) {
  const Epoch epoch = claim(*one).epoch;
  const auto tell = [&](bool is_put) {
    return change(*one, [&](SessionStore& store, Done<void> done) {
      if (is_put) return store.put_inbound(key, epoch, 7, std::move(done));
      store.remove_inbound(key, epoch, 7, std::move(done));
    });
  };
  EXPECT_TRUE(tell(true) && tell(true));
  ASSERT_TRUE(release(*one, epoch, {.expiry_seconds = 100}));
  EXPECT_EQ(claim(*one).session.inbound_qos2, std::vector<std::uint16_t>{7});
  const auto late = tell(false);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().reason(), "fenced");
}

TEST_P(RedisSessionStoreTest, BoundsWhatAnOwnerPuts) {
  const Epoch epoch = claim(*one).epoch;
  std::uint64_t sequence = 0;
  while (sequence < static_cast<std::uint64_t>(config.max_queued)) {
    ASSERT_TRUE(put_delivery(*one, epoch, delivery_of(++sequence, "x")));
  }
  const auto full = put_delivery(*one, epoch, delivery_of(++sequence, "x"));
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().reason(), "session_max_queued");
}

TEST_P(RedisSessionStoreTest, LetsEverythingOfASessionExpireTogether) {
  StoredSession kept;
  kept.deliveries = {delivery_of(1, "x")};
  keep(*one, claim(*one, {.expiry_seconds = 50}).epoch, kept, 50);
  ASSERT_TRUE(enqueue(*two, "y"));
  for (const std::string& name : {redis().keys().session(key)[0], redis().keys().session(key)[1]}) {
    const auto left = redis().ask(name, {"PTTL", name}).integer();
    EXPECT_GT(left, 0) << name;
    EXPECT_LE(left, 50'000) << name;
  }
}

TEST_P(RedisSessionStoreTest, DeliversToTheQueueOfASessionWhoseFrontDied) {
  const Epoch epoch = claim(*one).epoch;
  const StoredSubscription subscription{.filter = "a"};
  ASSERT_TRUE(change(*one, [&](SessionStore& store, Done<void> done) {
    store.put_subscription(key, epoch, subscription, std::move(done));
  }));
  ASSERT_TRUE(put_delivery(*one, epoch, delivery_of(1, "first")));
  under_test->kill(*one);
  EXPECT_TRUE(eventually([&] {
    const auto place = locate(*two);
    return place && place->exists && !place->owner && place->subscriptions.size() == 1;
  }));
  ASSERT_TRUE(enqueue(*two, "second"));
  const auto late = put_delivery(*one, epoch, delivery_of(2, "of a zombie"));
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().reason(), "fenced");
  EXPECT_EQ(payloads_of(claim(*two).session), (std::vector<std::string>{"first", "second"}));
}

TEST_P(RedisSessionStoreTest, HandsOutAgainWhatWasNotSettledUnlessItIsOfQos2) {
  StoredSession session;
  session.deliveries = {shared_of(1, "settled", mqtt::Qos::kAtLeastOnce),
                        shared_of(2, "open", mqtt::Qos::kAtLeastOnce),
                        shared_of(3, "twice", mqtt::Qos::kExactlyOnce)};
  keep(*one, claim(*one).epoch, session);
  claim(*two, {.clean_start = true, .expiry_seconds = 100});
  ASSERT_TRUE(eventually([&] { return ended().size() == 3; }));
  auto handed_out = one->listener().ended();
  std::ranges::move(two->listener().ended(), std::back_inserter(handed_out));
  EXPECT_EQ(handed_out[1].given_on, 3);
  one->loop().post()(
      [&, sequence = handed_out[0].sequence] { one->store().remove_ended(key, sequence); });

  // As if the time of whoever has them were over.
  const std::string left = redis().keys().session(key).back();
  const std::string list = redis().keys().ended_sessions();
  ASSERT_TRUE(eventually([&] {
    return redis()
               .ask(left, {"HEXISTS", left, std::format("d{}", handed_out[0].sequence)})
               .integer() == 0;
  }));
  redis().ask(left, {"HSET", left, "till", "0"});
  redis().ask(list, {"ZADD", list, "0", key.value()});
  EXPECT_TRUE(eventually([&] { return ended().size() >= 4; }));
  auto all = ended();
  std::ranges::sort(all);
  EXPECT_EQ(all, (std::vector<std::string>{"open", "open", "settled", "twice"}));
}

TEST_P(RedisSessionStoreTest, HandsOutWhatADeadFrontLeftOfItsSessions) {
  const Epoch epoch = claim(*one).epoch;
  ASSERT_TRUE(put_delivery(*one, epoch, shared_of(1, "x", mqtt::Qos::kAtLeastOnce)));
  under_test->kill(*one);
  // Its record is kept for longer than a test can wait; the queue outlives it.
  const auto keys = redis().keys().session(key);
  const auto life = [&](const std::string& name) {
    return redis().ask(name, {"PTTL", name}).integer();
  };
  EXPECT_GT(life(keys[1]), life(keys[0]) + 80'000'000);
  redis().ask(keys[0], {"DEL", keys[0]});
  const std::string list = redis().keys().ended_sessions();
  ASSERT_FALSE(redis().ask(list, {"ZSCORE", list, key.value()}).is_nil()) << "nobody looks for it";
  redis().ask(list, {"ZADD", list, "0", key.value()});
  EXPECT_TRUE(eventually([&] { return ended() == std::vector<std::string>{"x"}; }));
}

TEST_P(RedisSessionStoreTest, HandsOutWhatIsLeftOfASessionThatIsReleasedForGood) {
  const Epoch epoch = claim(*one).epoch;
  ASSERT_TRUE(put_delivery(*one, epoch, shared_of(1, "x", mqtt::Qos::kAtLeastOnce)));
  ASSERT_TRUE(release(*one, epoch, {.expiry_seconds = 0}));
  EXPECT_TRUE(eventually([&] { return ended() == std::vector<std::string>{"x"}; }));
}

TEST_P(RedisSessionStoreTest, KeepsNothingOfASessionThatEndsWithItsConnection) {
  keep(*one, claim(*one).epoch, {.deliveries = {shared_of(1, "x", mqtt::Qos::kAtLeastOnce)}});
  const auto resumed = claim(*one, {.expiry_seconds = 0});
  EXPECT_EQ(resumed.session.deliveries.size(), 1U);
  const std::string queue = redis().keys().session(key)[1];
  EXPECT_EQ(redis().ask(queue, {"EXISTS", queue}).integer(), 0)
      << "what is acknowledged from now on would be there for ever";
}

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
    auto proxy = sluice::testing::FaultProxy::start(
        {.target = require_env("SLUICE_TEST_REDIS_URL").substr(std::string("redis://").size())});
    ASSERT_TRUE(proxy);
    redis::Config through = redis().redis();
    through.url = "redis://" + (*proxy)->address();
    through.command_timeout = 100ms;
    SessionStoreConfig short_lease = redis().config();
    short_lease.front_lease = 300ms;
    short_lease.session_outage = keeps ? "keep" : "fence";
    RedisFront front(short_lease, through, redis().clock);
    const SessionKey mine("blue/outage");
    ASSERT_TRUE(try_claim(front, {.expiry_seconds = 100}, mine));
    (*proxy)->refuse_connections(true);
    (*proxy)->reset();
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
    (*proxy)->heal();
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
    proxy_->refuse_connections(true);
    proxy_->reset();
    under_test->kill(*one);
    const std::string lease = redis().keys().lease(one->id().value());
    EXPECT_TRUE(eventually([&] { return redis().ask(lease, {"EXISTS", lease}).integer() == 0; }));
    proxy_->heal();
  }
  bool takes_the_session() {
    const auto tried = try_claim(back, {.expiry_seconds = 100}, key);
    EXPECT_TRUE(tried) << tried.error().message();
    if (!tried || !tried->owned_by_other) return true;
    EXPECT_EQ(tried->owned_by_other->address, "address of " + one->id().value());
    return false;
  }

 private:
  redis::Config through_proxy() {
    redis::Config through = redis().redis();
    through.url = "redis://" + proxy_->address();
    return through;
  }

  std::unique_ptr<sluice::testing::FaultProxy> proxy_ =
      sluice::testing::FaultProxy::start(
          {.target = require_env("SLUICE_TEST_REDIS_URL").substr(std::string("redis://").size())})
          .value();

 protected:
  RedisFront back{redis().config(), through_proxy(), redis().clock};
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

TEST_P(RedisSessionStoreTest, ForgetsTheWideSubscriptionsOfASessionThatExpired) {
  const StoredSubscription wide{.filter = "blue/+/up", .group = "g"};
  const auto put = [&](const SessionKey& of, Epoch epoch) {
    return wait_for<void>(one->loop(), [&](Done<void> done) {
      one->store().put_wide(of, epoch, wide, std::move(done));
    });
  };
  const SessionKey other("blue/d2");
  const auto stays = try_claim(*one, {.expiry_seconds = 100}, other);
  ASSERT_TRUE(stays);
  ASSERT_TRUE(put(other, stays->claim.epoch));
  const Epoch epoch = claim(*one, {.expiry_seconds = 1}).epoch;
  ASSERT_TRUE(put(key, epoch));
  keep(*one, epoch, {}, 1);
  const std::set<std::string> left{"blue/d2 g blue/+/up"};
  for (FrontUnderTest* front : {one.get(), two.get()}) {
    EXPECT_TRUE(eventually([&] { return front->listener().wide().size() == 2; }));
  }
  // Missing twice, with time enough in between for whoever owns it to put it back.
  const std::string ended = redis().keys().session(key).back();
  const std::string list = redis().keys().ended_sessions();
  EXPECT_TRUE(
      eventually([&] { return redis().ask(ended, {"HEXISTS", ended, "gone"}).integer() == 1; }));
  EXPECT_EQ(one->listener().wide().size(), 2U);
  redis().ask(list, {"ZADD", list, "0", key.value()});
  for (FrontUnderTest* front : {one.get(), two.get()}) {
    EXPECT_TRUE(eventually([&] { return front->listener().wide() == left; }));
  }
}

TEST_P(RedisSessionStoreTest, ReadsATableAgainWhoseLogWasCutOff) {
  const auto put = [&](const std::string& topic) {
    const auto message = message_of(topic, "x");
    ASSERT_TRUE(change(*one, [&](SessionStore& store, Done<void> done) {
      store.put_retained(message, SessionStore::WhenAway::kFail, std::move(done));
    }));
  };
  put("a");
  ASSERT_TRUE(eventually([&] { return two->listener().retained().contains("a"); }));
  // As if thousands of changes had come while the fronts did not look: one value and one version
  // appear, and the log does not tell of them.
  const auto names = redis().keys().mirror("retained");
  redis().ask(names[0], {"HDEL", names[0], "a"});
  redis().ask(names[2], {"HINCRBY", names[2], "ver", "5"});
  EXPECT_TRUE(eventually([&] { return two->listener().retained().empty(); }));
  put("b");
  EXPECT_TRUE(eventually([&] { return two->listener().retained().contains("b"); }));
}

TEST_P(RedisSessionStoreTest, TellsRedisAgainOfASessionItLetGoOf) {
  const Epoch epoch = claim(*one, {.expiry_seconds = 100, .will = will_of("w", 1s)}).epoch;
  const std::string record = redis().keys().session(key)[0];
  redis().ask(record, {"RENAME", record, record + "aside"});  // the same slot: {} holds it
  redis().ask(record, {"SADD", record, "so that the release fails"});
  EXPECT_FALSE(release(*one, epoch, {.expiry_seconds = 100, .will = will_of("w", 1s)}));
  redis().ask(record, {"RENAME", record + "aside", record});
  EXPECT_TRUE(eventually([&] {
    const auto place = locate(*two);
    return place && place->exists && !place->owner;
  }));
  EXPECT_TRUE(eventually(
      [&] { return one->listener().wills().size() + two->listener().wills().size() == 1; }));
  const auto resumed = try_claim(*two, {.expiry_seconds = 100}, key);
  ASSERT_TRUE(resumed);
  EXPECT_FALSE(resumed->owned_by_other);
  EXPECT_TRUE(resumed->claim.session_present);
}

TEST_P(RedisSessionStoreTest, LetsGoOfWhatAClaimWithoutAnAnswerMade) {
  const std::string wills = redis().keys().front_wills(one->id().value());
  redis().ask(wills, {"SET", wills, "so that the claim is made and fails"});
  EXPECT_FALSE(try_claim(*one, {.expiry_seconds = 100, .will = will_of("w", 0s)}, key));
  EXPECT_TRUE(eventually([&] {
    const auto place = locate(*two);
    return place && place->exists && !place->owner;
  }));
  // The connection was never accepted, and so nobody is to hear of its end.
  EXPECT_EQ(redis()
                .ask(redis().keys().session(key)[2], {"EXISTS", redis().keys().session(key)[2]})
                .integer(),
            0);
}

TEST_P(RedisSessionStoreTest, LetsGoOfNothingThatItClaimedSince) {
  const std::string wills = redis().keys().front_wills(one->id().value());
  redis().ask(wills, {"SET", wills, "so that the claim is made and fails"});
  EXPECT_FALSE(try_claim(*one, {.expiry_seconds = 100, .will = will_of("w", 0s)}, key));
  const SessionKey other("blue/other");
  EXPECT_FALSE(try_claim(*one, {.expiry_seconds = 100, .will = will_of("w", 0s)}, other));
  const Epoch epoch = claim(*one, {.expiry_seconds = 100}).epoch;
  // Its turn would have come together with that of the other one.
  ASSERT_TRUE(eventually([&] {
    const auto place = wait_for<SessionStore::Place>(
        two->loop(),
        [&](Done<SessionStore::Place> done) { two->store().locate(other, std::move(done)); });
    return place && place->exists && !place->owner;
  }));
  EXPECT_TRUE(put_delivery(*one, epoch, delivery_of(1, "x")));
  const auto place = locate(*two);
  ASSERT_TRUE(place);
  EXPECT_TRUE(place->owner);
}

TEST_P(RedisSessionStoreTest, TakesWhatItsOwnerSaysThatItDoesNotHold) {
  const Epoch epoch = claim(*one).epoch;
  const auto owned = try_claim(*two, {.expiry_seconds = 100}, key);
  ASSERT_TRUE(owned);
  ASSERT_TRUE(owned->owned_by_other);
  EXPECT_EQ(owned->owned_by_other->epoch, epoch);
  // What it claimed since it said so is its own.
  const Epoch later = claim(*one).epoch;
  const auto refused =
      try_claim(*two, {.expiry_seconds = 100, .not_held_by = owned->owned_by_other}, key);
  ASSERT_TRUE(refused);
  ASSERT_TRUE(refused->owned_by_other);
  EXPECT_EQ(refused->owned_by_other->epoch, later);
  const auto taken =
      try_claim(*two, {.expiry_seconds = 100, .not_held_by = refused->owned_by_other}, key);
  ASSERT_TRUE(taken);
  EXPECT_FALSE(taken->owned_by_other);
  EXPECT_TRUE(taken->claim.session_present);
  EXPECT_FALSE(put_delivery(*one, later, delivery_of(1, "x")));
}

TEST_P(RedisSessionStoreTest, KeepsAnIdleSessionSmall) {
  const SessionKey usual(
      "0192f0c1-7a5e-7cc3-98c4-dc0c0c07398f/0192f0c1-7a5e-7cc3-98c4-dc0c0c073990");
  const auto made = try_claim(*one, {.expiry_seconds = 3600}, usual);
  ASSERT_TRUE(made);
  for (const char* filter : {"$sys/commands/#", "devices/shadow/update/delta", "devices/jobs/+"}) {
    const StoredSubscription subscription{.filter = filter, .qos = mqtt::Qos::kAtLeastOnce};
    ASSERT_TRUE(change(*one, [&](SessionStore& store, Done<void> done) {
      store.put_subscription(usual, made->claim.epoch, subscription, std::move(done));
    }));
  }
  ASSERT_TRUE(change(*one, [&](SessionStore& store, Done<void> done) {
    store.release(usual, made->claim.epoch, {.expiry_seconds = 3600}, std::move(done));
  }));
  const std::string record = redis().keys().session(usual)[0];
  const auto bytes = redis().ask(record, {"MEMORY", "USAGE", record}).integer();
  RecordProperty("memory_usage", std::to_string(bytes));
  RecordProperty("key_size", std::to_string(record.size()));
  RecordProperty("record_size", std::to_string(redis().ask(record, {"STRLEN", record}).integer()));
  EXPECT_GT(bytes, 0);
  EXPECT_LE(bytes, 200 + static_cast<std::int64_t>(record.size()));
  for (const std::size_t other : {1U, 2U}) {
    const std::string name = redis().keys().session(usual)[other];
    EXPECT_EQ(redis().ask(name, {"EXISTS", name}).integer(), 0);
  }
}

}  // namespace
}  // namespace sluice::front::testing
