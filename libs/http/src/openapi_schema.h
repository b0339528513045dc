#pragma once

#include <string>

#include <nlohmann/json_fwd.hpp>

namespace sluice::http {

/// The value that a "$ref": "#/…" points at, through any number of them; the value itself when it
/// has none; null when the reference leads nowhere or in a circle.
const nlohmann::json* follow_reference(const nlohmann::json& document, const nlohmann::json& value);

/// Why `value` does not fit a schema of an OpenAPI 3.1 document; empty when it does. Looks at type,
/// enum, const, required, properties, additionalProperties, items, allOf, anyOf and oneOf: enough
/// to see that an answer has the shape that is promised. Formats, sizes and patterns are not looked
/// at.
std::string schema_fault(const nlohmann::json& document, const nlohmann::json& schema,
                         const nlohmann::json& value, const std::string& pointer);

}  // namespace sluice::http
