#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include <sluice/base/result.h>
#include <sluice/series/chunk.h>

namespace sluice::series {

/// Decoded values; only the vector of `type` is filled. Meant to be used again: it keeps its
/// memory.
struct ColumnValues {
  ColumnType type = ColumnType::kDouble;
  std::vector<double> doubles;
  std::vector<std::int64_t> integers;
  std::vector<std::uint8_t> booleans;
  /// Views into the chunk's bytes: valid as long as those.
  std::vector<std::string_view> texts;
  /// Working memory of decoding, kept from one call to the next; holds nothing of use.
  std::vector<std::uint64_t> scratch;

  std::size_t size() const;
  void clear();
};

/// Values with the times they belong to.
struct Samples {
  std::vector<std::int64_t> timestamps;
  ColumnValues values;
};

/// What is known of a column without decoding it.
struct ColumnInfo {
  std::string_view key;
  ColumnType type = ColumnType::kDouble;
  /// Every row has a value.
  bool is_dense = true;
  /// Rows that have a value.
  std::size_t value_count = 0;
  std::size_t encoded_bytes = 0;
  /// "constant", "decimal", "xor" and so on: for tools and metrics.
  std::string_view codec;
  std::optional<ColumnStatistics> statistics;
};

/// From `from` on and before `to`, in milliseconds. INT64_MAX as `to` is no end at all.
struct TimeRange {
  std::int64_t from = INT64_MIN;
  std::int64_t to = INT64_MAX;
};

/// Reads one chunk, column by column. Believes nothing: bytes from anywhere end with values within
/// ChunkLimits or with kDataLoss (what is there is no chunk, or a broken one). There is no
/// checksum: a flipped bit may give wrong values, never a crash. Holds views only, of bytes that
/// must outlive it; const calls from several threads are fine.
class ChunkReader {
 public:
  [[nodiscard]] static Result<ChunkReader> open(std::span<const std::byte> chunk,
                                                const ChunkLimits& limits = {});

  std::size_t row_count() const { return row_count_; }
  std::size_t column_count() const { return columns_.size(); }
  const ColumnInfo& column(std::size_t index) const { return columns_[index].info; }
  /// The first column of that key; with a type, the only one.
  std::optional<std::size_t> find(std::string_view key) const;
  std::optional<std::size_t> find(std::string_view key, ColumnType type) const;

  /// All timestamps, strictly rising. Replaces what `out` held, as all of these do.
  [[nodiscard]] Result<void> timestamps(std::vector<std::int64_t>& out) const;
  /// The values of one column, `column(index).value_count` of them; touches no other column.
  [[nodiscard]] Result<void> values(std::size_t index, ColumnValues& out) const;
  /// One byte per row, 1 where the column has a value.
  [[nodiscard]] Result<void> presence(std::size_t index, std::vector<std::uint8_t>& out) const;
  /// The values of one column within a range, with their times.
  [[nodiscard]] Result<void> samples(std::size_t index, TimeRange range, Samples& out) const;

 private:
  struct Entry {
    ColumnInfo info;
    std::span<const std::byte> presence;
    std::span<const std::byte> payload;
  };

  ChunkReader() = default;
  Result<void> read_column(class Cursor& cursor, const ChunkLimits& limits);

  std::size_t row_count_ = 0;
  std::size_t text_limit_ = 0;
  std::span<const std::byte> timestamps_;
  std::vector<Entry> columns_;
};

}  // namespace sluice::series
