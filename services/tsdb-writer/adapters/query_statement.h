#pragma once

#include "core/query/model.h"

#include <cstddef>
#include <string>
#include <vector>

#include <sluice/postgres/statement.h>
#include <sluice/series/chunk_reader.h>

namespace sluice::tsdb {

// The statements that read samples. Rows of their answers have `part` ("fresh", "warm", "rollup",
// "hours"), `start`, `place` and `bytes`, in the order in which they override each other.

/// What DeviceSlice says, but for memory, whose event hours are given.
postgres::Statement slice_statement(const StoredDevice& device, Tier tier, series::TimeRange range,
                                    const std::vector<std::string>& hours_in_memory);
/// The newest rows of what is fresh, warm and rolled up by days.
postgres::Statement newest_statement(const StoredDevice& device, std::size_t rows);

/// Of a range whose roll-ups are read: the one in which something fresh changes them. A day is made
/// of whole days.
series::TimeRange fresh_range_of(Tier tier, series::TimeRange range);

/// As near to it as PostgreSQL can hold.
WallTime storable_time(std::int64_t ms);

}  // namespace sluice::tsdb
