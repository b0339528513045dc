#include <sluice/series/chunk.h>

#include "chunk_format.h"
#include "decimal.h"
#include "double_column.h"
#include "flag_stream.h"
#include "int_stream.h"
#include "text_column.h"

#include <algorithm>
#include <cmath>
#include <format>
#include <string>
#include <utility>

namespace sluice::series {

struct ChunkEncoder::Scratch {
  DoubleScratch doubles;
  TextScratch texts;
  IntScratch integers;
  Bytes body;
  Bytes part;
  std::vector<std::pair<std::string_view, ColumnType>> keys;
};

namespace {

std::size_t value_count(const Column& column) {
  switch (column.type) {
    case ColumnType::kDouble:
      return column.doubles.size();
    case ColumnType::kInt64:
      return column.integers.size();
    case ColumnType::kBool:
      return column.booleans.size();
    case ColumnType::kString:
    case ColumnType::kBytes:
      return column.texts.size();
  }
  return 0;
}

Result<void> check_timestamps(std::span<const std::int64_t> timestamps, const ChunkLimits& limits) {
  if (timestamps.empty()) return fail(ErrorCode::kInvalidArgument, "a chunk has one row at least");
  if (timestamps.size() > limits.rows) {
    return fail(ErrorCode::kOutOfRange, std::format("{} rows, of which a chunk has {} at most",
                                                    timestamps.size(), limits.rows));
  }
  for (std::size_t i = 1; i < timestamps.size(); ++i) {
    if (timestamps[i] > timestamps[i - 1]) continue;
    return fail(ErrorCode::kInvalidArgument,
                std::format("timestamp {} of row {} does not rise", timestamps[i], i));
  }
  return {};
}

Result<void> check_column(const Column& column, std::size_t rows, const ChunkLimits& limits) {
  const auto refuse = [&](ErrorCode code, std::string_view why) {
    return fail(code, std::format("column '{}': {}", column.key, why));
  };
  if (column.key.size() > limits.key_bytes) {
    return fail(ErrorCode::kOutOfRange, std::format("a column's key of {} bytes, over {}",
                                                    column.key.size(), limits.key_bytes));
  }
  if (column.type > ColumnType::kBytes) return refuse(ErrorCode::kInvalidArgument, "unknown type");
  if (!column.present.empty() && column.present.size() != rows) {
    return refuse(ErrorCode::kInvalidArgument, "presence must have a byte for every row");
  }
  const auto present =
      column.present.empty()
          ? rows
          : static_cast<std::size_t>(std::count_if(column.present.begin(), column.present.end(),
                                                   [](std::uint8_t flag) { return flag != 0; }));
  if (value_count(column) != present || present == 0) {
    return refuse(ErrorCode::kInvalidArgument,
                  std::format("{} values for {} rows that have one (at least one must)",
                              value_count(column), present));
  }
  for (const std::string_view text : column.texts) {
    if (text.size() > limits.text_bytes) {
      return refuse(ErrorCode::kOutOfRange,
                    std::format("a value of {} bytes, over {}", text.size(), limits.text_bytes));
    }
  }
  return {};
}

Result<void> check_size(std::size_t size, const ChunkLimits& limits) {
  if (size <= limits.chunk_bytes) return {};
  return fail(ErrorCode::kOutOfRange,
              std::format("a chunk of {} bytes, over {}", size, limits.chunk_bytes));
}

ColumnStatistics statistics_of(const Column& column) {
  ColumnStatistics all;
  const auto see = [&all](double value) {
    all.min = all.count == 0 ? value : std::min(all.min, value);
    all.max = all.count == 0 ? value : std::max(all.max, value);
    all.sum += value;
    ++all.count;
  };
  for (const std::int64_t value : column.integers) see(static_cast<double>(value));
  for (const double value : column.doubles) {
    if (std::isfinite(value)) see(value);
  }
  return all;
}

void put_statistics(Bytes& out, const ColumnStatistics& statistics) {
  put_varint(out, statistics.count);
  if (statistics.count == 0) return;
  put_double(out, statistics.min);
  put_double(out, statistics.max);
  put_double(out, statistics.sum);
}

}  // namespace

std::string_view to_string(ColumnType type) {
  switch (type) {
    case ColumnType::kDouble:
      return "double";
    case ColumnType::kInt64:
      return "int64";
    case ColumnType::kBool:
      return "bool";
    case ColumnType::kString:
      return "string";
    case ColumnType::kBytes:
      return "bytes";
  }
  return "unknown";
}

ChunkEncoder::ChunkEncoder(const ChunkLimits& limits, ChunkOptions options)
    : limits_(limits), options_(options), scratch_(std::make_unique<Scratch>()) {}
ChunkEncoder::~ChunkEncoder() = default;
ChunkEncoder::ChunkEncoder(ChunkEncoder&&) noexcept = default;
ChunkEncoder& ChunkEncoder::operator=(ChunkEncoder&&) noexcept = default;

void ChunkEncoder::put_column(const Column& column, std::vector<std::byte>& out) {
  Scratch& scratch = *scratch_;
  const bool is_dense = std::find(column.present.begin(), column.present.end(), std::uint8_t{0}) ==
                        column.present.end();
  const bool is_number = column.type == ColumnType::kDouble || column.type == ColumnType::kInt64;
  const bool has_statistics = options_.with_statistics && is_number;

  Bytes& body = scratch.body;
  body.clear();
  if (has_statistics) put_statistics(body, statistics_of(column));
  if (!is_dense) {
    scratch.part.clear();
    encode_flags(column.present, scratch.part, scratch.integers);
    put_varint(body, value_count(column));
    put_varint(body, scratch.part.size());
    put_bytes(body, scratch.part);
  }
  switch (column.type) {
    case ColumnType::kDouble:
      encode_doubles(column.doubles, body, scratch.doubles);
      break;
    case ColumnType::kInt64:
      encode_integers(as_unsigned(column.integers), body, scratch.integers);
      break;
    case ColumnType::kBool:
      encode_flags(column.booleans, body, scratch.integers);
      break;
    case ColumnType::kString:
    case ColumnType::kBytes:
      encode_texts(column.texts, body, scratch.texts);
      break;
  }
  put_varint(out, column.key.size());
  put_text(out, column.key);
  put_byte(out, static_cast<unsigned>(column.type) | (is_dense ? 0 : kHasPresence) |
                    (has_statistics ? kHasStatistics : 0));
  put_varint(out, body.size());
  put_bytes(out, body);
}

Result<void> ChunkEncoder::append(std::span<const std::int64_t> timestamps,
                                  std::size_t column_count, const ColumnSource& column_at,
                                  std::vector<std::byte>& out) {
  SLUICE_TRY(check_timestamps(timestamps, limits_));
  if (column_count > limits_.columns) {
    return fail(ErrorCode::kOutOfRange, std::format("{} columns, of which a chunk has {} at most",
                                                    column_count, limits_.columns));
  }
  const std::size_t start = out.size();
  put_byte(out, kMagic);
  put_byte(out, kVersion);
  put_varint(out, timestamps.size());
  put_varint(out, column_count);
  scratch_->part.clear();
  encode_integers(as_unsigned(timestamps), scratch_->part, scratch_->integers);
  put_varint(out, scratch_->part.size());
  put_bytes(out, scratch_->part);
  SLUICE_TRY(check_size(out.size() - start, limits_));
  auto& keys = scratch_->keys;
  keys.clear();
  for (std::size_t i = 0; i < column_count; ++i) {
    const Column column = column_at(i);
    SLUICE_TRY(check_column(column, timestamps.size(), limits_));
    keys.emplace_back(column.key, column.type);
    put_column(column, out);
    SLUICE_TRY(check_size(out.size() - start, limits_));
  }
  std::sort(keys.begin(), keys.end());
  const auto twice = std::adjacent_find(keys.begin(), keys.end());
  if (twice != keys.end()) {
    return fail(ErrorCode::kInvalidArgument,
                std::format("column '{}': twice with one type", twice->first));
  }
  return {};
}

Result<void> ChunkEncoder::encode(std::span<const std::int64_t> timestamps,
                                  std::size_t column_count, const ColumnSource& column_at,
                                  std::vector<std::byte>& out) {
  const std::size_t start = out.size();
  auto appended = append(timestamps, column_count, column_at, out);
  if (!appended) out.resize(start);
  return appended;
}

Result<void> ChunkEncoder::encode(std::span<const std::int64_t> timestamps,
                                  std::span<const Column> columns, std::vector<std::byte>& out) {
  return encode(timestamps, columns.size(), [&](std::size_t i) { return columns[i]; }, out);
}

Result<std::vector<std::byte>> encode_chunk(std::span<const std::int64_t> timestamps,
                                            std::span<const Column> columns,
                                            const ChunkLimits& limits, ChunkOptions options) {
  std::vector<std::byte> out;
  SLUICE_TRY(ChunkEncoder(limits, options).encode(timestamps, columns, out));
  return out;
}

}  // namespace sluice::series
