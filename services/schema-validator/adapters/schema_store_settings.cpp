// Units and outlier policies.
#include "adapters/schema_store.h"
#include "adapters/schema_store_inside.h"

#include <utility>

namespace sluice::validator {

using postgres::BytesView;
using postgres::JsonView;
using postgres::Row;
using postgres::Rows;

namespace {

UnitRow read_unit(const Row& row) {
  return {.name = row.get<std::string>("name"),
          .base = row.get<std::string>("base"),
          .factor = row.get<double>("factor"),
          .offset = row.get<double>("shift"),
          .aliases = row.get<std::vector<std::string>>("aliases"),
          .revision = row.get<std::int64_t>("revision"),
          .updated_at = row.get<WallTime>("updated_at")};
}

PolicyRow read_policy(const Row& row) {
  return {.schema_id = row.get<std::string>("schema_id"),
          .metric = row.get<std::string>("metric"),
          .settings = row.get<std::string>("settings"),
          .revision = row.get<std::int64_t>("revision"),
          .updated_at = row.get<WallTime>("updated_at")};
}

/// What was not there when the preconditions were looked at cannot be locked: whoever made it since
/// is not overwritten by one who believes to be first.
std::unexpected<Error> made_meanwhile() {
  return fail(ErrorCode::kAborted, "it was made by another request in this moment: try again");
}

}  // namespace

// --- Units

Result<std::vector<UnitRow>> SchemaStore::list_units(const TenantId& tenant, std::string_view after,
                                                     std::int64_t limit) {
  return postgres::transaction(
      pool_, {.tenant = tenant, .read_only = true},
      [&](postgres::Transaction& sql) -> Result<std::vector<UnitRow>> {
        SLUICE_TRY_ASSIGN(const Rows rows,
                          sql.query("SELECT * FROM units WHERE tenant_id = $1 AND name > $2 "
                                    "ORDER BY name LIMIT $3",
                                    {tenant, after, limit}));
        return read_all(rows, read_unit);
      });
}

Result<UnitRow> SchemaStore::find_unit(const TenantId& tenant, std::string_view name) {
  return postgres::transaction(
      pool_, {.tenant = tenant, .read_only = true},
      [&](postgres::Transaction& sql) -> Result<UnitRow> {
        SLUICE_TRY_ASSIGN(
            const Rows rows,
            sql.query("SELECT * FROM units WHERE tenant_id = $1 AND name = $2", {tenant, name}));
        return read_one(rows, read_unit, "unit");
      });
}

Result<UnitRow> SchemaStore::put_unit(const UnitRow& unit, const WriteOptions& options) {
  return write<UnitRow>(options, [&](postgres::Transaction& sql) -> Result<UnitRow> {
    SLUICE_TRY_ASSIGN(const Rows found,
                      sql.query("SELECT revision FROM units WHERE tenant_id = $1 AND name = $2 "
                                "FOR UPDATE",
                                {options.tenant, unit.name}));
    SLUICE_TRY(options.preconditions.check_write(revision_of(found)));
    SLUICE_TRY_ASSIGN(
        const Rows rows,
        sql.query("INSERT INTO units (tenant_id, name, base, factor, shift, aliases) "
                  "VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (tenant_id, name) DO UPDATE SET "
                  "base = $3, factor = $4, shift = $5, aliases = $6, "
                  "revision = greatest(units.revision + 1, next_revision()), updated_at = now() "
                  "WHERE units.revision = $7 RETURNING *",
                  {options.tenant, unit.name, unit.base, unit.factor, unit.offset, unit.aliases,
                   revision_of(found)}));
    if (rows.empty()) return made_meanwhile();
    UnitRow stored = read_unit(rows.one());
    schema::v1::SchemaChange change = change_of(options, stored.revision);
    schema::v1::UnitState& state = *change.mutable_unit();
    state.set_name(stored.name);
    state.set_base(stored.base);
    state.set_factor(stored.factor);
    state.set_offset(stored.offset);
    for (const std::string& alias : stored.aliases) state.add_aliases(alias);
    SLUICE_TRY(tell(sql, options, "$unit/" + unit.name, change, "unit/" + unit.name));
    return stored;
  });
}

Result<> SchemaStore::remove_unit(std::string_view name, const WriteOptions& options) {
  const auto removed = write<bool>(options, [&](postgres::Transaction& sql) -> Result<bool> {
    SLUICE_TRY_ASSIGN(const Rows found,
                      sql.query("SELECT revision FROM units WHERE tenant_id = $1 AND name = $2 "
                                "FOR UPDATE",
                                {options.tenant, name}));
    if (found.empty()) return fail(ErrorCode::kNotFound, "no such unit");
    SLUICE_TRY(options.preconditions.check_write(revision_of(found)));
    SLUICE_TRY(sql.execute("DELETE FROM units WHERE tenant_id = $1 AND name = $2",
                           {options.tenant, name}));
    SLUICE_TRY(tell(sql, options, "$unit/" + std::string(name), std::nullopt,
                    "unit/" + std::string(name)));
    return true;
  });
  if (!removed) return fail(removed.error());
  return {};
}

// --- Outlier policies

Result<std::vector<PolicyRow>> SchemaStore::list_policies(const TenantId& tenant,
                                                          std::string_view schema_id,
                                                          std::string_view after_schema,
                                                          std::string_view after_metric,
                                                          std::int64_t limit) {
  return postgres::transaction(
      pool_, {.tenant = tenant, .read_only = true},
      [&](postgres::Transaction& sql) -> Result<std::vector<PolicyRow>> {
        SLUICE_TRY_ASSIGN(
            const Rows rows,
            sql.query("SELECT * FROM outlier_policies WHERE tenant_id = $1 "
                      "AND ($2 = '' OR schema_id = $2) AND (schema_id, metric) > ($3, $4) "
                      "ORDER BY schema_id, metric LIMIT $5",
                      {tenant, schema_id, after_schema, after_metric, limit}));
        return read_all(rows, read_policy);
      });
}

Result<PolicyRow> SchemaStore::find_policy(const TenantId& tenant, std::string_view schema_id,
                                           std::string_view metric) {
  return postgres::transaction(
      pool_, {.tenant = tenant, .read_only = true},
      [&](postgres::Transaction& sql) -> Result<PolicyRow> {
        SLUICE_TRY_ASSIGN(const Rows rows,
                          sql.query("SELECT * FROM outlier_policies WHERE tenant_id = $1 AND "
                                    "schema_id = $2 AND metric = $3",
                                    {tenant, schema_id, metric}));
        return read_one(rows, read_policy, "outlier policy");
      });
}

Result<PolicyRow> SchemaStore::put_policy(const PolicyRow& policy, const WriteOptions& options) {
  return write<PolicyRow>(options, [&](postgres::Transaction& sql) -> Result<PolicyRow> {
    SLUICE_TRY_ASSIGN(const Rows found,
                      sql.query("SELECT revision FROM outlier_policies WHERE tenant_id = $1 AND "
                                "schema_id = $2 AND metric = $3 FOR UPDATE",
                                {options.tenant, policy.schema_id, policy.metric}));
    SLUICE_TRY(options.preconditions.check_write(revision_of(found)));
    SLUICE_TRY_ASSIGN(
        const Rows rows,
        sql.query("INSERT INTO outlier_policies (tenant_id, schema_id, metric, settings) "
                  "VALUES ($1, $2, $3, $4) ON CONFLICT (tenant_id, schema_id, metric) DO UPDATE "
                  "SET settings = $4, revision = greatest(outlier_policies.revision + 1, "
                  "next_revision()), updated_at = now() "
                  "WHERE outlier_policies.revision = $5 RETURNING *",
                  {options.tenant, policy.schema_id, policy.metric, JsonView{policy.settings},
                   revision_of(found)}));
    if (rows.empty()) return made_meanwhile();
    PolicyRow stored = read_policy(rows.one());
    schema::v1::SchemaChange change = change_of(options, stored.revision);
    schema::v1::OutlierPolicyState& state = *change.mutable_outlier_policy();
    state.set_schema_id(stored.schema_id);
    state.set_metric(stored.metric);
    state.set_settings(policy.settings);
    const std::string name = policy.schema_id + "/" + policy.metric;
    SLUICE_TRY(tell(sql, options, "$outlier/" + name, change, "outlier_policy/" + name));
    return stored;
  });
}

Result<> SchemaStore::remove_policy(std::string_view schema_id, std::string_view metric,
                                    const WriteOptions& options) {
  const auto removed = write<bool>(options, [&](postgres::Transaction& sql) -> Result<bool> {
    SLUICE_TRY_ASSIGN(const Rows found,
                      sql.query("SELECT revision FROM outlier_policies WHERE tenant_id = $1 AND "
                                "schema_id = $2 AND metric = $3 FOR UPDATE",
                                {options.tenant, schema_id, metric}));
    if (found.empty()) return fail(ErrorCode::kNotFound, "no such outlier policy");
    SLUICE_TRY(options.preconditions.check_write(revision_of(found)));
    SLUICE_TRY(
        sql.execute("DELETE FROM outlier_policies WHERE tenant_id = $1 AND schema_id = $2 "
                    "AND metric = $3",
                    {options.tenant, schema_id, metric}));
    const std::string name = std::string(schema_id) + "/" + std::string(metric);
    SLUICE_TRY(tell(sql, options, "$outlier/" + name, std::nullopt, "outlier_policy/" + name));
    return true;
  });
  if (!removed) return fail(removed.error());
  return {};
}

}  // namespace sluice::validator
