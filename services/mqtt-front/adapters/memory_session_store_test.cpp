#include "adapters/memory_session_store.h"

#include "testing/session_store_contract.h"

#include <format>

#include <sluice/testing/sim_clock.h>

namespace sluice::front::testing {
namespace {

using namespace std::chrono_literals;

TEST(MemorySessionStore, MayAlwaysActAsAnOwner) {
  sluice::testing::SimClock clock;
  Registry registry;
  MemorySessionStore store(contract_config(), clock, registry);
  RecordingListener listener;
  TestLoop loop;
  store.add_front(FrontId("one"), "address", listener, loop.post());
  EXPECT_EQ(registry
                .gauge("sluice_mqtt_session_store_lease_valid",
                       "1 while this front may act as an owner of sessions.")
                .value(),
            1);
}

Epoch first_epoch_at(std::chrono::milliseconds after_start) {
  sluice::testing::SimClock clock;
  clock.advance(after_start);
  Registry registry;
  MemorySessionStore store(contract_config(), clock, registry);
  RecordingListener listener;
  TestLoop loop;
  store.add_front(FrontId("one"), "address", listener, loop.post());
  const auto handle = store.for_loop(FrontId("one"), loop.post());
  const auto claimed =
      wait_for<SessionStore::ClaimOutcome>(loop, [&](Done<SessionStore::ClaimOutcome> done) {
        handle->claim(SessionKey("blue/d1"), {.expiry_seconds = 10}, std::move(done));
      });
  EXPECT_TRUE(claimed);
  return claimed ? claimed->claim.epoch : Epoch();
}

TEST(MemorySessionStore, CountsOnWhereTheProcessBeforeEnded) {
  EXPECT_GT(first_epoch_at(1s), first_epoch_at(0s));
}

class MemoryUnderTest final : public SessionStoreUnderTest {
 public:
  explicit MemoryUnderTest(const SessionStoreConfig& config) : store(config, clock, registry) {}

  std::unique_ptr<FrontUnderTest> start_front() override {
    return std::make_unique<Front>(store, registry, FrontId(std::format("front-{}", ++fronts_)));
  }
  void kill(FrontUnderTest& front) override { store.remove_front(front.id()); }
  void pass(std::chrono::milliseconds time) override { clock.advance(time); }
  void step() override { store.tick(clock.mono()); }

  sluice::testing::SimClock clock;
  Registry registry;
  MemorySessionStore store;

 private:
  class Front final : public FrontUnderTest {
   public:
    Front(MemorySessionStore& store, Registry& registry, FrontId id)
        : owner_(store), registry_(registry), id_(std::move(id)) {
      store.add_front(id_, "address of " + id_.value(), listener(), loop_.post());
      handle_ = store.for_loop(id_, loop_.post());
    }
    ~Front() override { owner_.remove_front(id_); }
    SessionStore& store() override { return *handle_; }
    const FrontId& id() const override { return id_; }
    TestLoop& loop() override { return loop_; }
    Registry& metrics() override { return registry_; }

   private:
    MemorySessionStore& owner_;
    Registry& registry_;
    FrontId id_;
    TestLoop loop_;
    std::unique_ptr<SessionStore> handle_;
  };

  int fronts_ = 0;
};

std::unique_ptr<SessionStoreUnderTest> make_memory(const SessionStoreConfig& config) {
  return std::make_unique<MemoryUnderTest>(config);
}
INSTANTIATE_TEST_SUITE_P(Memory, SessionStoreContract, ::testing::Values(make_memory));

class MemorySessionStoreTest : public SessionStoreContract {
 protected:
  MemoryUnderTest& memory() { return dynamic_cast<MemoryUnderTest&>(*under_test); }
  double metric(const std::string& name) {
    const std::string text = memory().registry.scrape();
    const auto at = text.find("\n" + name + " ");
    return at == std::string::npos ? -1 : std::stod(text.substr(at + name.size() + 2));
  }
  Result<SessionStore::ClaimOutcome> claim_numbered(int number) {
    return try_claim(*one, {.expiry_seconds = 10}, SessionKey(std::format("blue/n{}", number)));
  }
};
INSTANTIATE_TEST_SUITE_P(Memory, MemorySessionStoreTest, ::testing::Values(make_memory));

TEST_P(MemorySessionStoreTest, RefusesMoreSessionsThanItsBound) {
  for (int i = 0; i < config.max_sessions; ++i) ASSERT_TRUE(claim_numbered(i)) << i;
  const auto refused = claim_numbered(-1);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().reason(), "session_max_stored");
  EXPECT_TRUE(claim_numbered(0)) << "one that is there is no new one";
}

TEST_P(MemorySessionStoreTest, EndsASessionThatNoLongerFits) {
  StoredSession large;
  for (int i = 1; i <= 17; ++i) {
    large.deliveries.push_back(
        delivery_of(static_cast<std::uint64_t>(i), std::string(std::size_t{1} << 20, 'x')));
  }
  const Epoch epoch = claim(*one).epoch;
  const auto kept = release(*one, epoch, {.expiry_seconds = 100, .session = std::move(large)});
  ASSERT_FALSE(kept);
  EXPECT_EQ(kept.error().reason(), "session_max_stored_bytes");
  EXPECT_FALSE(claim(*one).session_present);
}

TEST_P(MemorySessionStoreTest, LeavesNothingOfSessionsThatEnded) {
  for (int i = 0; i < 100; ++i) {
    const SessionKey numbered(std::format("blue/n{}", i));
    const auto made = try_claim(*one, {.expiry_seconds = 10}, numbered);
    ASSERT_TRUE(made);
    ASSERT_TRUE(wait_for<void>(one->loop(), [&](Done<void> done) {
      one->store().release(numbered, made->claim.epoch, {.expiry_seconds = 10}, std::move(done));
    }));
  }
  EXPECT_EQ(metric("sluice_mqtt_session_store_sessions"), 100);
  memory().clock.advance(10s);
  memory().step();
  EXPECT_EQ(metric("sluice_mqtt_session_store_sessions"), 0);
  EXPECT_EQ(metric("sluice_mqtt_session_store_bytes"), 0);
  EXPECT_EQ(metric("sluice_mqtt_session_store_overdue_sessions"), 0);
  EXPECT_EQ(metric("sluice_mqtt_session_store_expired_total"), 100);
}

TEST_P(MemorySessionStoreTest, CountsTheExpiryFromTheLastConnection) {
  keep(*one, claim(*one, {.expiry_seconds = 10}).epoch, {}, 10);
  memory().clock.advance(6s);
  keep(*one, claim(*one, {.expiry_seconds = 10}).epoch, {}, 10);
  memory().clock.advance(6s);
  memory().step();
  EXPECT_TRUE(locate(*one)->exists);
  memory().clock.advance(4s);
  memory().step();
  EXPECT_FALSE(locate(*one)->exists);
  EXPECT_EQ(metric("sluice_mqtt_session_store_expired_total"), 1);
}

}  // namespace
}  // namespace sluice::front::testing
