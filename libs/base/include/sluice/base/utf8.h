#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace sluice {

/// Size of the well-formed UTF-8 sequence at the front of `text` (Unicode's table 3-7: no overlong
/// forms, no surrogates, nothing above U+10FFFF); 0 when there is none or `text` is empty.
std::size_t utf8_sequence_size(std::string_view text);

bool is_valid_utf8(std::string_view text);

/// `text` with U+FFFD for each byte that is not part of a well-formed sequence.
std::string replace_invalid_utf8(std::string_view text);

}  // namespace sluice
