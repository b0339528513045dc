#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sluice/base/result.h>

namespace sluice::http {

/// Decodes %XX once; nullopt when a '%' is not followed by two hex digits.
std::optional<std::string> percent_decode(std::string_view text, bool plus_is_space = false);

/// Splits and decodes "a=1&b=2". A name or value that is not UTF-8 or has control characters is an
/// error.
Result<std::vector<std::pair<std::string, std::string>>> parse_query(std::string_view query);

/// Whether any byte is below 0x20 or 0x7f.
bool has_control_characters(std::string_view text);

}  // namespace sluice::http
