#include "adapters/answer_seal.h"

#include "core/catalog.h"
#include "migrations.h"
#include "testing/fake_vault.h"
#include "testing/registry_database.h"
#include "testing/requests.h"

#include <sluice/postgres/migrate.h>
#include <sluice/postgres/transaction.h>

#include <gtest/gtest.h>

// How answers are kept is libs/answer_store's to test; here is what the registry adds.
namespace sluice::registry::testing {
namespace {

using State = http::IdempotencyStore::State;

const http::IdempotencyKey kKey{
    .tenant = TenantId("platform"), .subject = "me", .key = "k", .request_hash = "h"};
const http::StoredResponse kResponse{.status = 201,
                                     .content_type = "application/json",
                                     .location = "/x",
                                     .etag = "\"1\"",
                                     .body = "{\"key\":\"s\"}"};

TEST(KeptAnswersTest, AnAnswerKeptWithItsWriteSurvivesWhoeverSentIt) {
  RegistryDatabase database;
  FakeVault vault;
  const VaultAnswerSeal seal(vault);
  AnswerStore answers(database.pool(), seal);
  PostgresStore store(database.pool());
  Catalog catalog(store, vault, database.opened.clock, database.opened.random);
  ASSERT_EQ(answers.begin(kKey)->state, State::kFresh);
  WriteOptions options;
  options.keep_answer = KeepAnswer{.subject = "me", .key = "k", .render = [&](const Written&) {
                                     return encode_answer(kResponse);
                                   }};
  ASSERT_TRUE(catalog.create(admin_of("platform"), ResourceKind::kTenant, {{"tenant_id", "blue"}},
                             options));
  // Nobody calls complete(): the process died here.
  const auto again = answers.begin(kKey);
  ASSERT_TRUE(again) << again.error().message();
  EXPECT_EQ(again->state, State::kReplay);
  EXPECT_EQ(again->response, kResponse);
}

TEST(KeptAnswersTest, AnswersFromBeforeTheirColumnWasRenamedAreGivenAgain) {
  constexpr std::size_t kBefore = 3;
  postgres::testing::TestDatabase database;
  database.execute("GRANT CREATE ON DATABASE " + database.name() + " TO " +
                   database.ordinary_role());
  RegistryPool opened(database.config_of_ordinary_role());
  const auto all = device_registry::migrations();
  ASSERT_TRUE(postgres::migrate(*opened.pool, kSchema, all.first(kBefore)));
  FakeVault vault;
  const VaultAnswerSeal seal(vault);
  const std::string sealed = *seal.seal(kKey, encode_answer(kResponse));
  ASSERT_TRUE(postgres::run_transaction(
      *opened.pool, {.tenant = kKey.tenant}, [&](postgres::Transaction& sql) -> Result<> {
        SLUICE_TRY(sql.execute(
            "INSERT INTO answers (tenant_id, subject, key, request_hash, "
            "sealed_answer) VALUES ($1, $2, $3, $4, $5)",
            {kKey.tenant, kKey.subject, kKey.key, kKey.request_hash, postgres::BytesView{sealed}}));
        return {};
      }));
  ASSERT_TRUE(postgres::migrate(*opened.pool, kSchema, all));
  AnswerStore answers(*opened.pool, seal);
  const auto again = answers.begin(kKey);
  ASSERT_TRUE(again) << again.error().message();
  EXPECT_EQ(again->response, kResponse);
}

}  // namespace
}  // namespace sluice::registry::testing
