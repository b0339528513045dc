#include "testing/session_store_contract.h"

#include <atomic>
#include <format>
#include <string>
#include <utility>

// What all fronts have: who ends with what, and how much of it there may be.
namespace sluice::front::testing {
namespace {

/// Empty where there was room.
std::string bound_named_by(const Result<>& put) {
  if (put) return "";
  EXPECT_EQ(put.error().code(), ErrorCode::kResourceExhausted);
  return put.error().reason();
}

}  // namespace

TEST_P(SessionStoreContract, TellsWhoRetainsAMessageBeforeItsAnswer) {
  for (int i = 0; i < 50; ++i) {
    const std::string payload = std::to_string(i);
    FrontUnderTest& front = i % 2 == 0 ? *one : *two;
    ASSERT_TRUE(retain(front, "blue/a", payload));
    if (front.is_told_first()) {
      EXPECT_EQ(front.listener().retained().at("blue/a"), payload);
    }
  }
}

// Whatever the order in which fronts hear of their own writes and of those of others.
TEST_P(SessionStoreContract, HasEveryFrontEndWithTheSameRetainedMessage) {
  constexpr int kWrites = 300;
  std::atomic<int> missing{2 * kWrites};
  for (FrontUnderTest* front : {one.get(), two.get()}) {
    front->loop().post()([&, front] {
      for (int i = 0; i < kWrites; ++i) {
        const std::string payload = std::format("{} of {}", i, front->id().value());
        const auto message = message_of(std::format("blue/{}", i % 3), i % 7 == 6 ? "" : payload);
        const auto done = [&missing](const Result<>& result) {
          EXPECT_TRUE(result);
          --missing;
        };
        using enum SessionStore::WhenAway;
        if (message->payload.empty()) {
          front->store().remove_retained(message->topic, kFail, done);
        } else {
          front->store().put_retained(message, kFail, done);
        }
      }
    });
  }
  ASSERT_TRUE(eventually([&] { return missing == 0; }));
  // Whatever is written now comes after all of it.
  ASSERT_TRUE(retain(*one, "blue/last", "x"));
  ASSERT_TRUE(eventually([&] { return two->listener().retained().contains("blue/last"); }));
  const auto late = under_test->start_front();
  ASSERT_TRUE(eventually([&] { return late->listener().retained().contains("blue/last"); }));
  for (FrontUnderTest* front : {one.get(), two.get()}) {
    EXPECT_EQ(front->listener().retained(), late->listener().retained());
  }
}

TEST_P(SessionStoreContract, BoundsTheRetainedMessagesOfATenantAndOfAll) {
  const auto refusal = [&](const std::string& topic, const std::string& payload) {
    return bound_named_by(retain(*one, topic, payload));
  };
  for (std::int64_t i = 0; i < config.max_tenant_retained; ++i) {
    ASSERT_EQ(refusal(std::format("blue/{}", i), "x"), "");
  }
  EXPECT_EQ(refusal("blue/more", "x"), "retained_max_messages_per_tenant");
  EXPECT_EQ(refusal("blue/0", "replaced"), "");
  for (std::int64_t i = config.max_tenant_retained; i < config.max_retained; ++i) {
    ASSERT_EQ(refusal(std::format("red/{}", i), "x"), "") << "of another tenant";
  }
  EXPECT_EQ(refusal("red/more", "x"), "retained_max_messages");
  ASSERT_TRUE(wait_for<void>(two->loop(), [&](Done<void> done) {
    two->store().remove_retained("blue/0", SessionStore::WhenAway::kFail, std::move(done));
  }));
  EXPECT_EQ(refusal("blue/more", "x"), "");

  const std::string most(config.max_tenant_retained_bytes.count - 1000, 'x');
  EXPECT_EQ(refusal("blue/1", most), "");
  EXPECT_EQ(refusal("blue/2", std::string(1000, 'x')), "retained_max_bytes_per_tenant");
  EXPECT_EQ(refusal("blue/1", most), "") << "no larger than what it replaces";
  const std::string rest(
      config.max_retained_bytes.count - config.max_tenant_retained_bytes.count + 1000, 'x');
  EXPECT_EQ(refusal("red/7", rest), "retained_max_bytes");
  EXPECT_EQ(refusal("blue/1", "small again"), "");
  EXPECT_EQ(refusal("red/7", rest), "");
}

TEST_P(SessionStoreContract, BoundsTheWideSubscriptionsOfATenantAndOfAll) {
  const auto refusal = [&](const std::string& session, const std::string& filter) {
    const StoredSubscription subscription{.filter = filter};
    return bound_named_by(wait_for<void>(one->loop(), [&](Done<void> done) {
      one->store().put_wide(SessionKey(session), Epoch(1), subscription, std::move(done));
    }));
  };
  for (std::int64_t i = 0; i < config.max_tenant_wide_subscriptions; ++i) {
    ASSERT_EQ(refusal(std::format("blue/d{}", i), "a/+"), "");
  }
  EXPECT_EQ(refusal("blue/d0", "one/too/many"), "session_max_wide_subscriptions_per_tenant");
  EXPECT_EQ(refusal("blue/d0", "a/+"), "") << "one that is there may be replaced";
  for (std::int64_t i = config.max_tenant_wide_subscriptions; i < config.max_wide_subscriptions;
       ++i) {
    ASSERT_EQ(refusal(std::format("red/d{}", i), "a/+"), "") << "of another tenant";
  }
  EXPECT_EQ(refusal("red/d0", "one/too/many"), "session_max_wide_subscriptions");
  ASSERT_TRUE(wait_for<void>(two->loop(), [&](Done<void> done) {
    two->store().remove_wide(SessionKey("blue/d0"), "a/+", "", std::move(done));
  }));
  EXPECT_EQ(refusal("blue/d0", "b/+"), "");
}

}  // namespace sluice::front::testing
