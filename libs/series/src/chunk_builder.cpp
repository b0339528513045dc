#include <sluice/series/chunk_builder.h>

#include <algorithm>
#include <bit>
#include <format>
#include <numeric>
#include <utility>

#include <sluice/base/check.h>

namespace sluice::series {

/// The values of one column as the encoder takes them.
struct ChunkBuilder::Laid {
  std::vector<std::uint8_t> present;
  std::vector<double> doubles;
  std::vector<std::int64_t> integers;
  std::vector<std::uint8_t> booleans;
  std::vector<std::string_view> texts;

  Column as_column(std::string_view key, ColumnType type) const {
    return {key, type, doubles, integers, booleans, texts, present};
  }
};

ChunkBuilder::ChunkBuilder(const ChunkLimits& limits, ChunkOptions options)
    : limits_(limits), encoder_(limits, options) {}

Result<ColumnHandle> ChunkBuilder::column(std::string_view key, ColumnType type) {
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    if (columns_[i].type == type && columns_[i].key == key) {
      return ColumnHandle{static_cast<std::uint32_t>(i)};
    }
  }
  if (key.size() > limits_.key_bytes) {
    return fail(ErrorCode::kOutOfRange,
                std::format("a column's key of {} bytes, over {}", key.size(), limits_.key_bytes));
  }
  if (columns_.size() >= limits_.columns) {
    return fail(ErrorCode::kOutOfRange, std::format("more than {} columns", limits_.columns));
  }
  columns_.push_back({.key = std::string(key), .type = type, .timestamps = {}, .bits = {}});
  return ColumnHandle{static_cast<std::uint32_t>(columns_.size() - 1)};
}

void ChunkBuilder::append(ColumnHandle handle, std::int64_t timestamp, std::uint64_t bits) {
  Gathered& column = columns_[handle.index];
  if (!column.timestamps.empty() && timestamp <= column.timestamps.back()) column.is_sorted = false;
  column.timestamps.push_back(timestamp);
  column.bits.push_back(bits);
  ++sample_count_;
}

void ChunkBuilder::add(ColumnHandle column, std::int64_t timestamp, double value) {
  SLUICE_CHECK(columns_[column.index].type == ColumnType::kDouble);
  append(column, timestamp, std::bit_cast<std::uint64_t>(value));
}

void ChunkBuilder::add(ColumnHandle column, std::int64_t timestamp, std::int64_t value) {
  SLUICE_CHECK(columns_[column.index].type == ColumnType::kInt64);
  append(column, timestamp, static_cast<std::uint64_t>(value));
}

void ChunkBuilder::add(ColumnHandle column, std::int64_t timestamp, bool value) {
  SLUICE_CHECK(columns_[column.index].type == ColumnType::kBool);
  append(column, timestamp, value ? 1 : 0);
}

void ChunkBuilder::add(ColumnHandle column, std::int64_t timestamp, std::string_view value) {
  const ColumnType type = columns_[column.index].type;
  SLUICE_CHECK(type == ColumnType::kString || type == ColumnType::kBytes);
  texts_.emplace_back(value);
  append(column, timestamp, texts_.size() - 1);
}

Result<void> ChunkBuilder::load(const ChunkReader& chunk) {
  Samples samples;
  for (std::size_t i = 0; i < chunk.column_count(); ++i) {
    SLUICE_TRY_ASSIGN(const ColumnHandle handle, column(chunk.column(i).key, chunk.column(i).type));
    SLUICE_TRY(chunk.samples(i, {}, samples));
    for (std::size_t row = 0; row < samples.timestamps.size(); ++row) {
      const std::int64_t timestamp = samples.timestamps[row];
      switch (samples.values.type) {
        case ColumnType::kDouble:
          add(handle, timestamp, samples.values.doubles[row]);
          break;
        case ColumnType::kInt64:
          add(handle, timestamp, samples.values.integers[row]);
          break;
        case ColumnType::kBool:
          add(handle, timestamp, samples.values.booleans[row] != 0);
          break;
        case ColumnType::kString:
        case ColumnType::kBytes:
          add(handle, timestamp, samples.values.texts[row]);
          break;
      }
    }
  }
  return {};
}

