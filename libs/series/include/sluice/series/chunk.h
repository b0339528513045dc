#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include <sluice/base/result.h>

namespace sluice::series {

/// What the values of a column are. The numbers are part of the format.
enum class ColumnType : std::uint8_t {
  kDouble = 0,
  kInt64 = 1,
  kBool = 2,
  kString = 3,
  kBytes = 4
};

std::string_view to_string(ColumnType type);

/// What a chunk may be at most. A reader refuses more before it takes memory for it.
struct ChunkLimits {
  /// An hour at 290 Hz; bounds one decoded column to 8 MiB (texts to 16 MiB of views).
  std::size_t rows = std::size_t{1} << 20;
  std::size_t columns = 1024;
  std::size_t key_bytes = 255;
  /// Of one string or bytes value.
  std::size_t text_bytes = 64 * 1024;
  /// Of the whole encoded chunk.
  std::size_t chunk_bytes = 64 * 1024 * 1024;
};

/// One metric of a chunk to be encoded: views that must outlive the call, nothing is copied.
struct Column {
  /// What the caller knows the metric by: a name, or an id as bytes. At most 255 bytes. Two columns
  /// of one key must differ in type (a metric that changed its type within the window).
  std::string_view key;
  ColumnType type = ColumnType::kDouble;
  /// The values of the rows that have one, in their order; only the span of `type` is looked at.
  std::span<const double> doubles = {};
  std::span<const std::int64_t> integers = {};
  std::span<const std::uint8_t> booleans = {};  // 0 or 1
  std::span<const std::string_view> texts = {};
  /// One byte per row, 1 where the row has a value; empty: every row has one.
  std::span<const std::uint8_t> present = {};

  static Column of(std::string_view key, std::span<const double> values,
                   std::span<const std::uint8_t> present = {}) {
    return {.key = key, .type = ColumnType::kDouble, .doubles = values, .present = present};
  }
  static Column of(std::string_view key, std::span<const std::int64_t> values,
                   std::span<const std::uint8_t> present = {}) {
    return {.key = key, .type = ColumnType::kInt64, .integers = values, .present = present};
  }
  static Column of_bools(std::string_view key, std::span<const std::uint8_t> values,
                         std::span<const std::uint8_t> present = {}) {
    return {.key = key, .type = ColumnType::kBool, .booleans = values, .present = present};
  }
  static Column of_texts(std::string_view key, ColumnType type,
                         std::span<const std::string_view> values,
                         std::span<const std::uint8_t> present = {}) {
    return {.key = key, .type = type, .texts = values, .present = present};
  }
};

/// What lets a query skip a column without decoding it. Over the finite values of a kDouble column
/// or all of a kInt64 column (as doubles: integers past 2^53 are rounded).
struct ColumnStatistics {
  double min = 0;
  double max = 0;
  double sum = 0;
  /// How many values went in; 0 leaves the others 0.
  std::uint64_t count = 0;

  bool operator==(const ColumnStatistics&) const = default;
};

/// Gives the column of an index, for who would rather not lay out all of them at once. What it
/// shows is looked at before the next one is asked for; its key must outlive the call of encode().
using ColumnSource = std::function<Column(std::size_t index)>;

struct ChunkOptions {
  /// Adds ColumnStatistics to number columns, about 25 bytes each; off because roll-ups have them.
  bool with_statistics = false;
};

/// Writes chunks: one device, one window, timestamps that all columns share. The bytes depend on
/// the input alone, not on the machine. Keeps its scratch memory from chunk to chunk, hence one per
/// thread.
class ChunkEncoder {
 public:
  explicit ChunkEncoder(const ChunkLimits& limits = {}, ChunkOptions options = {});
  ~ChunkEncoder();
  ChunkEncoder(ChunkEncoder&&) noexcept;
  ChunkEncoder& operator=(ChunkEncoder&&) noexcept;

  /// Appends one chunk to `out`. `timestamps` are milliseconds since 1970, strictly rising, at
  /// least one. kInvalidArgument or kOutOfRange names the column and the limit; `out` is then as
  /// before.
  [[nodiscard]] Result<void> encode(std::span<const std::int64_t> timestamps,
                                    std::span<const Column> columns, std::vector<std::byte>& out);
  /// The same, one column after the other: what is laid out for it is never more than one.
  [[nodiscard]] Result<void> encode(std::span<const std::int64_t> timestamps,
                                    std::size_t column_count, const ColumnSource& column_at,
                                    std::vector<std::byte>& out);

 private:
  struct Scratch;

  Result<void> append(std::span<const std::int64_t> timestamps, std::size_t column_count,
                      const ColumnSource& column_at, std::vector<std::byte>& out);
  void put_column(const Column& column, std::vector<std::byte>& out);

  ChunkLimits limits_;
  ChunkOptions options_;
  std::unique_ptr<Scratch> scratch_;
};

/// For a chunk now and then; who writes many keeps a ChunkEncoder.
[[nodiscard]] Result<std::vector<std::byte>> encode_chunk(std::span<const std::int64_t> timestamps,
                                                          std::span<const Column> columns,
                                                          const ChunkLimits& limits = {},
                                                          ChunkOptions options = {});

}  // namespace sluice::series
