#pragma once

#include <optional>
#include <string_view>

#include <nlohmann/json.hpp>

namespace sluice::crypto {

/// One JSON object as security formats want it: valid UTF-8, nothing around it, no name twice in
/// one object (programs disagree about which one counts), at most 16 levels deep. nullopt
/// otherwise.
std::optional<nlohmann::json> parse_strict_object(std::string_view text);

}  // namespace sluice::crypto
