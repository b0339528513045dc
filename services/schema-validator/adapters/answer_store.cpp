#include "adapters/answer_store.h"

#include <optional>
#include <string>

#include <sluice/json/json.h>
#include <sluice/postgres/transaction.h>

#include <nlohmann/json.hpp>

namespace sluice::validator {
namespace {

using postgres::Rows;

/// Longer than any request may take, so that a request at work is never taken for a dead one.
constexpr int kLeaseSeconds = 90;

std::string encode(const http::StoredResponse& response) {
  return to_json_text({{"status", response.status},
                       {"content_type", response.content_type},
                       {"location", response.location},
                       {"etag", response.etag},
                       {"body", response.body}});
}

Result<http::StoredResponse> decode(std::string_view text) {
  const auto json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object()) return fail(ErrorCode::kDataLoss, "a kept answer cannot be read");
  return http::StoredResponse{.status = json.value("status", 0),
                              .content_type = json.value("content_type", ""),
                              .location = json.value("location", ""),
                              .etag = json.value("etag", ""),
                              .body = json.value("body", "")};
}

}  // namespace

Result<http::IdempotencyStore::Begin> AnswerStore::begin(const http::IdempotencyKey& key) {
  return postgres::transaction(
      pool_, {.tenant = key.tenant}, [&](postgres::Transaction& sql) -> Result<Begin> {
        // Waits for another request that is at the same key in this very moment.
        SLUICE_TRY_ASSIGN(
            const Rows ours,
            sql.query("INSERT INTO answers AS a (tenant_id, subject, key, request_hash) VALUES "
                      "($1, $2, $3, $4) ON CONFLICT (tenant_id, subject, key) DO UPDATE SET "
                      "begun_at = now() WHERE a.answer IS NULL AND a.request_hash = $4 "
                      "AND a.begun_at < now() - make_interval(secs => $5) RETURNING 1",
                      {key.tenant, key.subject, key.key, key.request_hash, kLeaseSeconds}));
        if (!ours.empty()) return Begin{.state = State::kFresh};
        SLUICE_TRY_ASSIGN(const Rows rows,
                          sql.query("SELECT request_hash, answer FROM answers "
                                    "WHERE tenant_id = $1 AND subject = $2 AND key = $3",
                                    {key.tenant, key.subject, key.key}));
        // Gone in this moment: whoever had it has abandoned it.
        if (rows.empty()) {
          return fail(ErrorCode::kAborted, "the Idempotency-Key was released: try again");
        }
        if (rows.one().text("request_hash") != key.request_hash) {
          return Begin{.state = State::kMismatch};
        }
        const auto answer = rows.one().get<std::optional<std::string>>("answer");
        if (!answer) return Begin{.state = State::kInProgress};
        Begin begin{.state = State::kReplay};
        SLUICE_TRY_ASSIGN(begin.response, decode(*answer));
        return begin;
      });
}

Result<> AnswerStore::complete(const http::IdempotencyKey& key,
                               const http::StoredResponse& response) {
  return postgres::run_transaction(
      pool_, {.tenant = key.tenant}, [&](postgres::Transaction& sql) -> Result<> {
        SLUICE_TRY(
            sql.execute("UPDATE answers SET answer = $4 WHERE tenant_id = $1 AND "
                        "subject = $2 AND key = $3 AND answer IS NULL AND "
                        "request_hash = $5",
                        {key.tenant, key.subject, key.key, encode(response), key.request_hash}));
        return {};
      });
}

Result<> AnswerStore::abandon(const http::IdempotencyKey& key) {
  return postgres::run_transaction(
      pool_, {.tenant = key.tenant}, [&](postgres::Transaction& sql) -> Result<> {
        SLUICE_TRY(
            sql.execute("DELETE FROM answers WHERE tenant_id = $1 AND subject = $2 AND "
                        "key = $3 AND answer IS NULL AND request_hash = $4",
                        {key.tenant, key.subject, key.key, key.request_hash}));
        return {};
      });
}

}  // namespace sluice::validator
