#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include <sluice/base/ids.h>
#include <sluice/base/result.h>
#include <sluice/http/idempotency.h>
#include <sluice/postgres/pool.h>
#include <sluice/postgres/transaction.h>

namespace sluice {

/// Port: what hides an answer from whoever reads the database, for services whose answers hold
/// secrets. An answer opens only under the key that it was sealed for. Called from any thread.
class AnswerSeal {
 public:
  virtual ~AnswerSeal() = default;
  virtual Result<std::string> seal(const http::IdempotencyKey& key,
                                   std::string_view answer) const = 0;
  virtual Result<std::string> open(const http::IdempotencyKey& key,
                                   std::string_view sealed) const = 0;
};

/// Answers by Idempotency-Key in the table `answers` of the service's own schema, which a migration
/// of the service makes (see README.md). A key that was begun and never ended belongs to a process
/// that died: after kAnswerLease the next request with it takes it over, so a write that must not
/// be done twice keeps its answer in its own transaction (keep_answer()). Thread-safe.
class AnswerStore final : public http::IdempotencyStore {
 public:
  /// Answers are kept as they are: none of them may hold a secret.
  explicit AnswerStore(postgres::Pool& pool) : pool_(pool) {}
  /// `pool` and `seal` must outlive it.
  AnswerStore(postgres::Pool& pool, const AnswerSeal& seal) : pool_(pool), seal_(&seal) {}

  /// kAborted where whoever had the key released it in this very moment: try again. kDataLoss for
  /// an answer that cannot be opened or read.
  Result<Begin> begin(const http::IdempotencyKey& key) override;
  Result<> complete(const http::IdempotencyKey& key, const http::StoredResponse& response) override;
  Result<> abandon(const http::IdempotencyKey& key) override;

 private:
  postgres::Pool& pool_;
  const AnswerSeal* const seal_ = nullptr;
};

/// Longer than any request may take, so that a request at work is never taken for a dead one.
inline constexpr std::chrono::seconds kAnswerLease{90};

/// An answer as the bytes that are sealed and kept, and back (kDataLoss).
std::string encode_answer(const http::StoredResponse& response);
Result<http::StoredResponse> decode_answer(std::string_view bytes);

/// Which row is meant. Not an IdempotencyKey: a handler inside its transaction knows no hash.
struct AnswerPlace {
  TenantId tenant;
  std::string_view subject;
  std::string_view key;
};

// For a service's own transactions.

/// Keeps the answer of a request together with what it did; AnswerStore::complete(), which comes
/// after it, then changes nothing. `answer` is encoded, and sealed where the service seals.
/// kAborted with reason "answer_exists" where it is not in progress any more: another run of the
/// request has won.
Result<> keep_answer(postgres::Transaction& sql, const AnswerPlace& place, std::string_view answer);
/// All answers of a tenant that goes away.
Result<> forget_answers_of(postgres::Transaction& sql, std::string_view tenant);
/// Answers of all tenants that nobody may ask for any more: older than http::kIdempotencyKeyLife.
/// The transaction is one across tenants.
Result<> forget_old_answers(postgres::Transaction& sql);

}  // namespace sluice
