#include "adapters/postgres_store.h"

#include "adapters/postgres_transaction.h"
#include "core/json.h"
#include "migrations.h"

#include <sluice/answer_store/answer_store.h>
#include <sluice/postgres/migrate.h>
#include <sluice/postgres/transaction.h>

namespace sluice::registry {
namespace {

using postgres::BytesView;
using postgres::JsonView;
using postgres::Row;
using postgres::Rows;

constexpr std::string_view kDryRunDone = "dry_run_done";  // never leaves this file

postgres::TransactionOptions options_of(const Scope& scope, const Store::RunOptions& options) {
  const bool is_all = scope.tenant() == Scope::all_tenants().tenant();
  postgres::TransactionOptions out;
  if (!is_all) out.tenant = scope.tenant();
  out.all_tenants = is_all;
  out.read_only = options.mode == Mode::kRead;
  out.timeout = options.timeout;
  if (options.mode == Mode::kOnce || options.mode == Mode::kDryRun) out.max_attempts = 1;
  return out;
}

std::unexpected<Error> no_such_operation() {
  return fail(ErrorCode::kNotFound, "no such operation");
}

std::unexpected<Error> operation_ended() {
  return fail(
      Error(ErrorCode::kAborted, "the operation was declared dead").with_reason("operation_ended"));
}

Operation read_operation(const Row& row) {
  Operation operation;
  operation.id = row.get<std::string>("operation_id");
  const std::string state = row.get<std::string>("state");
  operation.state = state == "running"     ? Operation::State::kRunning
                    : state == "succeeded" ? Operation::State::kSucceeded
                                           : Operation::State::kFailed;
  Json& fields = operation.fields;
  fields = {{"operation_id", operation.id},
            {"kind", row.get<std::string>("kind")},
            {"state", state},
            {"created_at", format_rfc3339(row.get<WallTime>("created_at"))},
            {"has_result", row.get<bool>("has_result")}};
  for (const char* count : {"lines_read", "devices_written", "devices_skipped", "faulty_lines"}) {
    fields[count] = row.get<std::int64_t>(count);
  }
  if (!row.is_null("reason")) fields["reason"] = row.get<std::string>("reason");
  if (!row.is_null("faults")) fields["faults"] = Json::parse(row.text("faults"), nullptr, false);
  if (!row.is_null("finished_at"))
    fields["finished_at"] = format_rfc3339(row.get<WallTime>("finished_at"));
  return operation;
}

#define SLUICE_OPERATION_COLUMNS                                                      \
  "operation_id, kind, state, reason, lines_read, devices_written, devices_skipped, " \
  "faulty_lines, faults, created_at, finished_at, result_parts > 0 AS has_result, "   \
  "request_hash"

Json to_json(const std::vector<LineFault>& faults) {
  Json out = Json::array();
  for (const LineFault& each : faults) {
    Json& fault = out.emplace_back(Json{{"line", each.line}, {"detail", each.fault.message}});
    if (!each.fault.field.empty()) fault["pointer"] = each.fault.field;
  }
  return out;
}

}  // namespace

namespace {

/// A superuser's rows are all it asks for, whatever the policies say; so are those of a role that
/// may bypass them.
Result<> check_role(postgres::Pool& pool) {
  return postgres::run_transaction(
      pool, {.read_only = true}, [](postgres::Transaction& sql) -> Result<> {
        SLUICE_TRY_ASSIGN(const Rows rows,
                          sql.query("SELECT rolname::text AS name, rolsuper OR rolbypassrls AS "
                                    "is_unconfined FROM pg_roles WHERE rolname = current_user"));
        const Row role = rows.one();
        if (!role.get<bool>("is_unconfined")) return {};
        return fail(
            Error(ErrorCode::kFailedPrecondition,
                  std::format("the database role {} is a superuser or has BYPASSRLS, so row "
                              "security would not keep tenants apart: use another role",
                              role.get<std::string>("name")))
                .with_reason("unconfined_role"));
      });
}

}  // namespace

Result<std::size_t> migrate_schema(postgres::Pool& pool) {
  SLUICE_TRY(check_role(pool));
  return postgres::migrate(pool, kSchema, device_registry::migrations());
}

Result<> PostgresStore::run(const Scope& scope, const RunOptions& options,
                            const std::function<Result<>(Transaction&)>& body) {
  const auto done = postgres::run_transaction(
      pool_, options_of(scope, options), [&](postgres::Transaction& sql) -> Result<> {
        PostgresTransaction transaction(sql, scope.tenant());
        SLUICE_TRY(body(transaction));
        if (options.mode != Mode::kDryRun) return {};
        // An error is the one way to have a transaction undone.
        return fail(Error(ErrorCode::kCancelled, "dry run").with_reason(std::string(kDryRunDone)));
      });
  if (!done && options.mode == Mode::kDryRun && done.error().reason() == kDryRunDone) return {};
  return done;
}

Result<Store::Begun> PostgresStore::begin_operation(const TenantId& tenant,
                                                    const NewOperation& operation) {
  return postgres::transaction(
      pool_, {.tenant = tenant}, [&](postgres::Transaction& sql) -> Result<Begun> {
        SLUICE_TRY(sql.execute(
            "UPDATE operations SET state = 'failed', reason = 'interrupted', finished_at = now() "
            "WHERE tenant_id = $1 AND idempotency_key = $2 AND idempotency_key <> '' "
            "AND state = 'running' AND reported_at < now() - make_interval(secs => $3)",
            {tenant, operation.idempotency_key, kOperationSilence.count()}));
        SLUICE_TRY_ASSIGN(const Rows made,
                          sql.query("INSERT INTO operations (tenant_id, operation_id, kind, "
                                    "idempotency_key, request_hash) "
                                    "VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING "
                                    "RETURNING " SLUICE_OPERATION_COLUMNS,
                                    {tenant, operation.id, operation.kind,
                                     operation.idempotency_key, operation.request_hash}));
        if (!made.empty()) return Begun{.operation = read_operation(made.one()), .is_new = true};
        SLUICE_TRY_ASSIGN(
            const Rows found,
            sql.query("SELECT " SLUICE_OPERATION_COLUMNS " FROM operations "
                      "WHERE tenant_id = $1 AND idempotency_key = $2 AND state <> 'failed'",
                      {tenant, operation.idempotency_key}));
        if (found.empty()) {
          return fail(
              Error(ErrorCode::kAborted, "the operation of this key has just ended: try again")
                  .with_reason("operation_ended"));
        }
        if (found.one().get<std::string>("request_hash") != operation.request_hash) {
          return fail(
              Error(ErrorCode::kInvalidArgument, "this Idempotency-Key belongs to another request")
                  .with_reason("idempotency_key_reused"));
        }
        return Begun{.operation = read_operation(found.one()), .is_new = false};
      });
}

Result<> PostgresStore::report_progress(const TenantId& tenant, std::string_view operation_id,
                                        const OperationProgress& progress) {
  return postgres::run_transaction(
      pool_, {.tenant = tenant}, [&](postgres::Transaction& sql) -> Result<> {
        SLUICE_TRY_ASSIGN(
            const std::int64_t changed,
            sql.execute("UPDATE operations SET lines_read = $3, devices_written = $4, "
                        "devices_skipped = $5, "
                        "faulty_lines = $6, reported_at = now() "
                        "WHERE tenant_id = $1 AND operation_id = $2 AND state = 'running'",
                        {tenant, operation_id, progress.lines_read, progress.devices_written,
                         progress.devices_skipped, progress.faulty_lines}));
        if (changed == 0) return operation_ended();
        return {};
      });
}

Result<> PostgresStore::fail_operation(const TenantId& tenant, std::string_view operation_id,
                                       const OperationOutcome& outcome) {
  const OperationProgress& progress = outcome.progress;
  return postgres::run_transaction(
      pool_, {.tenant = tenant}, [&](postgres::Transaction& sql) -> Result<> {
        SLUICE_TRY(sql.execute(
            "UPDATE operations SET state = $3, reason = nullif($4, ''), lines_read = $5, "
            "devices_written = $6, "
            "devices_skipped = $7, faulty_lines = $8, faults = $9, reported_at = now(), "
            "finished_at = now() "
            "WHERE tenant_id = $1 AND operation_id = $2 AND state = 'running'",
            {tenant, operation_id, outcome.is_success ? "succeeded" : "failed", outcome.reason,
             progress.lines_read, progress.devices_written, progress.devices_skipped,
             progress.faulty_lines, JsonView{to_json(outcome.faults).dump()}}));
        return {};
      });
}

Result<Operation> PostgresStore::find_operation(const TenantId& tenant,
                                                std::string_view operation_id) {
  return postgres::transaction(
      pool_, {.tenant = tenant, .read_only = true},
      [&](postgres::Transaction& sql) -> Result<Operation> {
        SLUICE_TRY_ASSIGN(const Rows rows,
                          sql.query("SELECT " SLUICE_OPERATION_COLUMNS " FROM operations "
                                    "WHERE tenant_id = $1 AND operation_id = $2",
                                    {tenant, operation_id}));
        if (rows.empty()) return no_such_operation();
        return read_operation(rows.one());
      });
}

Result<> PostgresStore::keep_operation_alive(const TenantId& tenant,
                                             std::string_view operation_id) {
  return postgres::run_transaction(
      pool_, {.tenant = tenant}, [&](postgres::Transaction& sql) -> Result<> {
        SLUICE_TRY_ASSIGN(
            const std::int64_t changed,
            sql.execute("UPDATE operations SET reported_at = now() "
                        "WHERE tenant_id = $1 AND operation_id = $2 AND state = 'running'",
                        {tenant, operation_id}));
        if (changed == 0) return operation_ended();
        return {};
      });
}

Result<std::vector<std::string>> PostgresStore::read_result(const TenantId& tenant,
                                                            std::string_view operation_id) {
  return postgres::transaction(
      pool_, {.tenant = tenant, .read_only = true},
      [&](postgres::Transaction& sql) -> Result<std::vector<std::string>> {
        SLUICE_TRY_ASSIGN(
            const Rows rows,
            sql.query("SELECT p.sealed FROM operations AS o JOIN operation_results AS p "
                      "ON p.tenant_id = o.tenant_id AND p.operation_id = o.operation_id "
                      "WHERE o.tenant_id = $1 AND o.operation_id = $2 AND p.part < o.result_parts "
                      "AND (o.taken_at IS NULL OR o.taken_at > now() - make_interval(secs => $3)) "
                      "ORDER BY p.part",
                      {tenant, operation_id, kResultGrace.count()}));
        if (rows.empty()) {
          return fail(
              Error(ErrorCode::kNotFound, "the operation has no result, or it was fetched before")
                  .with_reason("result_gone"));
        }
        std::vector<std::string> parts;
        for (const Row& row : rows) parts.push_back(row.bytes("sealed"));
        return parts;
      });
}

Result<> PostgresStore::mark_result_taken(const TenantId& tenant, std::string_view operation_id) {
  return postgres::run_transaction(
      pool_, {.tenant = tenant}, [&](postgres::Transaction& sql) -> Result<> {
        SLUICE_TRY(
            sql.execute("UPDATE operations SET taken_at = now() WHERE tenant_id = $1 AND "
                        "operation_id = $2 AND taken_at IS NULL",
                        {tenant, operation_id}));
        return {};
      });
}

Result<> sweep_store(postgres::Pool& pool) {
  return postgres::run_transaction(
      pool, {.all_tenants = true}, [&](postgres::Transaction& sql) -> Result<> {
        SLUICE_TRY(forget_old_answers(sql));
        SLUICE_TRY(
            sql.execute("DELETE FROM operations WHERE created_at < now() - interval '7 days'"));
        SLUICE_TRY(sql.execute(
            "DELETE FROM operation_results AS p USING operations AS o WHERE p.tenant_id = "
            "o.tenant_id AND p.operation_id = o.operation_id AND o.taken_at < now() - "
            "make_interval(secs => $1)",
            {kResultGrace.count()}));
        SLUICE_TRY(
            sql.execute("UPDATE operations SET result_parts = 0 WHERE result_parts > 0 AND "
                        "taken_at < now() - make_interval(secs => $1)",
                        {kResultGrace.count()}));
        SLUICE_TRY(sql.execute(
            "UPDATE operations SET state = 'failed', reason = 'interrupted', finished_at = now() "
            "WHERE state = 'running' AND reported_at < now() - make_interval(secs => $1)",
            {kOperationSilence.count()}));
        return {};
      });
}

}  // namespace sluice::registry
