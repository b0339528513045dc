#pragma once

#include <sluice/http/idempotency.h>
#include <sluice/postgres/pool.h>

namespace sluice::validator {

/// Answers by Idempotency-Key. None of them holds a secret, so they are kept as they are. A key
/// that was begun and never ended belongs to a process that died: after a while the next request
/// with it takes it over; all writes of this service may be done twice. Thread-safe.
class AnswerStore final : public http::IdempotencyStore {
 public:
  explicit AnswerStore(postgres::Pool& pool) : pool_(pool) {}

  Result<Begin> begin(const http::IdempotencyKey& key) override;
  Result<> complete(const http::IdempotencyKey& key, const http::StoredResponse& response) override;
  Result<> abandon(const http::IdempotencyKey& key) override;

 private:
  postgres::Pool& pool_;
};

}  // namespace sluice::validator
