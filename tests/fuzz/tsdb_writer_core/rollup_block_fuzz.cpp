// Bytes that claim to be a block of roll-ups: whatever they are, what is read keeps to the limits,
// and a block that can be read can be written again.

#include "../fuzz.h"
#include "core/rollup/rollup_block.h"

#include <span>
#include <vector>

namespace sluice::tsdb {
namespace {

void read(std::span<const std::byte> bytes) {
  const auto reader = RollupBlockReader::open(bytes);
  if (!reader) return;
  SLUICE_CHECK(!reader->metrics().empty());
  SLUICE_CHECK(reader->metrics().size() <= kChunkLimits.columns);
  const auto block = reader->read_all();
  if (!block || block->empty()) return;
  for (const auto& [place, rollup] : *block) {
    SLUICE_CHECK(place.first.value() > 0);
    SLUICE_CHECK(place.second < RollupBlockReader::kMaxBuckets);
  }
  std::vector<std::byte> once;
  encode_rollup_block(*block, once);
  const auto again = RollupBlockReader::open(once);
  SLUICE_CHECK(again.has_value());
  std::vector<std::byte> twice;
  encode_rollup_block(again->read_all().value(), twice);
  SLUICE_CHECK(once == twice);
}

}  // namespace
}  // namespace sluice::tsdb

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  sluice::tsdb::read(std::as_bytes(std::span(data, size)));
  return 0;
}
