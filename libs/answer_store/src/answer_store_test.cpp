#include <sluice/answer_store/answer_store.h>

#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <sluice/base/clock.h>
#include <sluice/base/planted_bug.h>
#include <sluice/base/random.h>
#include <sluice/metrics/metrics.h>
#include <sluice/postgres/testing/test_database.h>
#include <sluice/testing/captured_log.h>

#include <gtest/gtest.h>

namespace sluice {
namespace {

using State = http::IdempotencyStore::State;

/// The table as README.md says it is made.
constexpr const char* kTable = R"(
  CREATE SCHEMA own;
  CREATE TABLE own.answers (
    tenant_id     text COLLATE "C" NOT NULL,
    subject       text NOT NULL,
    key           text NOT NULL,
    request_hash  text NOT NULL,
    answer        bytea,
    begun_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, subject, key)
  );
  CREATE INDEX answers_by_age ON own.answers (begun_at);
  ALTER TABLE own.answers ENABLE ROW LEVEL SECURITY;
  ALTER TABLE own.answers FORCE ROW LEVEL SECURITY;
  CREATE POLICY own_tenant ON own.answers
    USING (tenant_id = current_setting('sluice.tenant', true) OR current_setting('sluice.tenant', true) = '*');
)";

/// Turns the bytes round and binds them to their place, which is all that is asked of a seal here.
class ReversingSeal final : public AnswerSeal {
 public:
  Result<std::string> seal(const http::IdempotencyKey& key,
                           std::string_view answer) const override {
    return place_of(key) + std::string(answer.rbegin(), answer.rend());
  }
  Result<std::string> open(const http::IdempotencyKey& key,
                           std::string_view sealed) const override {
    if (!sealed.starts_with(place_of(key))) return fail(ErrorCode::kDataLoss, "sealed elsewhere");
    sealed.remove_prefix(place_of(key).size());
    return std::string(sealed.rbegin(), sealed.rend());
  }

 private:
  static std::string place_of(const http::IdempotencyKey& key) {
    return std::string(key.tenant.value()) + "/" + key.subject + "/" + key.key + ":";
  }
};

class AnswerStoreTest : public ::testing::Test {
 protected:
  AnswerStoreTest() {
    database.execute(kTable);
    database.execute("GRANT USAGE ON SCHEMA own TO " + database.ordinary_role());
    database.execute("GRANT ALL ON own.answers TO " + database.ordinary_role());
    auto opened = postgres::Pool::open(database.config_of_ordinary_role(),
                                       {.schema = "own", .application_name = "answer_store_test"},
                                       clock, random, metrics, log->logger("test", clock));
    if (!opened) throw std::runtime_error(opened.error().message());
    pool = *std::move(opened);
    plain = std::make_unique<AnswerStore>(*pool);
    sealed = std::make_unique<AnswerStore>(*pool, seal);
  }

  static State begin(AnswerStore& store, const http::IdempotencyKey& wanted) {
    const auto begun = store.begin(wanted);
    EXPECT_TRUE(begun) << begun.error().message();
    return begun ? begun->state : State::kMismatch;
  }
  State begin(const http::IdempotencyKey& wanted) { return begin(*sealed, wanted); }
  void age(const std::string& interval) {
    database.execute("UPDATE own.answers SET begun_at = now() - interval '" + interval + "'");
  }
  std::string kept_bytes() {
    return database.query_value("SELECT encode(answer, 'escape') FROM own.answers");
  }
  std::string count() { return database.query_value("SELECT count(*) FROM own.answers"); }
  Result<> keep(std::string_view bytes) {
    return postgres::run_transaction(
        *pool, {.tenant = key.tenant}, [&](postgres::Transaction& sql) {
          return keep_answer(sql, {.tenant = key.tenant, .subject = key.subject, .key = key.key},
                             bytes);
        });
  }

  SystemClock clock;
  SystemRandom random;
  Registry metrics;
  std::shared_ptr<testing::CapturedLog> log = std::make_shared<testing::CapturedLog>();  // loggers
  postgres::testing::TestDatabase database;
  std::unique_ptr<postgres::Pool> pool;
  ReversingSeal seal;
  std::unique_ptr<AnswerStore> plain;
  std::unique_ptr<AnswerStore> sealed;
  const http::IdempotencyKey key{
      .tenant = TenantId("blue"), .subject = "me", .key = "k", .request_hash = "h"};
  const http::StoredResponse response{.status = 201,
                                      .content_type = "application/json",
                                      .location = "/x",
                                      .etag = "\"1\"",
                                      .body = "{\"a\":\"ü\"}"};
};

TEST_F(AnswerStoreTest, GivesAnAnswerAgain) {
  for (AnswerStore* const store : {plain.get(), sealed.get()}) {
    http::IdempotencyKey own = key;
    own.key = store == plain.get() ? "plain" : "sealed";
    EXPECT_EQ(begin(*store, own), State::kFresh);
    EXPECT_EQ(begin(*store, own), State::kInProgress);
    ASSERT_TRUE(store->complete(own, response));
    const auto again = store->begin(own);
    ASSERT_TRUE(again) << again.error().message();
    EXPECT_EQ(again->state, State::kReplay);
    EXPECT_EQ(again->response, response);
  }
}

TEST_F(AnswerStoreTest, TellsAnotherRequestWithTheKeyApart) {
  EXPECT_EQ(begin(key), State::kFresh);
  http::IdempotencyKey other = key;
  other.request_hash = "other";
  EXPECT_EQ(begin(other), State::kMismatch);
  other = key;
  other.subject = "you";
  EXPECT_EQ(begin(other), State::kFresh);
  other = key;
  other.tenant = TenantId("red");
  EXPECT_EQ(begin(other), State::kFresh);
}

