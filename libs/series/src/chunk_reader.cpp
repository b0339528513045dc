#include <sluice/series/chunk_reader.h>

#include "chunk_format.h"
#include "decimal.h"
#include "double_column.h"
#include "flag_stream.h"
#include "int_stream.h"
#include "text_column.h"

#include <algorithm>
#include <format>
#include <string>

namespace sluice::series {
namespace {

std::unexpected<Error> broken(std::string_view what) {
  return fail(ErrorCode::kDataLoss, std::format("chunk: {}", what));
}

std::string_view codec_name(ColumnType type, std::span<const std::byte> payload) {
  const auto first = std::to_integer<unsigned>(payload.front());
  switch (type) {
    case ColumnType::kDouble:
      return double_codec_name(first);
    case ColumnType::kInt64:
      return integer_codec_name(first);
    case ColumnType::kBool:
      return flag_codec_name(first);
    case ColumnType::kString:
    case ColumnType::kBytes:
      return text_codec_name(first);
  }
  return "unknown";
}

ColumnStatistics get_statistics(Cursor& cursor) {
  ColumnStatistics statistics{.count = cursor.varint()};
  if (statistics.count == 0) return statistics;
  statistics.min = get_double(cursor);
  statistics.max = get_double(cursor);
  statistics.sum = get_double(cursor);
  return statistics;
}

/// Keeps the values of rows [begin, end): `values` holds those of the rows that have one.
template <typename T>
void keep_range(std::vector<T>& values, std::size_t begin, std::size_t end) {
  if (values.empty()) return;
  values.erase(values.begin() + static_cast<std::ptrdiff_t>(end), values.end());
  values.erase(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(begin));
}

}  // namespace

std::size_t ColumnValues::size() const {
  switch (type) {
    case ColumnType::kDouble:
      return doubles.size();
    case ColumnType::kInt64:
      return integers.size();
    case ColumnType::kBool:
      return booleans.size();
    case ColumnType::kString:
    case ColumnType::kBytes:
      return texts.size();
  }
  return 0;
}

void ColumnValues::clear() {
  doubles.clear();
  integers.clear();
  booleans.clear();
  texts.clear();
}

Result<void> ChunkReader::read_column(Cursor& cursor, const ChunkLimits& limits) {
  Entry entry;
  const auto key = cursor.take(cursor.varint());
  entry.info.key = {reinterpret_cast<const char*>(key.data()), key.size()};
  const unsigned flags = cursor.byte();
  entry.info.type = static_cast<ColumnType>(flags & kTypeMask);
  entry.info.encoded_bytes = cursor.varint();
  Cursor body(cursor.take(entry.info.encoded_bytes));
  if (cursor.has_failed()) return broken("a column that does not end");
  if (key.size() > limits.key_bytes) return broken("a column's key over the limit");
  if (flags > kKnownFlags || entry.info.type > ColumnType::kBytes) {
    return broken("a column of an unknown type");
  }

  if ((flags & kHasStatistics) != 0) entry.info.statistics = get_statistics(body);
  entry.info.is_dense = (flags & kHasPresence) == 0;
  entry.info.value_count = row_count_;
  if (!entry.info.is_dense) {
    const std::uint64_t count = body.varint();
    if (count == 0 || count > row_count_) return broken("a column with more values than rows");
    entry.info.value_count = static_cast<std::size_t>(count);
    entry.presence = body.take(body.varint());
  }
  entry.payload = body.take(body.left());
  if (body.has_failed() || entry.payload.empty()) return broken("a column that is too short");
  if (entry.info.statistics && entry.info.statistics->count > entry.info.value_count) {
    return broken("statistics over more values than there are");
  }
  entry.info.codec = codec_name(entry.info.type, entry.payload);
  columns_.push_back(entry);
  return {};
}

Result<ChunkReader> ChunkReader::open(std::span<const std::byte> chunk, const ChunkLimits& limits) {
  if (chunk.size() > limits.chunk_bytes) return broken("larger than the limit");
  Cursor cursor(chunk);
  const unsigned magic = cursor.byte();
  const unsigned version = cursor.byte();
  if (cursor.has_failed() || magic != kMagic) return broken("not one");
  if (version != kVersion) return broken(std::format("version {} is unknown", version));
  const std::uint64_t rows = cursor.varint();
  const std::uint64_t columns = cursor.varint();
  if (rows > limits.rows || columns > limits.columns) {
    return broken(std::format("{} rows of {} columns, over the limit", rows, columns));
  }
  ChunkReader reader;
  reader.row_count_ = static_cast<std::size_t>(rows);
  reader.text_limit_ = limits.text_bytes;
  reader.timestamps_ = cursor.take(cursor.varint());
  if (cursor.has_failed() || rows == 0) return broken("a header that is too short");
  // A column takes four bytes at least: no memory for more than can be there.
  reader.columns_.reserve(std::min<std::size_t>(columns, cursor.left() / 4));
  for (std::uint64_t i = 0; i < columns; ++i) SLUICE_TRY(reader.read_column(cursor, limits));
  if (cursor.left() > 0) return broken("bytes after its end");
  return reader;
}

std::optional<std::size_t> ChunkReader::find(std::string_view key) const {
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    if (columns_[i].info.key == key) return i;
  }
  return std::nullopt;
}

