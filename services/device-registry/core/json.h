#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <sluice/json/json.h>

#include <nlohmann/json.hpp>

namespace sluice::registry {

using Json = nlohmann::json;

/// The text at `name`, or "" where there is none or it is null.
std::string text_at(const Json& object, std::string_view name);
/// The integer at `name`, or 0 where there is none or it is null.
std::int64_t integer_at(const Json& object, std::string_view name);
bool boolean_at(const Json& object, std::string_view name);

}  // namespace sluice::registry
