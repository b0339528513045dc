#pragma once

#include "bytes.h"

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

namespace sluice::series {

/// Values that share a width and a base: enough that the two bytes of those weigh nothing, few
/// enough that one noisy stretch does not cost the others.
constexpr std::size_t kBlock = 128;

inline unsigned width_of(std::uint64_t range) {
  return static_cast<unsigned>(std::bit_width(range));
}

/// Integers in blocks, each in as many bits as its range needs, or in fewer and its outliers apart.
void put_blocks(std::span<const std::uint64_t> values, Bytes& out);

/// Exactly `out.size()` of them. The cursor fails when they are not there.
void get_blocks(Cursor& cursor, std::span<std::uint64_t> out);

}  // namespace sluice::series
