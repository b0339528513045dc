#pragma once

#include "bytes.h"

#include <cstddef>
#include <cstdint>
#include <span>

namespace sluice::series {

// Doubles as in the Gorilla paper (Pelkonen et al., 2015, 4.1.2): each as the bits that differ from
// the one before. The bits of a byte are used from the highest on.

/// How many bytes encode_xor() would write.
std::size_t xor_size(std::span<const std::uint64_t> values);

void encode_xor(std::span<const std::uint64_t> values, Bytes& out);

/// Exactly `out.size()` of them, and all bytes but the padding of the last: the stream ends where
/// the cursor does. The cursor fails otherwise.
void decode_xor(Cursor& cursor, std::span<std::uint64_t> out);

}  // namespace sluice::series
