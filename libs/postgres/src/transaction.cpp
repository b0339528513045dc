#include <sluice/postgres/transaction.h>

#include "connection.h"
#include "pool_impl.h"

#include <utility>

namespace sluice::postgres {

Result<Rows> Transaction::query(Sql sql, Params params) {
  return connection_.query(sql.text(), params.span(), Connection::Preparation::kOnce);
}

Result<Rows> Transaction::query(const Statement& statement, Answer answer) {
  // Its text may have any number of forms, which must not fill the server's memory with plans.
  return connection_.query(statement.text(), statement.params(), Connection::Preparation::kNever,
                           answer);
}

Result<std::int64_t> Transaction::execute(Sql sql, Params params) {
  SLUICE_TRY_ASSIGN(const Rows rows, query(sql, params));
  return rows.affected();
}

Result<std::int64_t> Transaction::execute(const Statement& statement) {
  SLUICE_TRY_ASSIGN(const Rows rows, query(statement));
  return rows.affected();
}

Result<> Transaction::execute_script(Sql sql) { return connection_.run_script(sql.text()); }

Result<> run_transaction(Pool& pool, const TransactionOptions& options,
                         const std::function<Result<>(Transaction&)>& body) {
  PoolImpl& impl = impl_of(pool);
  return impl.run_attempts(options, [&](MonoTime deadline) -> Result<Connection::Outcome> {
    SLUICE_TRY_ASSIGN(Lease lease, Lease::take(impl, deadline, deadline));
    return lease->run_transaction(options, deadline, impl.config.connect_timeout, body);
  });
}

}  // namespace sluice::postgres
