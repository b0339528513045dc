// Values of any bits into a chunk and back: nothing may be lost, whatever codec is picked.

#include "../fuzz.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <vector>

#include <sluice/series/chunk_reader.h>

namespace sluice::series {
namespace {

/// What a byte of the input makes of the value before: repeats, steps, decimals, any bits.
std::uint64_t next_bits(fuzz::Choices& choices, std::uint64_t last) {
  const auto number = [&] { return static_cast<double>(choices.byte()); };
  switch (choices.below(6)) {
    case 0:
      return last;
    case 1:
      return last + choices.byte();
    case 2:
      return last ^ (std::uint64_t{choices.byte()} << choices.below(57));
    case 3:
      return std::bit_cast<std::uint64_t>(number() / 10 - 12);
    case 4:
      return std::bit_cast<std::uint64_t>(static_cast<double>(static_cast<float>(number() / 100)));
    default: {
      std::uint64_t bits = 0;
      for (int i = 0; i < 8; ++i) bits = bits << 8 | choices.byte();
      return bits;
    }
  }
}

void round_trip(fuzz::Choices choices) {
  std::vector<std::int64_t> timestamps;
  std::vector<std::int64_t> integers;
  std::vector<double> doubles;
  std::uint64_t bits = 0;
  while (!choices.at_end() && timestamps.size() < 1000) {
    const unsigned step = choices.byte();
    timestamps.push_back((timestamps.empty() ? 0 : timestamps.back()) + 1000 +
                         (step > 128 ? step : 0));
    bits = next_bits(choices, bits);
    doubles.push_back(std::bit_cast<double>(bits));
    integers.push_back(static_cast<std::int64_t>(bits));
  }
  if (timestamps.empty()) return;
  const std::vector<Column> columns = {Column::of("d", std::span<const double>(doubles)),
                                       Column::of("i", std::span<const std::int64_t>(integers))};
  const auto chunk = encode_chunk(timestamps, columns);
  SLUICE_CHECK(chunk.has_value());
  const auto reader = ChunkReader::open(*chunk);
  Samples samples;
  SLUICE_CHECK(reader && reader->samples(1, {}, samples));
  SLUICE_CHECK(samples.timestamps == timestamps && samples.values.integers == integers);
  SLUICE_CHECK(reader->samples(0, {}, samples) && samples.values.doubles.size() == doubles.size());
  SLUICE_CHECK(std::memcmp(samples.values.doubles.data(), doubles.data(), doubles.size() * 8) == 0);
}

}  // namespace
}  // namespace sluice::series

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  sluice::series::round_trip(sluice::fuzz::Choices(data, size));
  return 0;
}
