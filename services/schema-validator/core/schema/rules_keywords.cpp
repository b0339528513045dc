// What each keyword becomes.
#include "core/schema/rules_compiler.h"

#include <cmath>

namespace sluice::validator {
namespace {

using nlohmann::json;

void put(Tape& tape, const json& value) {
  switch (value.type()) {
    case json::value_t::boolean:
      return tape.add_bool(value.get<bool>());
    case json::value_t::number_integer:
      return tape.add_int64(value.get<std::int64_t>());
    case json::value_t::number_unsigned:
      return tape.add_uint64(value.get<std::uint64_t>());
    case json::value_t::number_float:
      return tape.add_double(value.get<double>());
    case json::value_t::string:
      return tape.add_string(value.get_ref<const std::string&>());
    case json::value_t::array:
      tape.begin(JsonType::kArray);
      for (const json& each : value) put(tape, each);
      return tape.end();
    case json::value_t::object:
      tape.begin(JsonType::kObject);
      for (const auto& [key, each] : value.items()) {
        tape.key(key);
        put(tape, each);
      }
      return tape.end();
    default:
      return tape.add_null();
  }
}

}  // namespace

void RulesCompiler::compile(const std::string& pointer) {
  const Place& place = places_.at(pointer);
  Rule rule;
  if (place.schema->is_boolean()) {
    rule.verdict = place.schema->get<bool>();
  } else if (draft_ == Draft::k7 && place.schema->contains("$ref")) {
    compile_keyword(rule, "$ref", (*place.schema)["$ref"], json_pointer(pointer, "$ref"), place);
  } else {
    for (const auto& [name, value] : place.schema->items()) {
      compile_keyword(rule, name, value, json_pointer(pointer, name), place);
    }
    // Without `if` the other two mean nothing; without items and contains nor do their bounds.
    if (!rule.condition) rule.consequence = rule.alternative = std::nullopt;
  }
  made_->rules[indices_.at(pointer)] = std::move(rule);
}

void RulesCompiler::compile_type(Rule& rule, const json& value, const std::string& at) {
  static const std::map<std::string, std::uint8_t> kTypes = {
      {"null", kNullType},     {"boolean", kBooleanType}, {"integer", kIntegerType},
      {"number", kNumberType}, {"string", kStringType},   {"array", kArrayType},
      {"object", kObjectType}};
  rule.types = 0;
  const json list = value.is_array() ? value : json::array({value});
  for (const json& each : list) {
    const auto found = each.is_string() ? kTypes.find(each.get<std::string>()) : kTypes.end();
    if (found == kTypes.end()) return fault(at, "no type of JSON Schema");
    *rule.types |= found->second;
  }
}

bool RulesCompiler::compile_number(Rule& rule, const std::string& name, const json& value,
                                   const std::string& at) {
  std::optional<long double>* bound = name == "minimum"            ? &rule.minimum
                                      : name == "maximum"          ? &rule.maximum
                                      : name == "exclusiveMinimum" ? &rule.above
                                      : name == "exclusiveMaximum" ? &rule.below
                                                                   : nullptr;
  if (bound == nullptr && name != "multipleOf") return false;
  if (!value.is_number()) {
    fault(at, "expected a number");
  } else if (bound != nullptr) {
    *bound = value.is_number_unsigned()  ? static_cast<long double>(value.get<std::uint64_t>())
             : value.is_number_integer() ? static_cast<long double>(value.get<std::int64_t>())
                                         : static_cast<long double>(value.get<double>());
  } else if (value.get<double>() <= 0) {
    fault(at, "expected a number above 0");
  } else {
    rule.multiple_of = value.get<double>();
  }
  return true;
}

bool RulesCompiler::compile_count(Rule& rule, const std::string& name, const json& value,
                                  const std::string& at) {
  std::size_t* const count = name == "minLength"       ? &rule.min_length
                             : name == "maxLength"     ? &rule.max_length
                             : name == "minItems"      ? &rule.min_items
                             : name == "maxItems"      ? &rule.max_items
                             : name == "minProperties" ? &rule.min_properties
                             : name == "maxProperties" ? &rule.max_properties
                             : name == "minContains"   ? &rule.min_contains
                             : name == "maxContains"   ? &rule.max_contains
                                                       : nullptr;
  if (count == nullptr) return false;
  const double number = value.is_number() ? value.get<double>() : -1;
  if (!(number >= 0) || number > 9e15 || std::trunc(number) != number) {
    fault(at, "expected a natural number");
  } else {
    *count = static_cast<std::size_t>(number);
  }
  return true;
}

bool RulesCompiler::compile_branch(Rule& rule, const std::string& name, const json& value,
                                   const std::string& at) {
  if (auto* const list = name == "allOf"   ? &rule.all_of
                         : name == "anyOf" ? &rule.any_of
                         : name == "oneOf" ? &rule.one_of
                         : name == "prefixItems" || (name == "items" && value.is_array())
                             ? &rule.prefix_items
                             : nullptr) {
    for (std::size_t i = 0; i < value.size(); ++i) list->push_back(rule_at(json_pointer(at, i)));
    return true;
  }
  // Draft 7's additionalItems is what 2020-12 calls items, and means nothing without an array
  // there.
  std::optional<Rule::Index>* const single =
      name == "not"                     ? &rule.negated
      : name == "if"                    ? &rule.condition
      : name == "then"                  ? &rule.consequence
      : name == "else"                  ? &rule.alternative
      : name == "items"                 ? &rule.items
      : name == "contains"              ? &rule.contains
      : name == "additionalProperties"  ? &rule.additional_properties
      : name == "propertyNames"         ? &rule.property_names
      : name == "unevaluatedProperties" ? &rule.unevaluated_properties
      : name == "unevaluatedItems"      ? &rule.unevaluated_items
                                        : nullptr;
  if (single == nullptr) return false;
  *single = rule_at(at);
  if (name.starts_with("unevaluated")) made_->has_unevaluated = true;
  return true;
}

bool RulesCompiler::compile_object(Rule& rule, const std::string& name, const json& value,
                                   const std::string& at) {
  if (name == "properties") {
    for (const auto& each : value.items()) {
      rule.properties[each.key()] = rule_at(json_pointer(at, each.key()));
    }
  } else if (name == "patternProperties") {
    for (const auto& each : value.items()) {
      const std::string below = json_pointer(at, each.key());
      if (auto pattern = regex(each.key(), below)) {
        rule.pattern_properties.emplace_back(std::move(pattern), rule_at(below));
      }
    }
  } else if (name == "required") {
    rule.required = names(value, at);
  } else if (name == "dependentSchemas" || name == "dependencies") {
    for (const auto& [key, each] : value.items()) {
      const std::string below = json_pointer(at, key);
      if (each.is_array()) {
        rule.dependent_required.emplace_back(key, names(each, below));
      } else {
        rule.dependent_schemas.emplace_back(key, rule_at(below));
      }
    }
  } else if (name == "dependentRequired") {
    if (!value.is_object()) fault(at, "expected an object");
    for (const auto& [key, each] : value.items()) {
      rule.dependent_required.emplace_back(key, names(each, json_pointer(at, key)));
    }
  } else {
    return false;
  }
  return true;
}

void RulesCompiler::compile_keyword(Rule& rule, const std::string& name, const json& value,
                                    const std::string& at, const Place& place) {
  if (name == "$ref") {
    if (!value.is_string()) return fault(at, "expected a text");
    rule.reference = target_of(at, place.base, value.get<std::string>());
  } else if (name == "type") {
    compile_type(rule, value, at);
  } else if (name == "enum" || name == "const") {
    if (name == "enum" && !value.is_array()) return fault(at, "expected an array");
    // Beside each other both hold; a schema with both is rare enough for another rule.
    std::vector<std::uint32_t> allowed;
    const json list = name == "enum" ? value : json::array({value});
    for (const json& each : list) {
      allowed.push_back(made_->values.size());
      put(made_->values, each);
    }
    if (rule.allowed) return fault(at, "enum and const beside each other are not supported");
    rule.allowed = std::move(allowed);
  } else if (name == "pattern") {
    if (!value.is_string()) return fault(at, "expected a text");
    rule.pattern = regex(value.get<std::string>(), at);
  } else if (name == "uniqueItems") {
    if (!value.is_boolean()) return fault(at, "expected a truth value");
    rule.has_unique_items = value.get<bool>();
  } else if (name == "additionalItems") {
    const auto items = place.schema->find("items");
    if (items != place.schema->end() && items->is_array()) rule.items = rule_at(at);
  } else if (compile_number(rule, name, value, at) || compile_count(rule, name, value, at) ||
             compile_branch(rule, name, value, at)) {
  } else {
    compile_object(rule, name, value, at);
  }
}

}  // namespace sluice::validator
