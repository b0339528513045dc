#pragma once

#include "ports.h"

#include <optional>
#include <span>
#include <vector>

#include <sluice/base/result.h>
#include <sluice/postgres/transaction.h>

namespace sluice::tsdb {

// Rows of the table `offsets`, for transactions of all tenants.

/// Everything below `next` is in the tables.
struct Position {
  TopicPartition partition;
  Offset next;
};

/// Where to read on; nothing for a partition of which nothing is stored. Makes the rows that are
/// missing, so that there is something to lock.
Result<std::vector<std::optional<Offset>>> read_positions(
    postgres::Transaction& tx, std::span<const TopicPartition> partitions);

/// To be called in the transaction that puts into the tables what lies below.
Result<> move_positions(postgres::Transaction& tx, std::span<const Position> positions);

/// How a row's next_offset says that nothing is stored yet.
std::optional<Offset> stored_offset(std::int64_t next_offset);

}  // namespace sluice::tsdb
