#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace sluice::registry {

/// Attributes are found through terms: one number for each scalar in them, made of its path and
/// value. An index of terms can be used under row security, which PostgreSQL's own indexes of JSON
/// cannot: their operators may tell of rows that the policy hides ("leakproof"), so it filters
/// before it looks. Different scalars may share a term, so who searches compares the attribute
/// itself too.

/// Each once, in rising order. An item of a list stands for the list: {"tags":["a","b"]} has the
/// terms of tags = "a" and of tags = "b". Nulls and empty containers have none.
std::vector<std::int64_t> attribute_terms(const nlohmann::json& attributes);

/// The term that attributes have whose scalar at this path is this one. `value` is not null.
std::int64_t attribute_term(std::span<const std::string> path, const nlohmann::json& value);

/// Whether the attributes have this scalar at the path, or in the list that is there.
bool has_attribute(const nlohmann::json& attributes, std::span<const std::string> path,
                   const nlohmann::json& value);

}  // namespace sluice::registry
