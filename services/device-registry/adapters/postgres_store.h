#pragma once

#include "ports.h"

#include <chrono>
#include <cstddef>
#include <string>

#include <sluice/base/result.h>
#include <sluice/postgres/pool.h>

namespace sluice::registry {

/// The schema of this service; give it to postgres::Pool::Options.
inline constexpr const char* kSchema = "device_registry";

/// Brings the schema up to date. Call it before anything else uses the pool. kFailedPrecondition
/// with reason "unconfined_role" where the database's role is one that row security does not bind.
Result<std::size_t> migrate_schema(postgres::Pool& pool);

/// The Store in PostgreSQL. Row security confines every statement to the transaction's tenant,
/// besides the condition that each statement has itself. Thread-safe; `pool` must outlive it.
class PostgresStore final : public Store {
 public:
  explicit PostgresStore(postgres::Pool& pool) : pool_(pool) {}

  Result<> run(const Scope& scope, const RunOptions& options,
               const std::function<Result<>(Transaction&)>& body) override;
  Result<Begun> begin_operation(const TenantId& tenant, const NewOperation& operation) override;
  Result<> report_progress(const TenantId& tenant, std::string_view operation_id,
                           const OperationProgress& progress) override;
  Result<> fail_operation(const TenantId& tenant, std::string_view operation_id,
                          const OperationOutcome& outcome) override;
  Result<Operation> find_operation(const TenantId& tenant, std::string_view operation_id) override;
  Result<> keep_operation_alive(const TenantId& tenant, std::string_view operation_id) override;
  Result<std::vector<std::string>> read_result(const TenantId& tenant,
                                               std::string_view operation_id) override;
  Result<> mark_result_taken(const TenantId& tenant, std::string_view operation_id) override;

 private:
  postgres::Pool& pool_;
};

/// Deletes what is kept for a time only: kept answers after a day, results kResultGrace after they
/// were first taken, operations with all they have after a week; declares dead what has been
/// silent. For a PeriodicTask of a minute. Any instance may do it.
Result<> sweep_store(postgres::Pool& pool);

}  // namespace sluice::registry
