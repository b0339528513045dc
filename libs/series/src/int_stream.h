#pragma once

#include "bytes.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace sluice::series {

/// What encode_integers() needs while it works; keeps its memory.
struct IntScratch {
  std::vector<std::uint64_t> residuals;
  std::vector<std::uint64_t> changed;
};

/// Integers as differences to what a simple rule foretells, in as few bits as each block of 128
/// needs: the stream that timestamps, integers, decimals, lengths and ids are all written in.
/// README.md has the bytes. Any 64-bit values, signed or not, at least one; arithmetic wraps.
void encode_integers(std::span<const std::uint64_t> values, Bytes& out, IntScratch& scratch);

/// Exactly `out.size()` of them. The cursor fails when they are not there.
void decode_integers(Cursor& cursor, std::span<std::uint64_t> out);

/// "constant", "delta" and so on, from a stream's first byte.
std::string_view integer_codec_name(unsigned mode);

inline std::span<const std::uint64_t> as_unsigned(std::span<const std::int64_t> values) {
  return {reinterpret_cast<const std::uint64_t*>(values.data()), values.size()};
}
inline std::span<std::uint64_t> as_unsigned(std::span<std::int64_t> values) {
  return {reinterpret_cast<std::uint64_t*>(values.data()), values.size()};
}

}  // namespace sluice::series
