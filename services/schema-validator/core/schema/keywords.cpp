#include "core/schema/keywords.h"

namespace sluice::validator {
namespace {

using Holds = Keyword::Holds;
constexpr bool kBoth = true;

constexpr Keyword kKeywords[] = {
    {"$schema", true, true, Holds::kValue, true},
    {"$id", true, true, Holds::kValue, true},
    {"$anchor", false, true, Holds::kValue, true},
    {"$ref", true, true, Holds::kValue, false},
    {"$defs", false, true, Holds::kNamed, true},
    {"definitions", true, false, Holds::kNamed, true},
    {"$comment", true, true, Holds::kValue, true},
    {"title", true, true, Holds::kValue, true},
    {"description", true, true, Holds::kValue, true},
    {"default", true, true, Holds::kValue, true},
    {"examples", true, true, Holds::kValue, true},
    {"deprecated", false, true, Holds::kValue, true},
    {"readOnly", true, true, Holds::kValue, true},
    {"writeOnly", true, true, Holds::kValue, true},
    {"format", true, true, Holds::kValue, true},
    {"contentEncoding", true, true, Holds::kValue, true},
    {"contentMediaType", true, true, Holds::kValue, true},
    {"contentSchema", false, true, Holds::kSchema, true},
    {"unit", kBoth, kBoth, Holds::kValue, true},
    {"type", kBoth, kBoth, Holds::kValue, false},
    {"enum", kBoth, kBoth, Holds::kValue, false},
    {"const", kBoth, kBoth, Holds::kValue, false},
    {"minimum", kBoth, kBoth, Holds::kValue, false},
    {"maximum", kBoth, kBoth, Holds::kValue, false},
    {"exclusiveMinimum", kBoth, kBoth, Holds::kValue, false},
    {"exclusiveMaximum", kBoth, kBoth, Holds::kValue, false},
    {"multipleOf", kBoth, kBoth, Holds::kValue, false},
    {"minLength", kBoth, kBoth, Holds::kValue, false},
    {"maxLength", kBoth, kBoth, Holds::kValue, false},
    {"pattern", kBoth, kBoth, Holds::kValue, false},
    {"properties", kBoth, kBoth, Holds::kNamed, false},
    {"patternProperties", kBoth, kBoth, Holds::kNamed, false},
    {"additionalProperties", kBoth, kBoth, Holds::kSchema, false},
    {"unevaluatedProperties", false, true, Holds::kSchema, false},
    {"propertyNames", kBoth, kBoth, Holds::kSchema, false},
    {"required", kBoth, kBoth, Holds::kValue, false},
    {"minProperties", kBoth, kBoth, Holds::kValue, false},
    {"maxProperties", kBoth, kBoth, Holds::kValue, false},
    {"dependencies", true, false, Holds::kDependent, false},
    {"dependentRequired", false, true, Holds::kValue, false},
    {"dependentSchemas", false, true, Holds::kNamed, false},
    {"items", true, true, Holds::kItems, false},
    {"additionalItems", true, false, Holds::kSchema, false},
    {"prefixItems", false, true, Holds::kSchemas, false},
    {"unevaluatedItems", false, true, Holds::kSchema, false},
    {"contains", kBoth, kBoth, Holds::kSchema, false},
    {"minContains", false, true, Holds::kValue, false},
    {"maxContains", false, true, Holds::kValue, false},
    {"minItems", kBoth, kBoth, Holds::kValue, false},
    {"maxItems", kBoth, kBoth, Holds::kValue, false},
    {"uniqueItems", kBoth, kBoth, Holds::kValue, false},
    {"allOf", kBoth, kBoth, Holds::kSchemas, false},
    {"anyOf", kBoth, kBoth, Holds::kSchemas, false},
    {"oneOf", kBoth, kBoth, Holds::kSchemas, false},
    {"not", kBoth, kBoth, Holds::kSchema, false},
    {"if", kBoth, kBoth, Holds::kSchema, false},
    {"then", kBoth, kBoth, Holds::kSchema, false},
    {"else", kBoth, kBoth, Holds::kSchema, false},
};

}  // namespace

std::span<const Keyword> keywords() { return kKeywords; }

const Keyword* find_keyword(std::string_view name, Draft draft) {
  for (const Keyword& keyword : kKeywords) {
    if (keyword.name != name) continue;
    return (draft == Draft::k7 ? keyword.is_in_7 : keyword.is_in_2020) ? &keyword : nullptr;
  }
  return nullptr;
}

}  // namespace sluice::validator
