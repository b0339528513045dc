#include "adapters/postgres_hot_store.h"

#include "adapters/positions.h"
#include "core/batch/fence.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <utility>

#include <sluice/base/crash_point.h>
#include <sluice/postgres/copy_writer.h>
#include <sluice/postgres/transaction.h>

namespace sluice::tsdb {
namespace {

using postgres::Row;
using postgres::Rows;
using postgres::Transaction;

// The leader makes partitions ahead too; this much is enough to write on while there is none.
constexpr std::chrono::hours kRoomAhead{6};

struct Columns {
  std::vector<std::string> topics;
  std::vector<std::int64_t> partitions;
};

Columns columns_of(std::span<const PartitionSpan> spans) {
  Columns columns;
  for (const PartitionSpan& span : spans) {
    columns.topics.push_back(span.partition.topic);
    columns.partitions.push_back(span.partition.partition);
  }
  return columns;
}

/// Locks the positions until the end of the transaction, always in the same order, and says which
/// spans are stored already.
Result<std::vector<bool>> fence(Transaction& tx, std::span<const PartitionSpan> spans) {
  const Columns asked = columns_of(spans);
  // Ordered inside, as rows are locked in the order they come out; a join could take another.
  SLUICE_TRY_ASSIGN(
      const Rows rows,
      tx.query("SELECT o.topic, o.partition::bigint AS partition, o.next_offset FROM offsets o "
               "WHERE (o.topic, o.partition) IN (SELECT * FROM unnest($1::text[], $2::bigint[])) "
               "ORDER BY o.topic, o.partition FOR UPDATE",
               {asked.topics, asked.partitions}));
  std::vector<std::optional<Offset>> stored(spans.size());
  for (std::size_t i = 0; i < spans.size(); ++i) {
    const TopicPartition& partition = spans[i].partition;
    for (const Row row : rows) {
      if (row.get<std::int64_t>("partition") == partition.partition &&
          row.text("topic") == partition.topic) {
        stored[i] = stored_offset(row.get<std::int64_t>("next_offset"));
      }
    }
  }
  return stored_already(spans, stored);
}

struct Place {
  std::int64_t flush = 0;
  WallTime arrival{};
};

/// The number of this flush and the hour it writes into, held open until the transaction ends.
/// After fence(), so that whoever gets a partition later has the higher number and no earlier hour;
/// clock_timestamp(), since now() is when the transaction began to wait.
Result<Place> take_place(Transaction& tx) {
  // Looked for before it is made: all flushes of an hour but one find it.
  for (const bool is_second_look : {false, true}) {
    if (is_second_look) {
      SLUICE_TRY(tx.execute(
          "INSERT INTO hot_hours (arrival_hour) "
          "VALUES (date_trunc('hour', clock_timestamp(), 'UTC')) ON CONFLICT DO NOTHING"));
    }
    SLUICE_TRY_ASSIGN(
        const Rows rows,
        tx.query("SELECT arrival_hour, nextval('flush') AS flush FROM hot_hours WHERE NOT "
                 "is_sealed AND arrival_hour = date_trunc('hour', clock_timestamp(), 'UTC') "
                 "FOR SHARE"));
    if (rows.empty()) continue;
    return Place{.flush = rows.one().get<std::int64_t>("flush"),
                 .arrival = rows.one().get<WallTime>("arrival_hour")};
  }
  return fail(ErrorCode::kAborted, "the hour ended or was sealed at this very moment");
}

Result<std::int64_t> copy_rows(Transaction& tx, const Place& place, HotRowSource& rows) {
  using postgres::ColumnType;
  SLUICE_TRY_ASSIGN(auto copy,
                    postgres::CopyWriter::begin(tx, {.table = "hot"},
                                                {{"flush_id", ColumnType::kInt8},
                                                 {"device_key", ColumnType::kInt8},
                                                 {"event_hour", ColumnType::kTimestamptz},
                                                 {"ts_min", ColumnType::kTimestamptz},
                                                 {"ts_max", ColumnType::kTimestamptz},
                                                 {"arrival", ColumnType::kTimestamptz},
                                                 {"n", ColumnType::kInt4},
                                                 {"chunk", ColumnType::kBytea}}));
  HotRow row;
  for (;;) {
    SLUICE_TRY_ASSIGN(const bool has_row, rows.next(row));
    if (!has_row) break;
    copy.int8(place.flush);
    copy.int8(row.device.value());
    copy.timestamptz(row.event_hour);
    copy.timestamptz(row.first);
    copy.timestamptz(row.last);
    copy.timestamptz(place.arrival);
    copy.int4(row.times);
    copy.bytea({reinterpret_cast<const char*>(row.chunk.data()), row.chunk.size()});
    SLUICE_TRY(copy.end_row());
  }
  return copy.finish();
}

Result<> move_on(Transaction& tx, std::span<const PartitionSpan> spans,
                 const std::vector<bool>& left_out) {
  std::vector<Position> positions;
  for (std::size_t i = 0; i < spans.size(); ++i) {
    if (!left_out[i]) positions.push_back({.partition = spans[i].partition, .next = spans[i].next});
  }
  return move_positions(tx, positions);
}

}  // namespace

Result<std::vector<std::optional<Offset>>> PostgresHotStore::positions(
    std::span<const TopicPartition> partitions) {
  return postgres::transaction(pool_, {.all_tenants = true},
                               [&](Transaction& tx) { return read_positions(tx, partitions); });
}

Result<FlushReport> PostgresHotStore::flush(std::span<const PartitionSpan> spans,
                                            HotRowSource& rows) {
  auto flushed = postgres::transaction(
      pool_, {.all_tenants = true}, [&](Transaction& tx) -> Result<FlushReport> {
        FlushReport report;
        SLUICE_TRY_ASSIGN(const std::vector<bool> left_out, fence(tx, spans));
        report.partitions_left_out = static_cast<std::size_t>(std::ranges::count(left_out, true));
        if (report.partitions_left_out == spans.size()) return report;
        SLUICE_TRY_ASSIGN(const Place place, take_place(tx));
        rows.restart(left_out);
        SLUICE_TRY_ASSIGN(report.rows, copy_rows(tx, place, rows));
        SLUICE_CRASH_POINT("tsdb_writer_after_copy");
        SLUICE_TRY(move_on(tx, spans, left_out));
        return report;
      });
  SLUICE_CRASH_POINT("tsdb_writer_after_commit");
  return flushed;
}

Result<> PostgresHotStore::make_room() {
  return postgres::run_transaction(pool_, {.all_tenants = true}, [&](Transaction& tx) -> Result<> {
    SLUICE_TRY_ASSIGN(const Rows rows, tx.query("SELECT clock_timestamp() AS at"));
    const auto now = rows.one().get<WallTime>("at");
    return partitions_.ensure(tx, "hot", now, now + kRoomAhead);
  });
}

}  // namespace sluice::tsdb
