#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include <sluice/base/result.h>

#include <nlohmann/json_fwd.hpp>

namespace sluice {

/// Deepest nesting that is read of what comes from outside.
inline constexpr std::size_t kMaxJsonDepth = 32;
/// What tells all doubles apart.
inline constexpr std::size_t kMaxJsonDigits = 17;

/// Reads JSON as everybody has to who believes what it says: RFC 8259 without a byte order mark,
/// valid UTF-8, no member named twice in one object (programs differ in which one counts), no
/// U+0000 in a text (PostgreSQL cannot keep one, C cuts there), no number that a double cannot
/// hold or, beyond the 64-bit integers, that has more than kMaxJsonDigits significant digits (it
/// would come back as another one), at most `max_depth` levels, nothing after the value. The bound
/// on size is the caller's.
/// The error is kInvalidArgument, reason "malformed_json", and its fault has the JSON pointer of
/// the place.
Result<nlohmann::json> parse_json(std::string_view text, std::size_t max_depth = kMaxJsonDepth);
/// The same, and the value must be an object.
Result<nlohmann::json> parse_json_object(std::string_view text,
                                         std::size_t max_depth = kMaxJsonDepth);

/// `/base/name` with the escapes of RFC 6901.
std::string json_pointer(std::string_view base, std::string_view name);
std::string json_pointer(std::string_view base, std::size_t index);

/// The text of a value; invalid UTF-8 inside becomes U+FFFD instead of an exception.
std::string to_json_text(const nlohmann::json& value);

}  // namespace sluice
