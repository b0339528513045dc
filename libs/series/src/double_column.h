#pragma once

#include "bytes.h"
#include "decimal.h"
#include "int_stream.h"

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace sluice::series {

struct DoubleScratch {
  Decimals decimals;
  std::vector<std::uint64_t> bits;
  Bytes candidate;
  IntScratch integers;
};

/// Doubles bit for bit, NaN payloads and -0.0 included, by the codec that makes them shortest. At
/// least one.
void encode_doubles(std::span<const double> values, Bytes& out, DoubleScratch& scratch);

/// Exactly `out.size()` of them; may use up the cursor. It fails when they are not there. `scratch`
/// is for integers on their way.
void decode_doubles(Cursor& cursor, std::span<double> out, std::vector<std::uint64_t>& scratch);

std::string_view double_codec_name(unsigned codec);

}  // namespace sluice::series
