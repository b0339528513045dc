#include <sluice/series/chunk_builder.h>

#include <algorithm>
#include <bit>
#include <format>
#include <numeric>
#include <utility>

#include <sluice/base/check.h>

namespace sluice::series {

/// The values of one column as the encoder takes them; one after the other takes its memory.
struct ChunkBuilder::Laid {
  std::vector<std::uint8_t> present;
  std::vector<double> doubles;
  std::vector<std::int64_t> integers;
  std::vector<std::uint8_t> booleans;
  std::vector<std::string_view> texts;

  void clear() {
    present.clear();
    doubles.clear();
    integers.clear();
    booleans.clear();
    texts.clear();
  }
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

namespace {

/// The union of sorted lists of times, most often the same ones. Short lists wait until they are as
/// much as what is united: merging one by one would pass over all of it for each.
class TimeUnion {
 public:
  void add(std::span<const std::int64_t> times) {
    if (std::ranges::equal(times, all_)) return;
    if (times.size() >= all_.size() / kShort) return unite(times);
    waiting_.insert(waiting_.end(), times.begin(), times.end());
    if (waiting_.size() >= all_.size()) unite_waiting();
  }
  std::size_t united() const { return all_.size(); }
  std::vector<std::int64_t> take() {
    unite_waiting();
    return std::move(all_);
  }

 private:
  static constexpr std::size_t kShort = 8;

  void unite(std::span<const std::int64_t> times) {
    std::vector<std::int64_t> both;
    both.reserve(all_.size() + times.size());
    std::ranges::set_union(all_, times, std::back_inserter(both));
    all_ = std::move(both);
  }
  void unite_waiting() {
    if (waiting_.empty()) return;
    std::ranges::sort(waiting_);
    const auto repeated = std::ranges::unique(waiting_);
    waiting_.erase(repeated.begin(), repeated.end());
    unite(waiting_);
    waiting_.clear();
  }

  std::vector<std::int64_t> all_;
  std::vector<std::int64_t> waiting_;
};

std::unexpected<Error> too_many_rows(const ChunkLimits& limits) {
  return fail(ErrorCode::kOutOfRange,
              std::format("more rows than {}, of which a chunk has no more", limits.rows));
}

}  // namespace

/// kOutOfRange as soon as there are more than the limits let.
Result<std::vector<std::int64_t>> ChunkBuilder::all_timestamps() const {
  TimeUnion all;
  for (const Gathered& column : columns_) {
    all.add(column.timestamps);
    if (all.united() > limits_.rows) return too_many_rows(limits_);
  }
  std::vector<std::int64_t> times = all.take();
  if (times.size() > limits_.rows) return too_many_rows(limits_);
  return times;
}

void ChunkBuilder::lay_out(const Gathered& column, std::span<const std::int64_t> rows,
                           Laid& laid) const {
  laid.clear();
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
}

Result<void> ChunkBuilder::build(std::vector<std::byte>& out) {
  for (Gathered& column : columns_) sort_and_override(column);
  SLUICE_TRY_ASSIGN(const std::vector<std::int64_t> rows, all_timestamps());
  if (rows.empty()) return fail(ErrorCode::kFailedPrecondition, "no sample to make a chunk of");

  std::vector<const Gathered*> order;
  for (const Gathered& column : columns_) {
    if (!column.timestamps.empty()) order.push_back(&column);
  }
  std::ranges::sort(order, {}, [](const Gathered* column) {
    return std::pair(std::string_view(column->key), column->type);
  });
  Laid laid;
  const auto column_at = [&](std::size_t i) {
    lay_out(*order[i], rows, laid);
    return laid.as_column(order[i]->key, order[i]->type);
  };
  return encoder_.encode(rows, order.size(), column_at, out);
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