void ChunkBuilder::sort_and_override(Gathered& column) {
  if (column.is_sorted) return;
  const std::size_t count = column.timestamps.size();
  std::vector<std::size_t> order(count);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::sort(order, {}, [&](std::size_t i) { return std::pair(column.timestamps[i], i); });
  std::vector<std::int64_t> timestamps;
  std::vector<std::uint64_t> bits;
  timestamps.reserve(count);
  bits.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    const std::int64_t timestamp = column.timestamps[order[i]];
    // Of one time the last one added stands last.
    if (i + 1 < count && column.timestamps[order[i + 1]] == timestamp) continue;
    timestamps.push_back(timestamp);
    bits.push_back(column.bits[order[i]]);
  }
  column.timestamps = std::move(timestamps);
  column.bits = std::move(bits);
  column.is_sorted = true;
}

std::vector<std::int64_t> ChunkBuilder::all_timestamps() const {
  std::vector<std::int64_t> all;
  for (const Gathered& column : columns_) {
    // Most often every column has the same ones.
    if (all == column.timestamps) continue;
    if (all.empty()) {
      all = column.timestamps;
      continue;
    }
    std::vector<std::int64_t> both;
    both.reserve(all.size() + column.timestamps.size());
    std::ranges::set_union(all, column.timestamps, std::back_inserter(both));
    all = std::move(both);
  }
  return all;
}

ChunkBuilder::Laid ChunkBuilder::lay_out(const Gathered& column,
                                         std::span<const std::int64_t> rows) const {
  Laid laid;
  if (column.timestamps.size() != rows.size()) {
    laid.present.resize(rows.size());
    std::size_t next = 0;
    for (std::size_t row = 0; row < rows.size() && next < column.timestamps.size(); ++row) {
      if (rows[row] != column.timestamps[next]) continue;
      laid.present[row] = 1;
      ++next;
    }
  }
  for (const std::uint64_t bits : column.bits) {
    switch (column.type) {
      case ColumnType::kDouble:
        laid.doubles.push_back(std::bit_cast<double>(bits));
        break;
      case ColumnType::kInt64:
        laid.integers.push_back(static_cast<std::int64_t>(bits));
        break;
      case ColumnType::kBool:
        laid.booleans.push_back(static_cast<std::uint8_t>(bits));
        break;
      case ColumnType::kString:
      case ColumnType::kBytes:
        laid.texts.push_back(texts_[static_cast<std::size_t>(bits)]);
        break;
    }
  }
  return laid;
}

Result<void> ChunkBuilder::build(std::vector<std::byte>& out) {
  for (Gathered& column : columns_) sort_and_override(column);
  const std::vector<std::int64_t> rows = all_timestamps();
  if (rows.empty()) return fail(ErrorCode::kFailedPrecondition, "no sample to make a chunk of");

  std::vector<std::size_t> order(columns_.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::sort(order, {}, [&](std::size_t i) {
    return std::pair(std::string_view(columns_[i].key), columns_[i].type);
  });
  std::vector<Laid> laid;
  std::vector<Column> views;
  laid.reserve(columns_.size());  // the views are of what lies in it
  for (const std::size_t i : order) {
    if (columns_[i].timestamps.empty()) continue;
    laid.push_back(lay_out(columns_[i], rows));
    views.push_back(laid.back().as_column(columns_[i].key, columns_[i].type));
  }
  return encoder_.encode(rows, views, out);
}

void ChunkBuilder::clear() {
  columns_.clear();
  texts_.clear();
  sample_count_ = 0;
}

Result<void> merge_chunks(std::span<const std::span<const std::byte>> oldest_first,
                          std::vector<std::byte>& out, const ChunkLimits& limits) {
  ChunkBuilder builder(limits);
  for (const auto chunk : oldest_first) {
    SLUICE_TRY_ASSIGN(const ChunkReader reader, ChunkReader::open(chunk, limits));
    SLUICE_TRY(builder.load(reader));
  }
  return builder.build(out);
}

}  // namespace sluice::series
