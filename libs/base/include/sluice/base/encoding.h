#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace sluice {

std::string to_hex(std::string_view bytes);
/// 0 to 15; -1 for what is no hexadecimal digit.
int hex_value(char c);
std::optional<std::string> from_hex(std::string_view text);

/// RFC 4648 section 5, without padding: for tokens, cursors, JWT.
std::string to_base64url(std::string_view bytes);
/// Refuses padding, white space and non-canonical endings, so that one value has one text.
std::optional<std::string> from_base64url(std::string_view text);

/// Equal or not in time that depends on the sizes alone: for secrets.
bool equal_constant_time(std::string_view a, std::string_view b);

}  // namespace sluice
