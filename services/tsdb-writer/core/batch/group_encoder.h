#pragma once

#include "core/batch/batch.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/base/result.h>
#include <sluice/series/chunk.h>
#include <sluice/series/chunk_reader.h>

namespace sluice::tsdb {

/// Makes a chunk of one group of a batch: rows in order of time, of two samples of one metric and
/// time the later one. Equal samples make equal bytes, in whatever order they came. Takes memory by
/// samples, not by rows times columns, and keeps it from group to group: one per thread.
class GroupEncoder {
 public:
  GroupEncoder() : encoder_(kChunkLimits) {}

  /// What was encoded, for the row beside the chunk.
  struct Encoded {
    std::int32_t times = 0;
    std::int64_t first_ms = 0;
    std::int64_t last_ms = 0;
  };

  /// Appends to `out`. nullopt and nothing appended when no sample is within the range.
  Result<std::optional<Encoded>> encode(const Batch& batch, GroupIndex group,
                                        series::TimeRange range, std::vector<std::byte>& out);

 private:
  struct Slot {
    std::string name;
    MetricKey metric;
    series::ColumnType type = series::ColumnType::kDouble;
    bool is_remarks = false;
    // Beside each other, by rising row: only of the rows that have a value, since a device that
    // says one of hundreds of metrics at a time would else take hundreds of times its samples.
    std::vector<std::uint32_t> rows;
    std::vector<std::uint64_t> bits;
  };
  struct RunAt {
    std::int64_t time_ms;
    std::uint32_t run;
  };

  void collect_rows(const Batch& batch, GroupIndex group, series::TimeRange range);
  void place_samples(const Batch& batch);
  static void put(Slot& slot, std::uint32_t row, std::uint64_t bits);
  Slot& slot_of(MetricKey metric, series::ColumnType type, bool is_remarks);
  Slot* find_slot(MetricKey metric, series::ColumnType type, bool is_remarks);
  series::Column column_of(const Batch& batch, const Slot& slot);

  series::ChunkEncoder encoder_;
  std::vector<RunAt> runs_;
  std::vector<std::int64_t> times_;
  std::vector<Slot> slots_;  // the first slot_count_ are in use, the others keep their memory
  std::size_t slot_count_ = 0;
  // Where to look first: a device says its metrics in the same order, round and round.
  std::size_t next_slot_ = 0;
  bool has_remarks_ = false;  // about a single value, so far
  std::vector<std::size_t> order_;
  // The column that the encoder is shown: which rows have a value, and those values.
  std::vector<std::uint8_t> present_;
  std::vector<double> doubles_;
  std::vector<std::int64_t> integers_;
  std::vector<std::uint8_t> booleans_;
  std::vector<std::string_view> texts_;
};

}  // namespace sluice::tsdb
