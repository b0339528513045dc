#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <type_traits>
#include <utility>

#include <sluice/base/ids.h>
#include <sluice/base/result.h>
#include <sluice/postgres/rows.h>
#include <sluice/postgres/statement.h>
#include <sluice/postgres/value.h>

namespace sluice::postgres {

class Connection;
class Pool;

enum class Isolation : std::uint8_t { kReadCommitted, kRepeatableRead, kSerializable };

/// How an answer travels. kBinary spares writing and reading a `bytea` as twice as many hex digits,
/// for answers of many bytes. Of such an answer Row reads booleans, numbers, texts, bytea, uuid and
/// timestamptz, each as exactly its own type; arrays and all others are kText's.
enum class Answer : std::uint8_t { kText, kBinary };

/// What `sluice.tenant` is set to by TransactionOptions::all_tenants. No tenant can have this id.
inline constexpr std::string_view kAllTenants = "*";

struct TransactionOptions {
  /// Row security sees this tenant: the transaction sets the variable `sluice.tenant`, which
  /// policies compare with (see README.md). Neither this nor all_tenants: the variable is empty,
  /// and policies show nothing. An id that check_id() refuses is refused here too.
  std::optional<TenantId> tenant{};
  /// For the platform's own work across tenants, never on behalf of a tenant: sluice.tenant is '*'.
  bool all_tenants = false;
  bool read_only = false;
  Isolation isolation = Isolation::kReadCommitted;
  /// For the whole of it: waiting for a connection, all attempts, all pauses between them. Zero:
  /// the pool's statement timeout.
  std::chrono::milliseconds timeout{0};
  /// Serialization failures, deadlocks and connections found dead at BEGIN are tried again.
  int max_attempts = 5;
};

/// The statements of one transaction. Made by transaction(), ends with its function. One thread.
///
/// Errors (see error_map.h for all): a failed statement leaves the transaction unusable, as
/// PostgreSQL does; return the error. If the function returns success all the same, the transaction
/// is rolled back and transaction() fails with the statement's error: nothing looks committed that
/// is not.
class Transaction {
 public:
  /// The statement is prepared once per connection, by its text. Its text must be a literal.
  Result<Rows> query(Sql sql, Params params = {});
  Result<Rows> query(const Statement& statement, Answer answer = Answer::kText);
  /// The number of rows changed.
  Result<std::int64_t> execute(Sql sql, Params params = {});
  Result<std::int64_t> execute(const Statement& statement);
  /// Several statements without parameters in one round trip: for migrations and set-up.
  Result<> execute_script(Sql sql);

  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;

 private:
  friend class Connection;
  friend class CopyWriter;
  explicit Transaction(Connection& connection) : connection_(connection) {}

  Connection& connection_;
};

/// Runs the body in a transaction, commits when it returns success, and tries again when PostgreSQL
/// says that doing so may succeed: so the body must do nothing that is not undone by a rollback.
/// An error with reason "outcome_unknown": the connection was lost during COMMIT, which may or may
/// not have happened. It is never tried again by itself.
Result<> run_transaction(Pool& pool, const TransactionOptions& options,
                         const std::function<Result<>(Transaction&)>& body);

/// The same with a value: `auto device = transaction(pool, {.tenant = id}, [&](Transaction& tx)
/// -> Result<Device> { … });`
template <typename Body>
auto transaction(Pool& pool, const TransactionOptions& options, Body&& body)
    -> std::invoke_result_t<Body&, Transaction&> {
  using Outcome = std::invoke_result_t<Body&, Transaction&>;
  std::optional<Outcome> outcome;
  Result<> done = run_transaction(pool, options, [&](Transaction& tx) -> Result<> {
    outcome.emplace(body(tx));
    if (!*outcome) return fail(outcome->error());
    return {};
  });
  if (!done) return fail(std::move(done).error());
  return *std::move(outcome);
}

}  // namespace sluice::postgres
