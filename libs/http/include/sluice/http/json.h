#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include <sluice/base/result.h>

#include <nlohmann/json_fwd.hpp>

namespace sluice::http {

/// Deepest nesting that is read, as for every JSON that comes from outside.
inline constexpr std::size_t kMaxJsonDepth = 32;

/// Reads JSON strictly: RFC 8259, valid UTF-8, no duplicate member names, at most kMaxJsonDepth
/// levels, nothing after the value. The bound on size is the caller's. The error (kInvalidArgument)
/// tells line and column, or the pointer of the duplicate.
Result<nlohmann::json> parse_json(std::string_view text);
/// The same, and the value must be an object.
Result<nlohmann::json> parse_json_object(std::string_view text);

/// Applies a merge patch (RFC 7396): null deletes a member, objects merge, everything else
/// replaces.
nlohmann::json merge_patch(const nlohmann::json& target, const nlohmann::json& patch);

/// The text of a value; invalid UTF-8 inside becomes U+FFFD instead of an exception.
std::string to_text(const nlohmann::json& value);

}  // namespace sluice::http
