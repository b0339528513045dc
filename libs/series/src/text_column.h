#pragma once

#include "bytes.h"
#include "int_stream.h"

#include <cstdint>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace sluice::series {

struct TextScratch {
  std::unordered_map<std::string_view, std::uint64_t> ids;
  std::vector<std::string_view> distinct;
  std::vector<std::uint64_t> numbers;
  IntScratch integers;
};

/// Texts one after the other, or each distinct one once and ids. At least one.
void encode_texts(std::span<const std::string_view> texts, Bytes& out, TextScratch& scratch);

/// Exactly `out.size()` of them, as views into the cursor's bytes, none longer than `limit`. The
/// cursor fails when they are not there.
void decode_texts(Cursor& cursor, std::size_t limit, std::span<std::string_view> out);

std::string_view text_codec_name(unsigned codec);

}  // namespace sluice::series
