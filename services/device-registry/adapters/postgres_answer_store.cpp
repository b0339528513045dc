#include "adapters/postgres_answer_store.h"

#include "core/catalog.h"
#include "core/json.h"

#include <sluice/postgres/transaction.h>

namespace sluice::registry {

using postgres::BytesView;
using postgres::Rows;

Result<http::IdempotencyStore::Begin> PostgresAnswerStore::begin(const http::IdempotencyKey& key) {
  struct Stored {
    std::string request_hash;
    std::optional<std::string> sealed_answer;
  };
  const auto stored = postgres::transaction(
      pool_, {.tenant = key.tenant},
      [&](postgres::Transaction& sql) -> Result<std::optional<Stored>> {
        // Waits for another request that is at the same key in this very moment. The update takes
        // over what a dead process left.
        SLUICE_TRY_ASSIGN(
            const Rows ours,
            sql.query("INSERT INTO answers AS a (tenant_id, subject, key, request_hash) VALUES "
                      "($1, $2, $3, $4) "
                      "ON CONFLICT (tenant_id, subject, key) DO UPDATE SET begun_at = now() "
                      "WHERE a.sealed_answer IS NULL AND a.request_hash = $4 "
                      "AND a.begun_at < now() - make_interval(secs => $5) RETURNING 1",
                      {key.tenant, key.subject, key.key, key.request_hash, kAnswerLeaseSeconds}));
        if (!ours.empty()) return std::optional<Stored>();
        SLUICE_TRY_ASSIGN(const Rows rows,
                          sql.query("SELECT request_hash, sealed_answer FROM answers "
                                    "WHERE tenant_id = $1 AND subject = $2 AND key = $3",
                                    {key.tenant, key.subject, key.key}));
        // Gone in this moment: whoever had it has abandoned it.
        if (rows.empty())
          return fail(ErrorCode::kAborted, "the Idempotency-Key was released: try again");
        return std::optional(Stored{.request_hash = rows.one().get<std::string>("request_hash"),
                                    .sealed_answer = rows.one().optional_bytes("sealed_answer")});
      });
  if (!stored) return fail(stored.error());
  if (!*stored) return Begin{.state = State::kFresh};
  if ((*stored)->request_hash != key.request_hash) return Begin{.state = State::kMismatch};
  if (!(*stored)->sealed_answer) return Begin{.state = State::kInProgress};
  SLUICE_TRY_ASSIGN(const std::string bytes,
                    vault_.open(*(*stored)->sealed_answer,
                                answer_seal_context(key.tenant, key.subject, key.key)));
  Begin begin{.state = State::kReplay};
  SLUICE_TRY_ASSIGN(begin.response, decode_answer(bytes));
  return begin;
}

Result<> PostgresAnswerStore::complete(const http::IdempotencyKey& key,
                                       const http::StoredResponse& response) {
  SLUICE_TRY_ASSIGN(
      const std::string sealed,
      vault_.seal(encode_answer(response), answer_seal_context(key.tenant, key.subject, key.key)));
  return postgres::run_transaction(
      pool_, {.tenant = key.tenant}, [&](postgres::Transaction& sql) -> Result<> {
        SLUICE_TRY(
            sql.execute("UPDATE answers SET sealed_answer = $4 WHERE tenant_id = $1 AND subject = "
                        "$2 AND key = $3 "
                        "AND sealed_answer IS NULL AND request_hash = $5",
                        {key.tenant, key.subject, key.key, BytesView{sealed}, key.request_hash}));
        return {};
      });
}

Result<> PostgresAnswerStore::abandon(const http::IdempotencyKey& key) {
  return postgres::run_transaction(
      pool_, {.tenant = key.tenant}, [&](postgres::Transaction& sql) -> Result<> {
        SLUICE_TRY(
            sql.execute("DELETE FROM answers WHERE tenant_id = $1 AND subject = $2 AND key = $3 "
                        "AND sealed_answer IS NULL AND request_hash = $4",
                        {key.tenant, key.subject, key.key, key.request_hash}));
        return {};
      });
}

std::string encode_answer(const http::StoredResponse& response) {
  return Json{{"status", response.status},
              {"content_type", response.content_type},
              {"location", response.location},
              {"etag", response.etag},
              {"body", response.body}}
      .dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<http::StoredResponse> decode_answer(std::string_view bytes) {
  const Json json = Json::parse(bytes, nullptr, false);
  if (!json.is_object()) return fail(ErrorCode::kDataLoss, "a kept answer cannot be read");
  return http::StoredResponse{.status = static_cast<int>(integer_at(json, "status")),
                              .content_type = text_at(json, "content_type"),
                              .location = text_at(json, "location"),
                              .etag = text_at(json, "etag"),
                              .body = text_at(json, "body")};
}

}  // namespace sluice::registry
