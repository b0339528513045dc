#include "migrations.h"

#include "testing/validator_database.h"

#include <sluice/answer_store/answer_store.h>
#include <sluice/postgres/transaction.h>

#include <gtest/gtest.h>

namespace sluice::validator::testing {
namespace {

TEST(ValidatorMigration, AnswersFromBeforeTheirTypeChangedAreGivenAgain) {
  ValidatorDatabase database(1);
  const http::IdempotencyKey key{
      .tenant = TenantId("blue"), .subject = "me", .key = "k", .request_hash = "h"};
  http::StoredResponse response;
  response.status = 201;
  response.body = "{\"a\":\"ü\"}";
  ASSERT_TRUE(postgres::run_transaction(
      *database.pool, {.tenant = key.tenant}, [&](postgres::Transaction& sql) -> Result<> {
        SLUICE_TRY(sql.execute(
            "INSERT INTO answers (tenant_id, subject, key, request_hash, answer)"
            " VALUES ($1, $2, $3, $4, $5)",
            {key.tenant, key.subject, key.key, key.request_hash, encode_answer(response)}));
        return {};
      }));
  database.migrate();
  AnswerStore answers(*database.pool);
  const auto again = answers.begin(key);
  ASSERT_TRUE(again) << again.error().message();
  EXPECT_EQ(again->state, http::IdempotencyStore::State::kReplay);
  EXPECT_EQ(again->response, response);
}

}  // namespace
}  // namespace sluice::validator::testing
