#pragma once

#include <string_view>

/// How the text of header fields is compared and cut, for whoever reads them from a stream.
namespace sluice::http {

/// As field names and tokens are compared: ASCII letters alone have two cases.
bool equal_ignoring_case(std::string_view a, std::string_view b);

/// Without the optional white space around it (RFC 9110, 5.6.3): blanks and tabs.
std::string_view trim(std::string_view text);

}  // namespace sluice::http
