#include "adapters/positions.h"

#include <cstdint>
#include <string>

namespace sluice::tsdb {

using postgres::Row;
using postgres::Rows;
using postgres::Transaction;

std::optional<Offset> stored_offset(std::int64_t next_offset) {
  return next_offset < 0 ? std::nullopt : std::optional(Offset(next_offset));
}

Result<std::vector<std::optional<Offset>>> read_positions(
    Transaction& tx, std::span<const TopicPartition> partitions) {
  std::vector<std::string> topics;
  std::vector<std::int64_t> numbers;
  for (const TopicPartition& each : partitions) {
    topics.push_back(each.topic);
    numbers.push_back(each.partition);
  }
  SLUICE_TRY(
      tx.execute("INSERT INTO offsets (topic, partition, next_offset) "
                 "SELECT t, p, -1 FROM unnest($1::text[], $2::bigint[]) AS a (t, p) "
                 "ORDER BY t, p ON CONFLICT DO NOTHING",
                 {topics, numbers}));
  SLUICE_TRY_ASSIGN(
      const Rows rows,
      tx.query("SELECT o.next_offset FROM unnest($1::text[], $2::bigint[]) WITH ORDINALITY "
               "  AS a (topic, partition, place) JOIN offsets o USING (topic, partition) "
               "ORDER BY a.place",
               {topics, numbers}));
  std::vector<std::optional<Offset>> positions;
  for (const Row row : rows) {
    positions.push_back(stored_offset(row.get<std::int64_t>("next_offset")));
  }
  return positions;
}

Result<> move_positions(Transaction& tx, std::span<const Position> positions) {
  if (positions.empty()) return {};
  std::vector<std::string> topics;
  std::vector<std::int64_t> partitions;
  std::vector<std::int64_t> nexts;
  for (const Position& each : positions) {
    topics.push_back(each.partition.topic);
    partitions.push_back(each.partition.partition);
    nexts.push_back(each.next.value());
  }
  SLUICE_TRY(
      tx.execute("INSERT INTO offsets (topic, partition, next_offset) "
                 "SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[]) "
                 "ON CONFLICT (topic, partition) DO UPDATE SET next_offset = excluded.next_offset, "
                 "  updated_at = clock_timestamp()",
                 {topics, partitions, nexts}));
  return {};
}

}  // namespace sluice::tsdb
