#include <sluice/answer_store/answer_store.h>

#include <optional>

#include <sluice/base/planted_bug.h>
#include <sluice/json/json.h>

#include <nlohmann/json.hpp>

namespace sluice {
namespace {

using postgres::BytesView;
using postgres::Rows;

/// What is kept under a key that was not ours.
struct Kept {
  std::string request_hash;
  std::optional<std::string> answer;
};

/// Nullopt: nobody had the key, and now it is ours.
Result<std::optional<Kept>> take_key(postgres::Transaction& sql, const http::IdempotencyKey& key) {
  // Waits for another request that is at the same key in this very moment. The update takes over
  // what a dead process left.
  SLUICE_TRY_ASSIGN(
      const Rows ours,
      sql.query("INSERT INTO answers AS a (tenant_id, subject, key, request_hash) "
                "VALUES ($1, $2, $3, $4) "
                "ON CONFLICT (tenant_id, subject, key) DO UPDATE SET begun_at = now() "
                "WHERE a.answer IS NULL AND a.request_hash = $4 "
                "AND a.begun_at < now() - make_interval(secs => $5) RETURNING 1",
                {key.tenant, key.subject, key.key, key.request_hash, kAnswerLease.count()}));
  if (!ours.empty()) return std::optional<Kept>();
  SLUICE_TRY_ASSIGN(const Rows rows, sql.query("SELECT request_hash, answer FROM answers "
                                               "WHERE tenant_id = $1 AND subject = $2 AND key = $3",
                                               {key.tenant, key.subject, key.key}));
  if (rows.empty()) {
    return fail(ErrorCode::kAborted, "the Idempotency-Key was released: try again");
  }
  return std::optional(Kept{.request_hash = rows.one().get<std::string>("request_hash"),
                            .answer = rows.one().optional_bytes("answer")});
}

}  // namespace

Result<http::IdempotencyStore::Begin> AnswerStore::begin(const http::IdempotencyKey& key) {
  const auto kept =
      postgres::transaction(pool_, {.tenant = key.tenant},
                            [&](postgres::Transaction& sql) { return take_key(sql, key); });
  if (!kept) return fail(kept.error());
  if (!*kept) return Begin{.state = State::kFresh};
  if ((*kept)->request_hash != key.request_hash) return Begin{.state = State::kMismatch};
  if (!(*kept)->answer) return Begin{.state = State::kInProgress};
  std::string bytes = *(*kept)->answer;
  if (seal_ != nullptr) {
    SLUICE_TRY_ASSIGN(bytes, seal_->open(key, bytes));
  }
  Begin begin{.state = State::kReplay};
  SLUICE_TRY_ASSIGN(begin.response, decode_answer(bytes));
  return begin;
}

Result<> AnswerStore::complete(const http::IdempotencyKey& key,
                               const http::StoredResponse& response) {
  std::string bytes = encode_answer(response);
  if (seal_ != nullptr && !SLUICE_PLANTED_BUG("answer_store_keeps_answers_open")) {
    SLUICE_TRY_ASSIGN(bytes, seal_->seal(key, bytes));
  }
  return postgres::run_transaction(
      pool_, {.tenant = key.tenant}, [&](postgres::Transaction& sql) -> Result<> {
        SLUICE_TRY(sql.execute(
            "UPDATE answers SET answer = $4 WHERE tenant_id = $1 AND subject = $2 AND key = $3 "
            "AND answer IS NULL AND request_hash = $5",
            {key.tenant, key.subject, key.key, BytesView{bytes}, key.request_hash}));
        return {};
      });
}

Result<> AnswerStore::abandon(const http::IdempotencyKey& key) {
  return postgres::run_transaction(
      pool_, {.tenant = key.tenant}, [&](postgres::Transaction& sql) -> Result<> {
        SLUICE_TRY(
            sql.execute("DELETE FROM answers WHERE tenant_id = $1 AND subject = $2 AND key = $3 "
                        "AND answer IS NULL AND request_hash = $4",
                        {key.tenant, key.subject, key.key, key.request_hash}));
        return {};
      });
}

std::string encode_answer(const http::StoredResponse& response) {
  return to_json_text({{"status", response.status},
                       {"content_type", response.content_type},
                       {"location", response.location},
                       {"etag", response.etag},
                       {"body", response.body}});
}

Result<http::StoredResponse> decode_answer(std::string_view bytes) {
  const auto json = nlohmann::json::parse(bytes, nullptr, false);
  const auto text = [&](const char* name) -> std::string {
    const auto found = json.find(name);
    return found != json.end() && found->is_string() ? found->get<std::string>() : "";
  };
  const auto status = json.is_object() ? json.find("status") : json.end();
  if (status == json.end() || !status->is_number_integer()) {
    return fail(ErrorCode::kDataLoss, "a kept answer cannot be read");
  }
  return http::StoredResponse{.status = status->get<int>(),
                              .content_type = text("content_type"),
                              .location = text("location"),
                              .etag = text("etag"),
                              .body = text("body")};
}

Result<> keep_answer(postgres::Transaction& sql, const AnswerPlace& place,
                     std::string_view answer) {
  SLUICE_TRY_ASSIGN(
      const std::int64_t kept,
      sql.execute("UPDATE answers SET answer = $4 WHERE tenant_id = $1 AND subject = $2 "
                  "AND key = $3 AND answer IS NULL",
                  {place.tenant, place.subject, place.key, BytesView{answer}}));
  if (kept == 1) return {};
  return fail(Error(ErrorCode::kAborted, "another request with this Idempotency-Key was faster")
                  .with_reason("answer_exists"));
}

Result<> forget_answers_of(postgres::Transaction& sql, std::string_view tenant) {
  SLUICE_TRY(sql.execute("DELETE FROM answers WHERE tenant_id = $1", {tenant}));
  return {};
}

Result<> forget_old_answers(postgres::Transaction& sql) {
  SLUICE_TRY(sql.execute("DELETE FROM answers WHERE begun_at < now() - make_interval(secs => $1)",
                         {std::chrono::seconds(http::kIdempotencyKeyLife).count()}));
  return {};
}

}  // namespace sluice
