// Bytes that claim to be a sketch or a roll-up: what is accepted has one spelling, and merges.

#include "../fuzz.h"

#include <cmath>
#include <vector>

#include <sluice/series/rollup.h>

namespace sluice::series {
namespace {

void read(std::span<const std::byte> bytes) {
  std::vector<std::byte> again;
  if (auto sketch = QuantileSketch::decode(bytes)) {
    sketch->encode(again);
    SLUICE_CHECK(std::equal(again.begin(), again.end(), bytes.begin(), bytes.end()));
    SLUICE_CHECK(sketch->quantile(0.5).has_value() == !sketch->is_empty());
    QuantileSketch twice = *sketch;
    twice.merge(*sketch);
    SLUICE_CHECK(twice.bucket_count() == sketch->bucket_count());
  }
  if (auto rollup = Rollup::decode(bytes)) {
    again.clear();
    rollup->encode(again);
    std::vector<std::byte> third;
    const auto second = Rollup::decode(again);
    SLUICE_CHECK(second.has_value());
    second->encode(third);
    SLUICE_CHECK(again == third);
    if (const auto median = rollup->quantile(0.5)) {
      SLUICE_CHECK(*median >= rollup->min() && *median <= rollup->max());
    }
    rollup->merge(*second);
    SLUICE_CHECK(rollup->max() == second->max() && rollup->first() == second->first());
  }
}

}  // namespace
}  // namespace sluice::series

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  sluice::series::read(sluice::fuzz::as_bytes(data, size));
  return 0;
}
