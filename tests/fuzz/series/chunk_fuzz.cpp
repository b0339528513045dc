// Bytes that claim to be a chunk: whatever they are, what is decoded keeps to the limits, and a
// chunk that can be read can be written again, with the same samples.

#include "../fuzz.h"

#include <algorithm>
#include <bit>
#include <vector>

#include <sluice/series/chunk_builder.h>
#include <sluice/series/chunk_reader.h>

namespace sluice::series {
namespace {

/// Small enough for many runs a second, though a few bytes can claim many rows.
constexpr ChunkLimits kLimits{.rows = 4096, .columns = 16, .text_bytes = 1024};

bool same(const Samples& a, const Samples& b) {
  const auto bits = [](double value) { return std::bit_cast<std::uint64_t>(value); };
  return a.timestamps == b.timestamps && a.values.integers == b.values.integers &&
         a.values.booleans == b.values.booleans && a.values.texts == b.values.texts &&
         std::ranges::equal(a.values.doubles, b.values.doubles, {}, bits, bits);
}

/// Whether every column could be decoded.
bool read_all(const ChunkReader& reader, std::vector<Samples>& columns) {
  bool is_whole = true;
  std::vector<std::uint8_t> present;
  for (std::size_t i = 0; i < reader.column_count(); ++i) {
    Samples samples;
    if (!reader.samples(i, {}, samples)) {
      is_whole = false;
      continue;
    }
    SLUICE_CHECK(samples.timestamps.size() == reader.column(i).value_count);
    SLUICE_CHECK(samples.values.size() == reader.column(i).value_count);
    SLUICE_CHECK(reader.presence(i, present) && present.size() == reader.row_count());
    for (const std::string_view text : samples.values.texts) {
      SLUICE_CHECK(text.size() <= kLimits.text_bytes);
      if (!text.empty()) present.push_back(static_cast<std::uint8_t>(text.back()));
    }
    columns.push_back(std::move(samples));
  }
  return is_whole;
}

void read(std::span<const std::byte> bytes) {
  const auto reader = ChunkReader::open(bytes, kLimits);
  if (!reader) {
    SLUICE_CHECK(reader.error().code() == ErrorCode::kDataLoss);
    return;
  }
  SLUICE_CHECK(reader->row_count() <= kLimits.rows && reader->column_count() <= kLimits.columns);
  std::vector<Samples> columns;
  if (!read_all(*reader, columns) || columns.empty()) return;
  for (std::size_t i = 0; i < reader->column_count(); ++i) {
    // The builder would make one column of two that are one.
    if (reader->find(reader->column(i).key, reader->column(i).type) != i) return;
  }

  ChunkBuilder builder(kLimits);
  SLUICE_CHECK(builder.load(*reader).has_value());
  std::vector<std::byte> again;
  SLUICE_CHECK(builder.build(again).has_value());
  const auto second = ChunkReader::open(again, kLimits);
  SLUICE_CHECK(second.has_value());
  Samples samples;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    const auto at = second->find(reader->column(i).key, reader->column(i).type);
    SLUICE_CHECK(at && second->samples(*at, {}, samples) && same(samples, columns[i]));
  }
}

}  // namespace
}  // namespace sluice::series

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  sluice::series::read(sluice::fuzz::as_bytes(data, size));
  return 0;
}
