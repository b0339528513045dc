#pragma once

#include "ports.h"

#include <string>
#include <string_view>

#include <sluice/http/idempotency.h>
#include <sluice/postgres/pool.h>

namespace sluice::registry {

/// Answers by Idempotency-Key, sealed, because one may hold a token that is shown once. Writes
/// complete their key in their own transaction (KeepAnswer with encode_answer()), so that this
/// store's complete() then finds it done. A key that was begun and never ended belongs to a process
/// that died: after kAnswerLease the next request with it takes it over. Thread-safe.
class PostgresAnswerStore final : public http::IdempotencyStore {
 public:
  PostgresAnswerStore(postgres::Pool& pool, const Vault& vault) : pool_(pool), vault_(vault) {}

  Result<Begin> begin(const http::IdempotencyKey& key) override;
  Result<> complete(const http::IdempotencyKey& key, const http::StoredResponse& response) override;
  Result<> abandon(const http::IdempotencyKey& key) override;

 private:
  postgres::Pool& pool_;
  const Vault& vault_;
};

/// Longer than any request may take, so that a request at work is never taken for a dead one.
inline constexpr int kAnswerLeaseSeconds = 90;

/// What KeepAnswer::render returns for PostgresAnswerStore.
std::string encode_answer(const http::StoredResponse& response);
Result<http::StoredResponse> decode_answer(std::string_view bytes);

}  // namespace sluice::registry