TEST_F(AnswerStoreTest, ForgetsWhatWasAbandonedAndKeepsWhatIsDone) {
  EXPECT_EQ(begin(key), State::kFresh);
  ASSERT_TRUE(sealed->abandon(key));
  EXPECT_EQ(begin(key), State::kFresh);
  ASSERT_TRUE(sealed->complete(key, response));
  ASSERT_TRUE(sealed->abandon(key));
  EXPECT_EQ(begin(key), State::kReplay);
}

TEST_F(AnswerStoreTest, TakesOverTheKeyOfADeadProcessOnce) {
  EXPECT_EQ(begin(key), State::kFresh);
  age("89 seconds");
  EXPECT_EQ(begin(key), State::kInProgress);
  age("91 seconds");
  http::IdempotencyKey other = key;
  other.request_hash = "other";
  EXPECT_EQ(begin(other), State::kMismatch) << "a key that another request may not take over";
  EXPECT_EQ(begin(key), State::kFresh);
  EXPECT_EQ(begin(key), State::kInProgress);
}

TEST_F(AnswerStoreTest, OfManyAtOnceOneHasTheKey) {
  constexpr int kThreads = 4;
  std::atomic<int> fresh = 0;
  std::atomic<int> waiting = 0;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < kThreads; ++i) {
      threads.emplace_back([&] {
        const State state = begin(key);
        if (state == State::kFresh) ++fresh;
        if (state == State::kInProgress) ++waiting;
      });
    }
  }
  EXPECT_EQ(fresh, 1);
  EXPECT_EQ(waiting, kThreads - 1);
}

TEST_F(AnswerStoreTest, WhoReadsTheTableReadsNoSealedAnswer) {
  begin(key);
  ASSERT_TRUE(sealed->complete(key, response));
  EXPECT_EQ(kept_bytes().find("application/json"), std::string::npos);
  database.execute("UPDATE own.answers SET key = 'moved'");
  http::IdempotencyKey moved = key;
  moved.key = "moved";
  const auto begun = sealed->begin(moved);
  ASSERT_FALSE(begun);
  EXPECT_EQ(begun.error().code(), ErrorCode::kDataLoss);
}

TEST_F(AnswerStoreTest, APlantedOpenAnswerIsSeen) {
  const ScopedPlantedBug bug("answer_store_keeps_answers_open");
  begin(key);
  ASSERT_TRUE(sealed->complete(key, response));
  EXPECT_NE(kept_bytes().find("application/json"), std::string::npos);
}

TEST_F(AnswerStoreTest, AnAnswerKeptWithItsWorkIsTheOneThatHolds) {
  begin(key);
  ASSERT_TRUE(keep(*seal.seal(key, encode_answer(response))));
  http::StoredResponse late = response;
  late.body = "late";
  ASSERT_TRUE(sealed->complete(key, late));
  EXPECT_EQ(sealed->begin(key)->response, response);
  const auto second = keep("x");
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code(), ErrorCode::kAborted);
  EXPECT_EQ(second.error().reason(), "answer_exists");
}

TEST_F(AnswerStoreTest, AnotherTenantsTransactionSeesNoAnswer) {
  begin(key);
  const auto seen = postgres::transaction(
      *pool, {.tenant = TenantId("red")}, [](postgres::Transaction& sql) -> Result<std::size_t> {
        SLUICE_TRY_ASSIGN(const postgres::Rows rows, sql.query("SELECT 1 FROM answers"));
        return rows.size();
      });
  ASSERT_TRUE(seen);
  EXPECT_EQ(*seen, 0U);
  const auto kept = postgres::run_transaction(*pool, {.tenant = TenantId("red")}, [&](auto& sql) {
    return keep_answer(sql, {.tenant = key.tenant, .subject = key.subject, .key = key.key}, "x");
  });
  EXPECT_FALSE(kept);
}

TEST_F(AnswerStoreTest, ForgetsAfterADayAndNotBefore) {
  const auto sweep = [&] {
    return postgres::run_transaction(*pool, {.all_tenants = true}, forget_old_answers);
  };
  begin(key);
  age("23 hours 59 minutes");
  ASSERT_TRUE(sweep());
  EXPECT_EQ(count(), "1");
  age("24 hours 1 minute");
  ASSERT_TRUE(sweep());
  EXPECT_EQ(count(), "0");
}

TEST_F(AnswerStoreTest, ForgetsTheAnswersOfOneTenant) {
  begin(key);
  http::IdempotencyKey other = key;
  other.tenant = TenantId("red");
  begin(other);
  ASSERT_TRUE(postgres::run_transaction(*pool, {.all_tenants = true},
                                        [](auto& sql) { return forget_answers_of(sql, "blue"); }));
  EXPECT_EQ(database.query_value("SELECT tenant_id FROM own.answers"), "red");
}

TEST_F(AnswerStoreTest, BytesThatAreNoAnswerAreAnErrorAndNoCrash) {
  begin(key);
  for (const char* const bytes : {"", "x", "[]", "{}", "{\"status\":\"201\"}"}) {
    ASSERT_TRUE(keep(bytes));
    const auto begun = plain->begin(key);
    ASSERT_FALSE(begun) << bytes;
    EXPECT_EQ(begun.error().code(), ErrorCode::kDataLoss);
    database.execute("UPDATE own.answers SET answer = NULL");
  }
}

}  // namespace
}  // namespace sluice
