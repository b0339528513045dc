#include "adapters/postgres_answer_store.h"

#include "core/catalog.h"
#include "testing/fake_vault.h"
#include "testing/registry_database.h"
#include "testing/requests.h"

#include <gtest/gtest.h>

namespace sluice::registry::testing {
namespace {

using State = http::IdempotencyStore::State;

class PostgresAnswerStoreTest : public ::testing::Test {
 protected:
  State begin(const http::IdempotencyKey& wanted) {
    const auto begun = answers.begin(wanted);
    EXPECT_TRUE(begun) << begun.error().message();
    return begun ? begun->state : State::kMismatch;
  }

  RegistryDatabase database;
  FakeVault vault;
  PostgresAnswerStore answers{database.pool(), vault};
  const http::IdempotencyKey key{
      .tenant = TenantId("platform"), .subject = "me", .key = "k", .request_hash = "h"};
  const http::StoredResponse response{.status = 201,
                                      .content_type = "application/json",
                                      .location = "/x",
                                      .etag = "\"1\"",
                                      .body = "{\"a\":\"ü\"}"};
};

TEST_F(PostgresAnswerStoreTest, GivesAnAnswerAgain) {
  EXPECT_EQ(begin(key), State::kFresh);
  EXPECT_EQ(begin(key), State::kInProgress);
  ASSERT_TRUE(answers.complete(key, response));
  const auto again = answers.begin(key);
  ASSERT_TRUE(again) << again.error().message();
  EXPECT_EQ(again->state, State::kReplay);
  EXPECT_EQ(again->response, response);
}

TEST_F(PostgresAnswerStoreTest, TellsAnotherRequestWithTheKeyApart) {
  EXPECT_EQ(begin(key), State::kFresh);
  http::IdempotencyKey other = key;
  other.request_hash = "other";
  EXPECT_EQ(begin(other), State::kMismatch);
  other = key;
  other.subject = "you";
  EXPECT_EQ(begin(other), State::kFresh);
}

TEST_F(PostgresAnswerStoreTest, ForgetsWhatWasAbandoned) {
  EXPECT_EQ(begin(key), State::kFresh);
  ASSERT_TRUE(answers.abandon(key));
  EXPECT_EQ(begin(key), State::kFresh);
}

TEST_F(PostgresAnswerStoreTest, TakesOverTheKeyOfADeadProcess) {
  EXPECT_EQ(begin(key), State::kFresh);
  database.database.execute(
      "UPDATE device_registry.answers SET begun_at = now() - interval '5 minutes'");
  EXPECT_EQ(begin(key), State::kFresh);
  EXPECT_EQ(begin(key), State::kInProgress);
}

TEST_F(PostgresAnswerStoreTest, AnAnswerKeptWithItsWriteSurvivesWhoeverSentIt) {
  PostgresStore store(database.pool());
  Catalog catalog(store, vault, database.opened.clock, database.opened.random);
  EXPECT_EQ(begin(key), State::kFresh);
  WriteOptions options;
  options.keep_answer = KeepAnswer{.subject = "me", .key = "k", .render = [&](const Written&) {
                                     return encode_answer(response);
                                   }};
  ASSERT_TRUE(catalog.create(admin_of("platform"), ResourceKind::kTenant, {{"tenant_id", "blue"}},
                             options));
  // Nobody calls complete(): the process died here.
  EXPECT_EQ(begin(key), State::kReplay);
}

}  // namespace
}  // namespace sluice::registry::testing
