#pragma once

#include "core/registration.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/base/clock.h>
#include <sluice/base/ids.h>
#include <sluice/base/result.h>
#include <sluice/http_semantics/preconditions.h>
#include <sluice/postgres/pool.h>
#include <sluice/postgres/transaction.h>
#include <sluice/schema/v1/schema_change.pb.h>

namespace sluice::validator {

/// Where the service's tables are.
inline constexpr std::string_view kDatabaseSchema = "schema_validator";

/// A version as it is stored.
struct VersionRow {
  std::string schema_id{};
  Version version{};
  SchemaKind kind{};
  std::string document{};
  std::string registered_by{};
  WallTime registered_at{};
  std::int64_t revision = 0;
};

struct SchemaRow {
  std::string schema_id{};
  Version latest{};
  std::int64_t versions = 0;
  WallTime created_at{};
  WallTime updated_at{};
  std::int64_t revision = 0;
};

struct UnitRow {
  std::string name{};
  std::string base{};
  double factor = 1;
  double offset = 0;
  std::vector<std::string> aliases{};
  std::int64_t revision = 0;
  WallTime updated_at{};
};

struct PolicyRow {
  std::string schema_id{};
  std::string metric{};
  std::string settings{};  // JSON
  std::int64_t revision = 0;
  WallTime updated_at{};
};

/// What a write is done with.
struct WriteOptions {
  TenantId tenant{};
  std::string by{};           // who, for registered_by
  std::string traceparent{};  // of the records it makes
  http::Preconditions preconditions{};
  bool is_dry_run = false;
  /// The serialized audit record, which commits with the write.
  std::function<std::string(std::string_view target)> audit{};
};

/// Schemas, units and outlier policies in PostgreSQL. Every change commits together with its record
/// for control.schemas and its audit record. Thread-safe; blocks as long as the database does.
class SchemaStore {
 public:
  explicit SchemaStore(postgres::Pool& pool) : pool_(pool) {}

  Result<std::vector<SchemaRow>> list_schemas(const TenantId& tenant, std::string_view after,
                                              std::int64_t limit);
  Result<std::vector<VersionRow>> list_versions(const TenantId& tenant, std::string_view schema_id);
  Result<VersionRow> find_version(const TenantId& tenant, std::string_view schema_id,
                                  const Version& version);

  struct Registration {
    VersionRow row{};
    bool is_new = false;  // false: this very document is the latest of its major already
  };
  /// Locks the schema, lets `decide` choose the version out of those that are there, and stores it.
  using Decide = std::function<Result<Decision>(std::span<const VersionRow> existing)>;
  Result<Registration> register_version(std::string_view schema_id, const WriteOptions& options,
                                        const Decide& decide);
  Result<> remove_version(std::string_view schema_id, const Version& version,
                          const WriteOptions& options);

  Result<std::vector<UnitRow>> list_units(const TenantId& tenant, std::string_view after,
                                          std::int64_t limit);
  Result<UnitRow> find_unit(const TenantId& tenant, std::string_view name);
  Result<UnitRow> put_unit(const UnitRow& unit, const WriteOptions& options);
  Result<> remove_unit(std::string_view name, const WriteOptions& options);

  Result<std::vector<PolicyRow>> list_policies(const TenantId& tenant, std::string_view schema_id,
                                               std::string_view after_schema,
                                               std::string_view after_metric, std::int64_t limit);
  Result<PolicyRow> find_policy(const TenantId& tenant, std::string_view schema_id,
                                std::string_view metric);
  Result<PolicyRow> put_policy(const PolicyRow& policy, const WriteOptions& options);
  Result<> remove_policy(std::string_view schema_id, std::string_view metric,
                         const WriteOptions& options);

 private:
  template <typename T>
  Result<T> write(const WriteOptions& options,
                  const std::function<Result<T>(postgres::Transaction&)>& body);

  postgres::Pool& pool_;
};

/// The kind of that name_of().
std::optional<SchemaKind> parse_schema_kind(std::string_view name);

}  // namespace sluice::validator
