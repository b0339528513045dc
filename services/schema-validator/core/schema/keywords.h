#pragma once

#include "core/schema/json_rules.h"

#include <cstdint>
#include <span>
#include <string_view>

namespace sluice::validator {

/// The keywords of JSON Schema that may be used: all others are refused by their name. README.md
/// lists the same.
struct Keyword {
  enum class Holds : std::uint8_t {
    kValue,      // no schema: an assertion, an annotation, an identifier
    kSchema,     // one schema
    kSchemas,    // an array of them
    kNamed,      // an object of them, by name
    kItems,      // draft 7's items: a schema or an array of them
    kDependent,  // draft 7's dependencies: by name a schema or an array of names
  };
  std::string_view name{};
  bool is_in_7 = true;
  bool is_in_2020 = true;
  Holds holds = Holds::kValue;
  bool is_annotation = false;  // says nothing about what is valid
};

std::span<const Keyword> keywords();
/// Null where it is unknown, or not of this draft.
const Keyword* find_keyword(std::string_view name, Draft draft);

}  // namespace sluice::validator
