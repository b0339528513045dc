#include "adapters/partition_managers.h"

#include <format>
#include <string>

#include <sluice/postgres/statement.h>
#include <sluice/postgres/transaction.h>

namespace sluice::tsdb {
namespace {

using postgres::Row;
using postgres::Rows;
using postgres::Statement;
using postgres::Transaction;

std::vector<TimePartition> partitions_of(const Rows& rows) {
  std::vector<TimePartition> partitions;
  partitions.reserve(rows.size());
  for (const Row row : rows) {
    partitions.push_back({.name = row.get<std::string>("name"),
                          .starts = row.get<WallTime>("starts"),
                          .ends = row.get<WallTime>("ends"),
                          .bytes = row.get<std::int64_t>("bytes")});
  }
  return partitions;
}

}  // namespace

Result<> PlainPartitions::ensure(Transaction& tx, std::string_view table, WallTime from,
                                 WallTime until) {
  // Bins counted from the epoch. The lock makes two who see the same gap do one after the other;
  // it is not taken where nothing is missing, which is nearly always.
  SLUICE_TRY_ASSIGN(
      const Rows missing,
      tx.query("WITH bins AS ("
               "  SELECT starts, starts + width AS ends FROM tier_tables, generate_series("
               "    date_bin(width, $2::timestamptz, 'epoch'), $3::timestamptz, width) AS starts"
               "  WHERE table_name = $1) "
               "SELECT bins.starts, bins.ends FROM bins LEFT JOIN partitions_of($1) p "
               "  ON p.starts = bins.starts WHERE p.name IS NULL",
               {table, from, until}));
  if (missing.empty()) return {};
  SLUICE_TRY(tx.query("SELECT pg_advisory_xact_lock(hashtextextended('tsdb.partitions.' || $1, 0))",
                      {table}));
  for (const Row row : missing) {
    SLUICE_TRY(tx.query("SELECT make_partition($1, $2, $3)",
                        {table, row.get<WallTime>("starts"), row.get<WallTime>("ends")}));
  }
  return {};
}

Result<std::vector<TimePartition>> PlainPartitions::list(Transaction& tx, std::string_view table) {
  SLUICE_TRY_ASSIGN(const Rows rows,
                    tx.query("SELECT name, starts, ends, bytes FROM partitions_of($1)", {table}));
  return partitions_of(rows);
}

Result<> PlainPartitions::drop(Transaction& tx, std::string_view /*table*/,
                               const TimePartition& partition) {
  Statement statement("DROP TABLE ");
  statement.identifier(partition.name);
  SLUICE_TRY(tx.execute(statement));
  return {};
}

Result<> HypertablePartitions::ensure(Transaction& /*tx*/, std::string_view /*table*/,
                                      WallTime /*from*/, WallTime /*until*/) {
  return {};
}

Result<std::vector<TimePartition>> HypertablePartitions::list(Transaction& tx,
                                                              std::string_view table) {
  SLUICE_TRY_ASSIGN(
      const Rows rows,
      tx.query("SELECT chunk_schema || '.' || chunk_name AS name, range_start AS starts, "
               "  range_end AS ends, pg_total_relation_size("
               "    format('%I.%I', chunk_schema, chunk_name)::regclass) AS bytes "
               "FROM timescaledb_information.chunks "
               "WHERE hypertable_schema = current_schema() AND hypertable_name = $1 "
               "ORDER BY range_start",
               {table}));
  return partitions_of(rows);
}

Result<> HypertablePartitions::drop(Transaction& tx, std::string_view table,
                                    const TimePartition& partition) {
  SLUICE_TRY(
      tx.query("SELECT drop_chunks(format('%I.%I', current_schema(), $1::text)::regclass, "
               "older_than => $3::timestamptz, newer_than => $2::timestamptz)",
               {table, partition.starts, partition.ends}));
  return {};
}

Result<std::unique_ptr<PartitionManager>> probe_partition_manager(postgres::Pool& pool) {
  using Manager = std::unique_ptr<PartitionManager>;
  return postgres::transaction(
      pool, {.all_tenants = true, .read_only = true}, [](Transaction& tx) -> Result<Manager> {
        SLUICE_TRY_ASSIGN(const Rows rows, tx.query("SELECT partition_manager FROM layout"));
        const auto kind = rows.one().get<std::string>("partition_manager");
        if (kind == "plain") return std::make_unique<PlainPartitions>();
        if (kind == "hypertable") return std::make_unique<HypertablePartitions>();
        return fail(
            ErrorCode::kFailedPrecondition,
            std::format("the tables are cut by '{}', which this program does not know", kind));
      });
}

}  // namespace sluice::tsdb
