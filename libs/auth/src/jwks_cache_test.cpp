#include <sluice/auth/jwks_cache.h>

#include "fakes.h"

#include <format>
#include <future>
#include <string>
#include <thread>

#include <sluice/crypto/testing/test_signer.h>
#include <sluice/testing/sim_clock.h>

#include <gtest/gtest.h>

namespace sluice::auth {
namespace {

using crypto::testing::TestSigner;
using sluice::testing::SimClock;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

std::string key_set(std::string_view kid) {
  static const TestSigner signer = TestSigner::ed25519();
  return std::format(R"({{"keys":[{}]}})", signer.jwk(kid));
}

class JwksCacheTest : public ::testing::Test {
 protected:
  JwksCacheTest() { fetcher_.answer = key_set("one"); }

  bool knows(std::string_view kid) {
    const auto keys = cache_.keys_for(kid);
    return keys && (*keys)->find(kid) != nullptr;
  }

  Config config_ = test_config();  // refresh 5 min, at least 10 s apart, good for 24 h
  SimClock clock_;
  Registry registry_;
  FakeFetcher fetcher_;
  JwksCache cache_{config_, clock_, fetcher_, registry_};
};

TEST_F(JwksCacheTest, FetchesOnceForManyTokens) {
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(knows("one"));
  EXPECT_EQ(fetcher_.calls, 1);
  EXPECT_EQ(fetcher_.last_url, config_.oidc_jwks_url);
  EXPECT_EQ(fetcher_.last_limits.timeout, config_.oidc_jwks_timeout);
  EXPECT_EQ(fetcher_.last_limits.max_bytes, 256U * 1024);
}

TEST_F(JwksCacheTest, FetchesAgainForAKeyThatItDoesNotKnow) {
  ASSERT_TRUE(knows("one"));
  fetcher_.answer = key_set("two");
  clock_.advance(seconds(10));
  EXPECT_TRUE(knows("two"));
  EXPECT_FALSE(knows("one"));  // taken out by the provider
}

TEST_F(JwksCacheTest, LetsNobodyFloodTheProviderWithMadeUpKeys) {
  ASSERT_TRUE(knows("one"));
  clock_.advance(seconds(10));
  for (int i = 0; i < 1000; ++i) EXPECT_FALSE(knows("made-up-" + std::to_string(i)));
  EXPECT_EQ(fetcher_.calls, 2);
  EXPECT_TRUE(knows("one"));
  clock_.advance(seconds(10));
  EXPECT_FALSE(knows("made-up"));
  EXPECT_EQ(fetcher_.calls, 3);
}

TEST_F(JwksCacheTest, RefreshesWhenDueAlone) {
  EXPECT_TRUE(cache_.refresh_if_due());
  clock_.advance(minutes(5) - seconds(1));
  EXPECT_TRUE(cache_.refresh_if_due());
  EXPECT_EQ(fetcher_.calls, 1);
  clock_.advance(seconds(1));
  EXPECT_TRUE(cache_.refresh_if_due());
  EXPECT_EQ(fetcher_.calls, 2);
}

TEST_F(JwksCacheTest, ServesTheLastGoodKeysWhileTheProviderIsDownUntilTheyAreOld) {
  ASSERT_TRUE(knows("one"));
  fetcher_.answer = fail(ErrorCode::kUnavailable, "down");
  clock_.advance(hours(24) - seconds(1));
  EXPECT_FALSE(cache_.refresh_if_due());
  EXPECT_TRUE(knows("one"));
  clock_.advance(seconds(1));
  const auto refused = cache_.keys_for("one");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::kUnavailable);
  EXPECT_EQ(refused.error().reason(), "jwks_unavailable");
  fetcher_.answer = key_set("one");
  clock_.advance(seconds(10));
  EXPECT_TRUE(knows("one"));
}

TEST_F(JwksCacheTest, RetriesAFailedFetchNoOftenerThanAllowed) {
  fetcher_.answer = fail(ErrorCode::kUnavailable, "down");
  for (int i = 0; i < 100; ++i) EXPECT_FALSE(knows("one"));
  EXPECT_EQ(fetcher_.calls, 1);
}

TEST_F(JwksCacheTest, KeepsItsKeysWhenTheAnswerIsNone) {
  ASSERT_TRUE(knows("one"));
  for (const char* answer : {"", "<html>sign in</html>", R"({"keys":[]})",
                             R"({"keys":[{"kty":"oct","kid":"a","k":"AA"}]})"}) {
    fetcher_.answer = std::string(answer);
    clock_.advance(minutes(5));
    EXPECT_FALSE(cache_.refresh_if_due()) << answer;
    EXPECT_TRUE(knows("one"));
  }
}

TEST_F(JwksCacheTest, LetsNobodyElseWaitForAFetch) {
  ASSERT_TRUE(knows("one"));
  clock_.advance(minutes(5));
  std::promise<void> entered;
  std::promise<void> release;
  fetcher_.on_call = [&] {
    entered.set_value();
    release.get_future().wait();
  };
  std::jthread refresher([&] { EXPECT_TRUE(cache_.refresh_if_due()); });
  entered.get_future().wait();
  EXPECT_TRUE(knows("one"));
  EXPECT_FALSE(knows("made-up"));  // does not wait either
  EXPECT_EQ(fetcher_.calls, 2);
  release.set_value();
}

}  // namespace
}  // namespace sluice::auth
