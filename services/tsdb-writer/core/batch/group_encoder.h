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
/// time the later one. Equal samples make equal bytes, in whatever order they came. Keeps its
/// memory from group to group: one per thread.
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
    std::vector<std::uint64_t> bits;    // by row
    std::vector<std::uint8_t> present;  // by row
    // What the encoder is shown: the values of the rows that have one.
    std::vector<double> doubles;
    std::vector<std::int64_t> integers;
    std::vector<std::uint8_t> booleans;
    std::vector<std::string_view> texts;
  };
  struct RunAt {
    std::int64_t time_ms;
    std::uint32_t run;
  };

  void collect_rows(const Batch& batch, GroupIndex group, series::TimeRange range);
  void place_samples(const Batch& batch);
  void put(Slot& slot, std::size_t row, std::uint64_t bits);
  Slot& slot_of(MetricKey metric, series::ColumnType type, bool is_remarks);
  Slot* find_slot(MetricKey metric, series::ColumnType type, bool is_remarks);
  series::Column column_of(const Batch& batch, Slot& slot);

  series::ChunkEncoder encoder_;
  std::vector<RunAt> runs_;
  std::vector<std::int64_t> times_;
  std::vector<Slot> slots_;  // the first slot_count_ are in use, the others keep their memory
  std::size_t slot_count_ = 0;
  // Where to look first: a device says its metrics in the same order, round and round.
  std::size_t next_slot_ = 0;
  bool has_remarks_ = false;  // about a single value, so far
  std::vector<std::size_t> order_;
  std::vector<series::Column> columns_;
};

}  // namespace sluice::tsdb
