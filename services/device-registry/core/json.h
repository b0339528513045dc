#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include <sluice/base/result.h>

#include <nlohmann/json.hpp>

namespace sluice::registry {

using Json = nlohmann::json;

/// Reads one JSON text strictly: valid UTF-8, no member named twice in one object (parsers differ
/// in which one they believe), no NUL in any text (PostgreSQL cannot keep one), no number a double
/// cannot hold or that has more than kMaxDigits significant digits beyond the 64-bit integers (it
/// would come back as another one), and at most kMaxJsonDepth levels, so that nothing recurses on a
/// sender's word.
Result<Json> parse_json(std::string_view text);
inline constexpr std::size_t kMaxJsonDepth = 32;
inline constexpr std::size_t kMaxDigits = 17;  // what tells all doubles apart

/// `/base/name` with the escapes of RFC 6901.
std::string pointer_to(std::string_view base, std::string_view name);
std::string pointer_to(std::string_view base, std::size_t index);

/// The text at `name`, or "" where there is none or it is null.
std::string text_at(const Json& object, std::string_view name);
/// The integer at `name`, or 0 where there is none or it is null.
std::int64_t integer_at(const Json& object, std::string_view name);
bool boolean_at(const Json& object, std::string_view name);

/// RFC 7396: members of `patch` replace those of `target`, null removes, objects merge.
void apply_merge_patch(Json& target, const Json& patch);

}  // namespace sluice::registry
