#pragma once

#include <string>
#include <string_view>

#include <sluice/log/logger.h>

namespace sluice::log_detail {

/// Appends `text` as a JSON string, quotes included. Whatever the bytes are, the result is valid
/// JSON: control characters are escaped, each byte that is not part of well-formed UTF-8 becomes
/// U+FFFD. Text longer than `limit` bytes is cut before the character that would pass it, and ends
/// in "…".
void append_json_string(std::string& out, std::string_view text, std::size_t limit);

/// Appends a number, a boolean or a text as JSON. What JSON has no number for becomes a text.
void append_json_value(std::string& out, const LogField::Value& value);

}  // namespace sluice::log_detail