std::optional<std::size_t> ChunkReader::find(std::string_view key, ColumnType type) const {
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    if (columns_[i].info.key == key && columns_[i].info.type == type) return i;
  }
  return std::nullopt;
}

Result<void> ChunkReader::timestamps(std::vector<std::int64_t>& out) const {
  Cursor cursor(timestamps_);
  out.resize(row_count_);
  decode_integers(cursor, as_unsigned(std::span(out)));
  if (cursor.has_failed() || cursor.left() > 0) return broken("timestamps that are cut off");
  bool rises = true;
  for (std::size_t i = 1; i < out.size(); ++i) rises &= out[i] > out[i - 1];
  if (!rises) return broken("timestamps that do not rise");
  return {};
}

Result<void> ChunkReader::values(std::size_t index, ColumnValues& out) const {
  const Entry& entry = columns_[index];
  const std::size_t count = entry.info.value_count;
  Cursor cursor(entry.payload);
  out.clear();
  out.type = entry.info.type;
  switch (entry.info.type) {
    case ColumnType::kDouble:
      out.doubles.resize(count);
      decode_doubles(cursor, out.doubles, out.scratch);
      break;
    case ColumnType::kInt64:
      out.integers.resize(count);
      decode_integers(cursor, as_unsigned(std::span(out.integers)));
      break;
    case ColumnType::kBool:
      out.booleans.resize(count);
      decode_flags(cursor, out.booleans);
      break;
    case ColumnType::kString:
    case ColumnType::kBytes:
      out.texts.resize(count);
      decode_texts(cursor, text_limit_, out.texts);
      break;
  }
  if (cursor.has_failed() || cursor.left() > 0) {
    out.clear();
    return broken(std::format("column {}: values that are not {} of its codec", index, count));
  }
  return {};
}

Result<void> ChunkReader::presence(std::size_t index, std::vector<std::uint8_t>& out) const {
  const Entry& entry = columns_[index];
  out.assign(row_count_, 1);
  if (entry.info.is_dense) return {};
  Cursor cursor(entry.presence);
  decode_flags(cursor, out);
  const auto count = static_cast<std::size_t>(std::count(out.begin(), out.end(), std::uint8_t{1}));
  if (cursor.has_failed() || cursor.left() > 0 || count != entry.info.value_count) {
    return broken(std::format("column {}: presence that does not fit its values", index));
  }
  return {};
}

Result<void> ChunkReader::samples(std::size_t index, TimeRange range, Samples& out) const {
  SLUICE_TRY(timestamps(out.timestamps));
  SLUICE_TRY(values(index, out.values));
  if (!columns_[index].info.is_dense) {
    std::vector<std::uint8_t> present;
    SLUICE_TRY(presence(index, present));
    std::size_t kept = 0;
    for (std::size_t i = 0; i < present.size(); ++i) {
      if (present[i] != 0) out.timestamps[kept++] = out.timestamps[i];
    }
    out.timestamps.resize(kept);
  }
  const auto position = [&](std::int64_t timestamp) {
    return static_cast<std::size_t>(
        std::lower_bound(out.timestamps.begin(), out.timestamps.end(), timestamp) -
        out.timestamps.begin());
  };
  const std::size_t begin = position(range.from);
  const std::size_t end =
      std::max(begin, range.to == INT64_MAX ? out.timestamps.size() : position(range.to));
  keep_range(out.timestamps, begin, end);
  keep_range(out.values.doubles, begin, end);
  keep_range(out.values.integers, begin, end);
  keep_range(out.values.booleans, begin, end);
  keep_range(out.values.texts, begin, end);
  return {};
}

}  // namespace sluice::series
