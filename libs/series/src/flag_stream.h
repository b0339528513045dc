#pragma once

#include "bytes.h"
#include "int_stream.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace sluice::series {

/// Flags, one byte each with 0 or 1, as runs or as bits, whichever is shorter: the values of a bool
/// column, and which rows of a column have a value. At least one.
void encode_flags(std::span<const std::uint8_t> flags, Bytes& out, IntScratch& scratch);

/// Exactly `out.size()` of them. The cursor fails when they are not there.
void decode_flags(Cursor& cursor, std::span<std::uint8_t> out);

std::string_view flag_codec_name(unsigned codec);

}  // namespace sluice::series
