#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/base/result.h>
#include <sluice/series/chunk.h>
#include <sluice/series/chunk_reader.h>

namespace sluice::series {

/// Which column of one builder; worth nothing after clear().
struct ColumnHandle {
  std::uint32_t index = 0;
};

/// Gathers samples in any order and makes a chunk of them. Of two samples of one column and one
/// timestamp the one added later wins: late rows are merged by load()ing the old chunk and adding
/// them. One thread.
class ChunkBuilder {
 public:
  explicit ChunkBuilder(const ChunkLimits& limits = {}, ChunkOptions options = {});

  /// The column of that key and type, made on first use. kOutOfRange past the limits.
  [[nodiscard]] Result<ColumnHandle> column(std::string_view key, ColumnType type);

  /// The handle must be of the value's type (a bug otherwise); texts are copied.
  void add(ColumnHandle column, std::int64_t timestamp, double value);
  void add(ColumnHandle column, std::int64_t timestamp, std::int64_t value);
  void add(ColumnHandle column, std::int64_t timestamp, bool value);
  void add(ColumnHandle column, std::int64_t timestamp, std::string_view value);
  void add(ColumnHandle column, std::int64_t timestamp, const char* value) = delete;

  /// Adds every sample of a chunk, so that what is added after it overrides it.
  [[nodiscard]] Result<void> load(const ChunkReader& chunk);

  /// Samples added, overridden ones included; 16 bytes each, texts beside that.
  std::size_t sample_count() const { return sample_count_; }

  /// Appends the chunk to `out`. Columns without samples are left out; no sample at all is
  /// kFailedPrecondition, more rows than the limits let kOutOfRange, found out before anything is
  /// laid out. Beside what is gathered it takes memory for the rows and for one column.
  /// The builder keeps what it holds, in any case. Columns are in the order of
  /// key and type, hence equal samples make equal bytes, in whatever order they came.
  [[nodiscard]] Result<void> build(std::vector<std::byte>& out);

  void clear();

 private:
  struct Gathered {
    std::string key;
    ColumnType type = ColumnType::kDouble;
    /// Beside each other: time, and the value's bits (a double's, an integer's, a text's index).
    std::vector<std::int64_t> timestamps;
    std::vector<std::uint64_t> bits;
    bool is_sorted = true;
  };
  struct Laid;

  void append(ColumnHandle column, std::int64_t timestamp, std::uint64_t bits);
  static void sort_and_override(Gathered& column);
  Result<std::vector<std::int64_t>> all_timestamps() const;
  void lay_out(const Gathered& column, std::span<const std::int64_t> rows, Laid& laid) const;

  ChunkLimits limits_;
  ChunkEncoder encoder_;
  std::vector<Gathered> columns_;
  /// A deque: views of its strings stay true while it grows.
  std::deque<std::string> texts_;
  std::size_t sample_count_ = 0;
};

/// The union of chunks, oldest first: where two have a sample of one column and time, the later
/// one's value stays. Appends to `out`.
[[nodiscard]] Result<void> merge_chunks(std::span<const std::span<const std::byte>> oldest_first,
                                        std::vector<std::byte>& out,
                                        const ChunkLimits& limits = {});

}  // namespace sluice::series
