#include "adapters/schema_store.h"

#include "adapters/schema_store_inside.h"

#include <utility>

#include <sluice/audit/trail.h>
#include <sluice/base/planted_bug.h>
#include <sluice/kafka/topics.h>

namespace sluice::validator {

using postgres::BytesView;
using postgres::JsonView;
using postgres::Row;
using postgres::Rows;

namespace {

schema::v1::SchemaKind to_proto(SchemaKind kind) {
  switch (kind) {
    case SchemaKind::kJsonSchema:
      return schema::v1::SCHEMA_KIND_JSON_SCHEMA;
    case SchemaKind::kAvro:
      return schema::v1::SCHEMA_KIND_AVRO;
    case SchemaKind::kMetricsTable:
      return schema::v1::SCHEMA_KIND_METRICS_TABLE;
    case SchemaKind::kProtobuf:
      return schema::v1::SCHEMA_KIND_PROTOBUF;
  }
  return schema::v1::SCHEMA_KIND_UNSPECIFIED;
}

VersionRow read_version(const Row& row) {
  return {.schema_id = row.get<std::string>("schema_id"),
          .version = {.major = static_cast<std::uint32_t>(row.get<std::int32_t>("major")),
                      .minor = static_cast<std::uint32_t>(row.get<std::int32_t>("minor"))},
          .kind = parse_schema_kind(row.text("kind")).value_or(SchemaKind::kMetricsTable),
          .document = row.get<std::string>("document"),
          .registered_by = row.get<std::string>("registered_by"),
          .registered_at = row.get<WallTime>("registered_at"),
          .revision = row.get<std::int64_t>("revision")};
}

schema::v1::SchemaChange change_of(const WriteOptions& options, const VersionRow& row) {
  schema::v1::SchemaChange change = change_of(options, row.revision);
  change.set_schema_id(row.schema_id);
  change.set_version(row.version.text());
  change.set_kind(to_proto(row.kind));
  change.set_document(row.document);
  change.set_registered_at_ms(row.registered_at.time_since_epoch().count());
  return change;
}

std::string key_of(std::string_view schema_id, const Version& version) {
  return std::string(schema_id) + "/" + version.text();
}

}  // namespace

std::optional<SchemaKind> parse_schema_kind(std::string_view name) {
  using enum SchemaKind;
  for (const SchemaKind kind : {kJsonSchema, kAvro, kMetricsTable, kProtobuf}) {
    if (name_of(kind) == name) return kind;
  }
  return std::nullopt;
}

/// The revision of what is stored, for preconditions.
std::optional<std::int64_t> revision_of(const Rows& rows) {
  const auto row = rows.optional();
  if (!row) return std::nullopt;
  return row->get<std::int64_t>("revision");
}

/// One change as the workers and the audit trail are told of it.
Result<> tell(postgres::Transaction& sql, const WriteOptions& options, const std::string& key,
              const std::optional<schema::v1::SchemaChange>& change, std::string_view target) {
  const std::string value = change ? change->SerializeAsString() : std::string();
  std::optional<BytesView> bytes;
  if (change) bytes = BytesView{value};
  SLUICE_TRY(
      sql.execute("INSERT INTO outbox (topic, key, value, traceparent) VALUES ($1, $2, $3, $4)",
                  {kafka::topics::kControlSchemas.name, options.tenant.value() + "/" + key, bytes,
                   options.traceparent}));
  const std::string audit = options.audit(target);
  SLUICE_TRY(
      sql.execute("INSERT INTO outbox (topic, key, value, traceparent) VALUES ($1, $2, $3, $4)",
                  {audit::kTopic, options.tenant.value(), BytesView{audit}, options.traceparent}));
  return {};
}

schema::v1::SchemaChange change_of(const WriteOptions& options, std::int64_t revision) {
  schema::v1::SchemaChange change;
  change.set_tenant(options.tenant.value());
  change.set_revision(revision);
  return change;
}

// --- Schemas

Result<std::vector<SchemaRow>> SchemaStore::list_schemas(const TenantId& tenant,
                                                         std::string_view after,
                                                         std::int64_t limit) {
  return postgres::transaction(
      pool_, {.tenant = tenant, .read_only = true},
      [&](postgres::Transaction& sql) -> Result<std::vector<SchemaRow>> {
        SLUICE_TRY_ASSIGN(
            const Rows rows,
            sql.query("SELECT s.schema_id, s.created_at, s.updated_at, s.revision, l.major, "
                      "l.minor, c.versions FROM schemas AS s "
                      "CROSS JOIN LATERAL (SELECT major, minor FROM schema_versions AS v "
                      "WHERE v.tenant_id = s.tenant_id AND v.schema_id = s.schema_id "
                      "ORDER BY major DESC, minor DESC LIMIT 1) AS l "
                      "CROSS JOIN LATERAL (SELECT count(*) AS versions FROM schema_versions AS v "
                      "WHERE v.tenant_id = s.tenant_id AND v.schema_id = s.schema_id) AS c "
                      "WHERE s.tenant_id = $1 AND s.schema_id > $2 ORDER BY s.schema_id LIMIT $3",
                      {tenant, after, limit}));
        std::vector<SchemaRow> out;
        for (const Row& row : rows) {
          out.push_back(
              {.schema_id = row.get<std::string>("schema_id"),
               .latest = {.major = static_cast<std::uint32_t>(row.get<std::int32_t>("major")),
                          .minor = static_cast<std::uint32_t>(row.get<std::int32_t>("minor"))},
               .versions = row.get<std::int64_t>("versions"),
               .created_at = row.get<WallTime>("created_at"),
               .updated_at = row.get<WallTime>("updated_at"),
               .revision = row.get<std::int64_t>("revision")});
        }
        return out;
      });
}

Result<std::vector<VersionRow>> SchemaStore::list_versions(const TenantId& tenant,
                                                           std::string_view schema_id) {
  SLUICE_TRY_ASSIGN(auto versions,
                    postgres::transaction(
                        pool_, {.tenant = tenant, .read_only = true},
                        [&](postgres::Transaction& sql) -> Result<std::vector<VersionRow>> {
                          SLUICE_TRY_ASSIGN(
                              const Rows rows,
                              sql.query("SELECT * FROM schema_versions WHERE tenant_id = $1 AND "
                                        "schema_id = $2 ORDER BY major, minor",
                                        {tenant, schema_id}));
                          return read_all(rows, read_version);
                        }));
  if (versions.empty()) return fail(ErrorCode::kNotFound, "no such schema");
  return versions;
}

Result<VersionRow> SchemaStore::find_version(const TenantId& tenant, std::string_view schema_id,
                                             const Version& version) {
  return postgres::transaction(
      pool_, {.tenant = tenant, .read_only = true},
      [&](postgres::Transaction& sql) -> Result<VersionRow> {
        SLUICE_TRY_ASSIGN(const Rows rows,
                          sql.query("SELECT * FROM schema_versions WHERE tenant_id = $1 AND "
                                    "schema_id = $2 AND major = $3 AND minor = $4",
                                    {tenant, schema_id, version.major, version.minor}));
        return read_one(rows, read_version, "version of the schema");
      });
}

Result<SchemaStore::Registration> SchemaStore::register_version(std::string_view schema_id,
                                                                const WriteOptions& options,
                                                                const Decide& decide) {
  return write<Registration>(options, [&](postgres::Transaction& sql) -> Result<Registration> {
    SLUICE_TRY(
        sql.execute("INSERT INTO schemas (tenant_id, schema_id) VALUES ($1, $2) "
                    "ON CONFLICT DO NOTHING",
                    {options.tenant, schema_id}));
    SLUICE_TRY_ASSIGN(const Rows locked,
                      sql.query("SELECT revision FROM schemas WHERE tenant_id = $1 AND "
                                "schema_id = $2 FOR UPDATE",
                                {options.tenant, schema_id}));
    SLUICE_TRY_ASSIGN(const Rows rows,
                      sql.query("SELECT * FROM schema_versions WHERE tenant_id = $1 AND "
                                "schema_id = $2 ORDER BY major, minor",
                                {options.tenant, schema_id}));
    const std::vector<VersionRow> existing = read_all(rows, read_version);
    SLUICE_TRY(options.preconditions.check_write(
        existing.empty() ? std::nullopt : std::optional(existing.back().revision)));
    SLUICE_TRY_ASSIGN(const Decision decision, decide(existing));
    if (!decision.is_new) {
      for (const VersionRow& row : existing) {
        if (row.version == decision.version) return Registration{.row = row, .is_new = false};
      }
    }
    SLUICE_TRY_ASSIGN(
        const Rows inserted,
        sql.query("INSERT INTO schema_versions (tenant_id, schema_id, major, minor, kind, "
                  "document, registered_by) VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING *",
                  {options.tenant, schema_id, decision.version.major, decision.version.minor,
                   name_of(decision.kind), decision.document, options.by}));
    SLUICE_TRY(sql.execute(
        "UPDATE schemas SET revision = greatest(revision + 1, next_revision()), updated_at = now() "
        "WHERE tenant_id = $1 AND schema_id = $2",
        {options.tenant, schema_id}));
    Registration registration{.row = read_version(inserted.one()), .is_new = true};
    const std::string key = key_of(schema_id, decision.version);
    SLUICE_TRY(tell(sql, options, key, change_of(options, registration.row), "schema/" + key));
    return registration;
  });
}

Result<> SchemaStore::remove_version(std::string_view schema_id, const Version& version,
                                     const WriteOptions& options) {
  const auto removed = write<bool>(options, [&](postgres::Transaction& sql) -> Result<bool> {
    // Where registrations wait as well: a version that is registered in this moment is seen below,
    // and not taken away with a schema that seems to have none.
    if (!SLUICE_PLANTED_BUG("validator_removes_versions_unlocked")) {
      SLUICE_TRY(sql.query("SELECT FROM schemas WHERE tenant_id = $1 AND schema_id = $2 FOR UPDATE",
                           {options.tenant, schema_id}));
    }
    SLUICE_TRY_ASSIGN(const Rows found,
                      sql.query("SELECT revision FROM schema_versions WHERE tenant_id = $1 AND "
                                "schema_id = $2 AND major = $3 AND minor = $4 FOR UPDATE",
                                {options.tenant, schema_id, version.major, version.minor}));
    if (found.empty()) return fail(ErrorCode::kNotFound, "no such version of the schema");
    SLUICE_TRY(options.preconditions.check_write(revision_of(found)));
    SLUICE_TRY(
        sql.execute("DELETE FROM schema_versions WHERE tenant_id = $1 AND schema_id = $2 "
                    "AND major = $3 AND minor = $4",
                    {options.tenant, schema_id, version.major, version.minor}));
    SLUICE_TRY(
        sql.execute("DELETE FROM schemas AS s WHERE tenant_id = $1 AND schema_id = $2 AND "
                    "NOT EXISTS (SELECT FROM schema_versions AS v WHERE "
                    "v.tenant_id = s.tenant_id AND v.schema_id = s.schema_id)",
                    {options.tenant, schema_id}));
    const std::string key = key_of(schema_id, version);
    SLUICE_TRY(tell(sql, options, key, std::nullopt, "schema/" + key));
    return true;
  });
  if (!removed) return fail(removed.error());
  return {};
}

}  // namespace sluice::validator
