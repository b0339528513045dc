#pragma once

#include <chrono>
#include <cstddef>
#include <span>
#include <string_view>

#include <sluice/base/result.h>
#include <sluice/postgres/pool.h>

namespace sluice::postgres {

/// One numbered step of a schema, `migrations/0001_devices.sql` of a service. Its CMakeLists.txt
/// says sluice_embed_migrations(<service>) and its code includes "migrations.h", which has
///   namespace sluice::device_registry { std::span<const postgres::Migration> migrations(); }
struct Migration {
  int number = 0;
  std::string_view name;  // "devices"
  std::string_view sql;
};

struct MigrateOptions {
  /// For waiting for another instance that migrates, and for each statement.
  std::chrono::milliseconds timeout = std::chrono::minutes(10);
};

/// Brings the schema up to the last of `migrations`, which are numbered 1, 2, 3, … Makes the schema
/// when it is missing. Gives the number of migrations that this call ran.
///
/// Promises: each runs once, in order, in a transaction of its own together with its entry in
/// <schema>.schema_migrations, whoever else starts at the same moment (advisory lock); nothing is
/// run and kFailedPrecondition comes back when the database holds a migration that is newer than
/// ours (reason "schema_is_newer": an older program on a newer database) or of another text than
/// ours (reason "migration_changed"). Files that have been released are therefore never edited.
Result<std::size_t> migrate(Pool& pool, std::string_view schema,
                            std::span<const Migration> migrations,
                            const MigrateOptions& options = {});

}  // namespace sluice::postgres
