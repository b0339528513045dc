#pragma once

#include "adapters/schema_store.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sluice/schema/v1/schema_change.pb.h>

namespace sluice::validator {

// What the tables of schemas, units and policies have in common.

inline constexpr std::string_view kDryRunDone =
    "dry_run_done";  // never leaves SchemaStore::write()

template <typename T>
std::vector<T> read_all(const postgres::Rows& rows, T (*read)(const postgres::Row&)) {
  std::vector<T> out;
  out.reserve(rows.size());
  for (const postgres::Row& row : rows) out.push_back(read(row));
  return out;
}

template <typename T>
Result<T> read_one(const postgres::Rows& rows, T (*read)(const postgres::Row&),
                   std::string_view noun) {
  const auto row = rows.optional();
  if (!row) return fail(ErrorCode::kNotFound, "no such " + std::string(noun));
  return read(*row);
}

/// The revision of what is stored, for preconditions.
std::optional<std::int64_t> revision_of(const postgres::Rows& rows);

/// One change as the workers and the audit trail are told of it.
Result<> tell(postgres::Transaction& sql, const WriteOptions& options, const std::string& key,
              const std::optional<schema::v1::SchemaChange>& change, std::string_view target);
/// A change of the tenant's without its content.
schema::v1::SchemaChange change_of(const WriteOptions& options, std::int64_t revision);

/// A dry run does all of it and undoes it in the end.
template <typename T>
Result<T> SchemaStore::write(const WriteOptions& options,
                             const std::function<Result<T>(postgres::Transaction&)>& body) {
  std::optional<T> dry;
  auto written = postgres::transaction(
      pool_, {.tenant = options.tenant}, [&](postgres::Transaction& sql) -> Result<T> {
        SLUICE_TRY_ASSIGN(T value, body(sql));
        if (!options.is_dry_run) return value;
        dry = std::move(value);
        return fail(Error(ErrorCode::kCancelled, "dry run").with_reason(std::string(kDryRunDone)));
      });
  if (!written && written.error().reason() == kDryRunDone) return *std::move(dry);
  return written;
}

}  // namespace sluice::validator
