#include <sluice/postgres/migrate.h>

#include "advisory_key.h"
#include "connection.h"
#include "pool_impl.h"

#include <format>
#include <string>
#include <utility>

#include <sluice/base/check.h>
#include <sluice/base/crash_point.h>
#include <sluice/postgres/statement.h>

namespace sluice::postgres {
namespace {

/// One run over a session of its own, which holds the lock until it ends.
class Migrator {
 public:
  Migrator(PoolImpl& impl, Connection& session, std::string_view schema,
           const MigrateOptions& options)
      : impl_(impl), session_(session), schema_(schema), options_(options) {}

  Result<std::size_t> run(std::span<const Migration> migrations) {
    SLUICE_TRY(lock());
    SLUICE_TRY(make_table());
    SLUICE_TRY_ASSIGN(const std::size_t present, check_present(migrations));
    for (const Migration& migration : migrations.subspan(present)) SLUICE_TRY(apply(migration));
    return migrations.size() - present;
  }

 private:
  MonoTime deadline() const { return impl_.clock.mono() + options_.timeout; }
  std::string table() const { return quote_identifier(schema_) + ".schema_migrations"; }

  Result<> in_transaction(const std::function<Result<>(Transaction&)>& body);
  Result<> lock();
  Result<> make_table();
  Result<std::size_t> check_present(std::span<const Migration> migrations);
  Result<> apply(const Migration& migration);

  PoolImpl& impl_;
  Connection& session_;
  const std::string schema_;
  const MigrateOptions& options_;
};

/// Waits for a table's lock no longer than other transactions do, then lets those pass that queue
/// behind it, and tries again: a migration must not stop a service that is at work.
Result<> Migrator::in_transaction(const std::function<Result<>(Transaction&)>& body) {
  const MonoTime end = deadline();
  for (;;) {
    auto outcome = session_.run_transaction({.all_tenants = true}, end, options_.timeout, body);
    if (outcome.result) return {};
    const bool is_locked_out = outcome.result.error().reason() == "lock_timeout";
    if (!(outcome.can_be_repeated || is_locked_out) || !session_.is_usable() ||
        impl_.clock.mono() >= end) {
      return std::move(outcome.result);
    }
  }
}

Result<> Migrator::lock() {
  session_.set_deadline(deadline());
  // Nobody waits behind this lock but other migrators, so that it may be waited for in one piece.
  SLUICE_TRY(session_.run_script(
      std::format("SET lock_timeout = 0; SET statement_timeout = {}", options_.timeout.count())));
  const Param key = advisory_key("migrate", schema_);
  auto locked =
      session_.query("SELECT pg_advisory_lock($1)", {&key, 1}, Connection::Preparation::kNever);
  if (!locked)
    return fail(std::move(locked).error().context("wait for another instance that migrates"));
  return session_.run_script(
      std::format("SET lock_timeout = {}", impl_.config.lock_timeout.count()));
}

Result<> Migrator::make_table() {
  return in_transaction([&](Transaction& tx) -> Result<> {
    // IF NOT EXISTS would still ask for the right to create, which a service need not have.
    SLUICE_TRY_ASSIGN(const Rows schema,
                      tx.query("SELECT FROM pg_namespace WHERE nspname = $1", {schema_}));
    if (schema.empty()) {
      SLUICE_TRY(tx.execute(Statement("CREATE SCHEMA ").identifier(schema_)));
    }
    SLUICE_TRY_ASSIGN(const Rows found, tx.query("SELECT to_regclass($1) IS NOT NULL", {table()}));
    if (found.one().get<bool>(0)) return {};
    // The whole text rather than a hash of it: it shows an administrator what was run.
    SLUICE_TRY(tx.execute(
        Statement("CREATE TABLE ")
            .identifier(schema_)
            .append(".schema_migrations (number integer PRIMARY KEY, name text NOT NULL, "
                    "sql text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())")));
    return {};
  });
}

/// The number of migrations that the database has, all of which must be ours.
Result<std::size_t> Migrator::check_present(std::span<const Migration> migrations) {
  std::size_t present = 0;
  SLUICE_TRY(in_transaction([&](Transaction& tx) -> Result<> {
    present = 0;
    SLUICE_TRY_ASSIGN(const Rows rows, tx.query(Statement("SELECT number, name, sql FROM ")
                                                    .identifier(schema_)
                                                    .append(".schema_migrations ORDER BY number")));
    for (const Row row : rows) {
      const auto number = row.get<std::int32_t>("number");
      if (number > static_cast<std::int64_t>(migrations.size())) {
        return fail(
            Error(ErrorCode::kFailedPrecondition,
                  std::format(
                      "the database has migration {} of schema {}, this program knows {}: it is "
                      "older than the database",
                      number, schema_, migrations.size()))
                .with_reason("schema_is_newer"));
      }
      if (number != static_cast<std::int64_t>(present) + 1 ||
          row.text("sql") != migrations[present].sql) {
        return fail(
            Error(ErrorCode::kFailedPrecondition,
                  std::format(
                      "migration {} ({}) of schema {} is not what this program would have run",
                      number, row.text("name"), schema_))
                .with_reason("migration_changed"));
      }
      ++present;
    }
    return {};
  }));
  return present;
}

Result<> Migrator::apply(const Migration& migration) {
  const MonoTime started = impl_.clock.mono();
  auto applied = in_transaction([&](Transaction& tx) -> Result<> {
    SLUICE_TRY(tx.execute_script(Sql::from_trusted_text(migration.sql)));
    SLUICE_CRASH_POINT("postgres_inside_migration");
    SLUICE_TRY(tx.execute(Statement("INSERT INTO ")
                              .identifier(schema_)
                              .append(".schema_migrations (number, name, sql) VALUES (?, ?, ?)",
                                      {migration.number, migration.name, migration.sql})));
    return {};
  });
  if (!applied) {
    return fail(std::move(applied).error().context(
        std::format("migration {} ({}) of schema {}", migration.number, migration.name, schema_)));
  }
  impl_.log.info(
      "migration_done",
      {{"schema", schema_},
       {"number", migration.number},
       {"name", migration.name},
       {"seconds", std::chrono::duration<double>(impl_.clock.mono() - started).count()}});
  return {};
}

}  // namespace

Result<std::size_t> migrate(Pool& pool, std::string_view schema,
                            std::span<const Migration> migrations, const MigrateOptions& options) {
  for (std::size_t i = 0; i < migrations.size(); ++i) {
    SLUICE_CHECK(migrations[i].number == static_cast<int>(i) + 1);
  }
  PoolImpl& impl = impl_of(pool);
  SLUICE_TRY_ASSIGN(const auto session, impl.connect(impl.clock.mono() + options.timeout));
  return Migrator(impl, *session, schema, options).run(migrations);
}

}  // namespace sluice::postgres
