#include "testing/session_store_contract.h"

#include <algorithm>

// Of the contract of every SessionStore: what becomes of messages that came by shared
// subscriptions when their session ends, [MQTT5-4.8.2-4] and [MQTT5-4.8.2-5].
namespace sluice::front::testing {

using namespace std::chrono_literals;
using mqtt::Qos;
using State = mqtt::Delivery::State;
using Payloads = std::vector<std::string>;

namespace {

/// Some that others may get when the session ends, and some that they must not.
StoredSession mixed_session() {
  StoredSession session;
  session.deliveries = {shared_of(1, "sent once", Qos::kAtLeastOnce, State::kSent),
                        shared_of(2, "sent twice", Qos::kExactlyOnce, State::kSent),
                        delivery_of(3, "own"), shared_of(4, "waits once", Qos::kAtLeastOnce),
                        shared_of(5, "waits twice", Qos::kExactlyOnce)};
  session.next_sequence = 6;
  return session;
}
const Payloads kLeft{"sent once", "waits once", "waits twice"};

}  // namespace

TEST_P(SessionStoreContract, KeepsWhichSharedSubscriptionAMessageCameBy) {
  keep(*one, claim(*one).epoch, mixed_session());
  ASSERT_TRUE(enqueue(*two, shared_of(0, "late", Qos::kAtLeastOnce)));
  const auto resumed = claim(*two);
  ASSERT_EQ(resumed.session.deliveries.size(), 6U);
  EXPECT_FALSE(resumed.session.deliveries[2].share);
  for (const std::size_t i : {std::size_t{0}, std::size_t{5}}) {
    ASSERT_TRUE(resumed.session.deliveries[i].share);
    EXPECT_EQ(*resumed.session.deliveries[i].share, "$share/g/blue/#");
    EXPECT_EQ(resumed.session.deliveries[i].given_on, 3);
  }
  EXPECT_EQ(ended(), Payloads()) << "the session goes on";
}

TEST_P(SessionStoreContract, HandsOutWhatIsLeftOfASessionThatExpires) {
  keep(*one, claim(*one, {.expiry_seconds = 1}).epoch, mixed_session(), 1);
  ASSERT_TRUE(enqueue(*two, shared_of(0, "late", Qos::kAtLeastOnce)));
  under_test->step();
  EXPECT_EQ(ended(), Payloads());
  under_test->pass(1s);
  Payloads all = kLeft;
  all.emplace_back("late");
  EXPECT_TRUE(eventually([&] { return ended().size() >= all.size(); }));
  EXPECT_EQ(ended(), all);
}

TEST_P(SessionStoreContract, HandsOutWhatASessionHadBeforeItsConnectionEnded) {
  keep(*one, claim(*one, {.expiry_seconds = 1}).epoch, mixed_session(), 1);
  under_test->pass(1s);
  EXPECT_TRUE(eventually([&] { return ended().size() >= kLeft.size(); }));
  EXPECT_EQ(ended(), kLeft);
}

TEST_P(SessionStoreContract, HandsOutWhatIsLeftOfASessionThatStartsClean) {
  keep(*one, claim(*one).epoch, mixed_session());
  const auto fresh = claim(*two, {.clean_start = true, .expiry_seconds = 100});
  EXPECT_TRUE(fresh.session.deliveries.empty());
  EXPECT_TRUE(eventually([&] { return ended().size() >= kLeft.size(); }));
  EXPECT_EQ(ended(), kLeft);
  // What the new session is given belongs to it alone, whatever is still being given on.
  keep(*two, fresh.epoch, {.deliveries = {shared_of(1, "new", Qos::kAtLeastOnce)}});
  EXPECT_EQ(payloads_of(claim(*one).session), Payloads{"new"});
}

TEST_P(SessionStoreContract, HandsOutNothingOfASessionWithoutSharedMessages) {
  StoredSession own;
  own.deliveries = {delivery_of(1, "own")};
  own.next_sequence = 2;
  keep(*one, claim(*one).epoch, own);
  keep(*two, claim(*two, {.clean_start = true, .expiry_seconds = 100}).epoch, mixed_session());
  claim(*one, {.clean_start = true, .expiry_seconds = 100});
  EXPECT_TRUE(eventually([&] { return ended().size() >= kLeft.size(); }));
  EXPECT_EQ(ended(), kLeft);
}

TEST_P(SessionStoreContract, KeepsWhatAWillsRecordNeeds) {
  StoredWill will = will_of("gone", 0s);
  will.origin = WillOrigin{
      .external_id = "press-1", .fleet = "north", .device_class = "meter", .schema_id = "v1"};
  const auto made = claim(*one, {.expiry_seconds = 100, .will = will});
  ASSERT_TRUE(release(*one, made.epoch, {.expiry_seconds = 100, .will = will}));
  const auto wills = [&] {
    auto all = one->listener().whole_wills();
    std::ranges::copy(two->listener().whole_wills(), std::back_inserter(all));
    return all;
  };
  EXPECT_TRUE(eventually([&] { return !wills().empty(); }));
  ASSERT_EQ(wills().size(), 1U);
  EXPECT_EQ(wills()[0].origin, will.origin);
}

TEST_P(SessionStoreContract, KeepsWhetherASubscriptionIsWide) {
  StoredSession kept;
  kept.subscriptions = {{.filter = "blue/#", .is_wide = true}, {.filter = "blue/d1/#"}};
  keep(*one, claim(*one).epoch, kept);
  EXPECT_EQ(locate(*two)->subscriptions, kept.subscriptions);
  EXPECT_EQ(claim(*two).session.subscriptions, kept.subscriptions);
}

}  // namespace sluice::front::testing
