#include "adapters/postgres_transaction.h"

#include "adapters/postgres_store.h"
#include "adapters/postgres_tables.h"
#include "core/attributes.h"
#include "core/json.h"

#include <array>
#include <format>

#include <sluice/answer_store/answer_store.h>
#include <sluice/base/check.h>
#include <sluice/base/encoding.h>

namespace sluice::registry {
namespace {

using enum ResourceKind;
using postgres::BytesView;
using postgres::JsonView;
using postgres::Param;
using postgres::Row;
using postgres::Rows;
using postgres::Sql;

/// The statements of postgres_tables.h are this program's own, though made at run time.
Sql trusted(const std::string& text) { return Sql::from_trusted_text(text); }

std::unexpected<Error> not_found(ResourceKind kind) {
  return fail(ErrorCode::kNotFound, std::format("no such {}", info_of(kind).noun));
}

/// What a broken constraint says about the request.
struct ConstraintFault {
  std::string_view constraint;
  std::string_view pointer;
  std::string_view message;
};

constexpr std::array kConstraintFaults{
    ConstraintFault{"tenants_pkey", "/tenant_id", "is taken"},
    ConstraintFault{"fleets_pkey", "/fleet_id", "is taken"},
    ConstraintFault{"device_classes_pkey", "/device_class_id", "is taken"},
    ConstraintFault{"topic_policies_pkey", "/topic_policy_id", "is taken"},
    ConstraintFault{"devices_external_id", "/external_id", "is taken by another device"},
    ConstraintFault{"devices_external_id_is_device_id", "/external_id",
                    "is the id of another device"},
    ConstraintFault{"devices_device_id_is_external_id", "/device_id",
                    "is the external id of another device"},
    ConstraintFault{"credentials_lookup_key", "/kind",
                    "another credential has this token id or PSK identity"},
    ConstraintFault{"credentials_pkey", "/kind", "another credential has this id"},
    ConstraintFault{"api_keys_pkey", "/name", "another key has this id"},
    ConstraintFault{"devices_fleet", "/fleet_id", "there is no such fleet"},
    ConstraintFault{"devices_device_class", "/device_class", "there is no such device class"},
    ConstraintFault{"device_classes_topic_policy", "/topic_policy_id",
                    "there is no such topic policy"},
};

/// A refused insert or update, in the words of the API. Other errors pass.
Error explain_write(const Error& error) {
  const bool is_taken = error.code() == ErrorCode::kAlreadyExists;
  if (!is_taken && error.code() != ErrorCode::kFailedPrecondition) return error;
  for (const ConstraintFault& fault : kConstraintFaults) {
    if (fault.constraint != error.reason()) continue;
    const std::string name(fault.pointer.substr(1));
    return Error(error.code(), std::format("{}: {}", name, fault.message))
        .with_reason(is_taken ? "already_exists" : "unknown_reference")
        .with_fault(std::string(fault.pointer), std::string(fault.message));
  }
  if (is_taken || !error.reason().ends_with("_tenant")) return error;
  return Error(error.code(), "the tenant is not registered").with_reason("unknown_tenant");
}

Result<Resource> read_one(Result<Rows> rows, ResourceKind kind) {
  if (!rows) return fail(explain_write(rows.error()));
  const auto row = rows->optional();
  if (!row) return not_found(kind);
  return read_shown(*row, kind);
}

}  // namespace

Result<Resource> PostgresTransaction::find(ResourceKind kind, std::string_view id, Lock lock) {
  const Table& table = table_of(kind);
  return read_one(
      sql_.query(trusted(lock == Lock::kUpdate ? table.find_locked : table.find), {scope_, id}),
      kind);
}

Result<std::vector<Resource>> PostgresTransaction::list(ResourceKind kind, const ListQuery& query) {
  SLUICE_TRY_ASSIGN(const Rows rows, sql_.query(list_statement(kind, scope_, query)));
  std::vector<Resource> resources;
  resources.reserve(rows.size());
  for (const Row& row : rows) resources.push_back(read_shown(row, kind));
  return resources;
}

Result<Resource> PostgresTransaction::insert(const Resource& resource) {
  // Also at the beginning: a request that was under way when the tenant before it was removed may
  // have left an answer.
  if (resource.kind == kTenant) SLUICE_TRY(forget_answers_of(sql_, resource.id));
  std::vector<Param> params{Param(resource.tenant)};
  add_params(resource, Column::Use::kKey, params);
  add_params(resource, Column::Use::kField, params);
  SLUICE_TRY_ASSIGN(
      Resource stored,
      read_one(sql_.query(trusted(table_of(resource.kind).insert), params), resource.kind));
  if (resource.kind == kDevice) SLUICE_TRY(write_attributes(stored));
  return stored;
}

Result<Resource> PostgresTransaction::insert_credential(const Resource& credential,
                                                        const CredentialSecrets& secrets) {
  const Table& table = table_of(kCredential);
  static const std::string kInsert = std::format(
      "INSERT INTO credentials AS t (tenant_id, credential_id, device_id, kind, psk_identity, "
      "fingerprint_sha256, "
      "common_name, serial, issuer, expires_at, lookup_key, salt, secret_hash, sealed_secret, "
      "public_key) "
      "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) RETURNING {}",
      table.columns_of("t", ""));
  std::vector<Param> params{Param(credential.tenant)};
  add_params(credential, Column::Use::kKey, params);
  params.emplace_back(secrets.lookup_key);
  params.emplace_back(BytesView{secrets.salt});
  params.emplace_back(BytesView{secrets.secret_hash});
  params.emplace_back(BytesView{secrets.sealed_secret});
  params.emplace_back(secrets.public_key);
  return read_one(sql_.query(trusted(kInsert), params), kCredential);
}

Result<Resource> PostgresTransaction::insert_api_key(const Resource& key, std::string_view salt,
                                                     std::string_view secret_hash) {
  static const std::string kInsert = std::format(
      "INSERT INTO api_keys AS t (tenant_id, key_id, name, role, expires_at, salt, secret_hash) "
      "VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING {}",
      table_of(kApiKey).columns_of("t", ""));
  std::vector<Param> params{Param(key.tenant)};
  add_params(key, Column::Use::kKey, params);
  params.emplace_back(BytesView{salt});
  params.emplace_back(BytesView{secret_hash});
  return read_one(sql_.query(trusted(kInsert), params), kApiKey);
}

Result<Resource> PostgresTransaction::update(const Resource& resource) {
  std::vector<Param> params{Param(resource.tenant), Param(resource.id)};
  add_params(resource, Column::Use::kField, params);
  params.emplace_back(resource.revision);
  SLUICE_TRY_ASSIGN(
      Resource stored,
      read_one(sql_.query(trusted(table_of(resource.kind).update), params), resource.kind));
  if (resource.kind == kDevice) SLUICE_TRY(write_attributes(stored));
  return stored;
}

Result<> PostgresTransaction::write_attributes(const Resource& device) {
  const auto metadata = device.fields.find("metadata");
  const std::vector<std::int64_t> terms =
      metadata == device.fields.end() ? std::vector<std::int64_t>() : attribute_terms(*metadata);
  SLUICE_TRY(
      sql_.execute("DELETE FROM device_attributes WHERE tenant_id = $1 AND device_id = $2 AND term "
                   "<> ALL ($3::bigint[])",
                   {device.tenant, device.id, terms}));
  if (terms.empty()) return {};
  SLUICE_TRY(sql_.execute(
      "INSERT INTO device_attributes (tenant_id, term, device_id) "
      "SELECT $1, term, $2::uuid FROM unnest($3::bigint[]) AS term ON CONFLICT DO NOTHING",
      {device.tenant, device.id, terms}));
  return {};
}

Result<> PostgresTransaction::remove(ResourceKind kind, std::string_view id) {
  if (kind == kDevice) {
    SLUICE_TRY(sql_.execute("DELETE FROM device_attributes WHERE tenant_id = $1 AND device_id = $2",
                            {scope_, id}));
  }
  if (kind == kTenant) {
    // What opens nothing any more must not keep the tenant; what it answered goes with it.
    SLUICE_TRY(
        sql_.execute("DELETE FROM api_keys WHERE tenant_id = $1 AND (revoked_at IS NOT NULL "
                     "OR expires_at <= now())",
                     {id}));
    SLUICE_TRY(forget_answers_of(sql_, id));
  }
  const auto removed = sql_.execute(trusted(table_of(kind).remove), {scope_, id});
  if (!removed) {
    if (removed.error().code() != ErrorCode::kFailedPrecondition) return fail(removed.error());
    return fail(Error(ErrorCode::kFailedPrecondition,
                      std::format("other things refer to this {}", info_of(kind).noun))
                    .with_reason("in_use"));
  }
  if (*removed == 0) return not_found(kind);
  return {};
}

Result<Resource> PostgresTransaction::revoke(ResourceKind kind, std::string_view id) {
  SLUICE_CHECK(kind == kCredential || kind == kApiKey);
  const Table& table = table_of(kind);
  const std::string text = std::format(
      "UPDATE {} AS t SET revoked_at = coalesce(revoked_at, now()), "
      "revision = greatest(t.revision + 1, next_revision()) WHERE tenant_id = $1 AND {} = $2 "
      "RETURNING {}",
      table.name, table.id, table.columns_of("t", ""));
  return read_one(sql_.query(trusted(text), {scope_, id}), kind);
}

Result<> PostgresTransaction::ensure_tenant(std::string_view id) {
  SLUICE_TRY(
      sql_.execute("INSERT INTO tenants (tenant_id) VALUES ($1) ON CONFLICT DO NOTHING", {id}));
  return {};
}

Result<std::optional<Resource>> PostgresTransaction::ensure_device_class(std::string_view id) {
  static const std::string kInsert = std::format(
      "INSERT INTO device_classes AS t (tenant_id, device_class_id) VALUES ($1, $2) "
      "ON CONFLICT DO NOTHING RETURNING {}",
      table_of(kDeviceClass).columns_of("t", ""));
  // Asked first, because an INSERT that finds a conflict still draws a revision and leaves a dead
  // row.
  SLUICE_TRY_ASSIGN(
      const Rows existing,
      sql_.query("SELECT 1 FROM device_classes WHERE tenant_id = $1 AND device_class_id = $2",
                 {scope_, id}));
  if (!existing.empty()) return std::optional<Resource>();
  auto rows = sql_.query(trusted(kInsert), {scope_, id});
  if (!rows) return fail(explain_write(rows.error()));
  const auto row = rows->optional();
  return row ? std::optional(read_resource(*row, kDeviceClass)) : std::nullopt;
}

Result<> PostgresTransaction::keep_answer(const TenantId& tenant, std::string_view subject,
                                          std::string_view key, std::string_view sealed_answer) {
  return sluice::keep_answer(sql_, {.tenant = tenant, .subject = subject, .key = key},
                             sealed_answer);
}

Result<> PostgresTransaction::finish_operation(std::string_view operation_id,
                                               const OperationOutcome& outcome) {
  const OperationProgress& progress = outcome.progress;
  SLUICE_TRY_ASSIGN(
      const std::int64_t finished,
      sql_.execute(
          "UPDATE operations SET state = 'succeeded', lines_read = $3, devices_written = $4, "
          "devices_skipped = $5, faulty_lines = $6, result_parts = $7, "
          "reported_at = now(), finished_at = now() "
          "WHERE tenant_id = $1 AND operation_id = $2 AND state = 'running'",
          {scope_, operation_id, progress.lines_read, progress.devices_written,
           progress.devices_skipped, progress.faulty_lines, outcome.result_parts}));
  if (finished == 1) return {};
  return fail(
      Error(ErrorCode::kAborted, "the operation was declared dead").with_reason("operation_ended"));
}

}  // namespace sluice::registry
