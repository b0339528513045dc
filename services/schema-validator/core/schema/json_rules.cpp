#include "core/schema/json_rules.h"

#include "core/schema/ecma_regex.h"
#include "core/schema/keywords.h"
#include "core/schema/rules_inside.h"
#include "core/schema/uri.h"

#include <cmath>
#include <map>

#include <sluice/json/json.h>

#include <nlohmann/json.hpp>

namespace sluice::validator {
namespace {

using nlohmann::json;
using Holds = Keyword::Holds;

constexpr std::size_t kMaxRules = 100'000;  // far above any schema of kMaxDocument that is useful

std::string unescaped(std::string_view fragment) {
  std::string made;
  for (std::size_t i = 0; i < fragment.size(); ++i) {
    const auto hex = [](char c) {
      return c >= '0' && c <= '9'   ? c - '0'
             : c >= 'a' && c <= 'f' ? c - 'a' + 10
             : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                    : -1;
    };
    if (fragment[i] == '%' && i + 2 < fragment.size() && hex(fragment[i + 1]) >= 0 &&
        hex(fragment[i + 2]) >= 0) {
      made.push_back(static_cast<char>(hex(fragment[i + 1]) * 16 + hex(fragment[i + 2])));
      i += 2;
    } else {
      made.push_back(fragment[i]);
    }
  }
  return made;
}

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

/// Two passes: the first finds every schema of the document and what it is called, the second
/// compiles them, references included.
class Compiler {
 public:
  Compiler(const json& document, Draft draft, std::vector<FieldFault>& faults,
           std::size_t max_faults)
      : document_(document), draft_(draft), faults_(faults), max_faults_(max_faults) {}

  std::unique_ptr<JsonRules::Inside> run() {
    find_schemas(document_, "", "");
    if (!faults_.empty()) return nullptr;
    made_ = std::make_unique<JsonRules::Inside>();
    rule_at("");
    while (!open_.empty() && faults_.empty()) {
      const std::string pointer = std::move(open_.back());
      open_.pop_back();
      compile(pointer);
    }
    return faults_.empty() ? std::move(made_) : nullptr;
  }

 private:
  struct Place {
    const json* schema = nullptr;
    std::string base{};
    bool is_root_of_resource = false;
  };

  void fault(const std::string& pointer, std::string message) {
    if (faults_.size() < max_faults_) faults_.push_back({pointer, std::move(message)});
  }

  // --- First pass

  void find_schemas(const json& schema, const std::string& pointer, std::string base) {
    if (places_.size() >= kMaxRules || faults_.size() >= max_faults_) return;
    if (!schema.is_object() && !schema.is_boolean()) {
      return fault(pointer, "a schema is an object or a truth value");
    }
    bool is_resource = pointer.empty();
    if (schema.is_object()) note_names(schema, pointer, base, is_resource);
    places_[pointer] = {&schema, base, is_resource};
    if (is_resource) resources_[base] = pointer;
    if (schema.is_boolean()) return;
    for (const auto& [name, value] : schema.items()) {
      const std::string at = json_pointer(pointer, name);
      const Keyword* const keyword = find_keyword(name, draft_);
      if (keyword == nullptr) {
        if (!name.starts_with("x-")) fault(at, "the keyword \"" + name + "\" is not supported");
        continue;
      }
      find_below(*keyword, value, at, base);
    }
  }

  void note_names(const json& schema, const std::string& pointer, std::string& base,
                  bool& is_resource) {
    const bool is_ignored = draft_ == Draft::k7 && schema.contains("$ref");
    if (const auto id = schema.find("$id"); id != schema.end() && !is_ignored) {
      if (!id->is_string()) return fault(json_pointer(pointer, "$id"), "expected a text");
      const std::string& text = id->get_ref<const std::string&>();
      const std::string whole = resolve_uri(base, text);
      if (draft_ == Draft::k7 && text.starts_with('#')) {
        anchors_[whole] = pointer;
      } else {
        base = whole.substr(0, whole.find('#'));
        is_resource = true;
      }
    }
    if (const auto anchor = schema.find("$anchor"); anchor != schema.end()) {
      if (!anchor->is_string()) return fault(json_pointer(pointer, "$anchor"), "expected a text");
      anchors_[base + '#' + anchor->get<std::string>()] = pointer;
    }
  }

  void find_below(const Keyword& keyword, const json& value, const std::string& at,
                  const std::string& base) {
    switch (keyword.holds) {
      case Holds::kValue:
        return;
      case Holds::kSchema:
        return find_schemas(value, at, base);
      case Holds::kItems:
        if (draft_ == Draft::k2020 || !value.is_array()) return find_schemas(value, at, base);
        [[fallthrough]];
      case Holds::kSchemas:
        if (!value.is_array() || (value.empty() && keyword.holds == Holds::kSchemas)) {
          return fault(at, "expected schemas in an array");
        }
        for (std::size_t i = 0; i < value.size(); ++i) {
          find_schemas(value[i], json_pointer(at, i), base);
        }
        return;
      case Holds::kNamed:
      case Holds::kDependent:
        if (!value.is_object()) return fault(at, "expected an object of schemas");
        for (const auto& [name, each] : value.items()) {
          if (keyword.holds == Holds::kDependent && each.is_array()) continue;
          find_schemas(each, json_pointer(at, name), base);
        }
        return;
    }
  }

  // --- Second pass

  Rule::Index rule_at(const std::string& pointer) {
    const auto [it, is_new] =
        indices_.try_emplace(pointer, static_cast<Rule::Index>(indices_.size()));
    if (is_new) {
      made_->rules.emplace_back();
      open_.push_back(pointer);
    }
    return it->second;
  }

  std::optional<Rule::Index> target_of(const std::string& pointer, const std::string& base,
                                       const std::string& reference) {
    const std::string whole = resolve_uri(base, reference);
    const auto hash = std::min(whole.find('#'), whole.size());
    const std::string resource = whole.substr(0, hash);
    const std::string fragment = unescaped(hash < whole.size() ? whole.substr(hash + 1) : "");
    const auto found = resources_.find(resource);
    if (found == resources_.end()) {
      if (const auto named = anchors_.find(whole); named != anchors_.end()) {
        return rule_at(named->second);
      }
      fault(pointer, "refers to another document: " + reference);
      return std::nullopt;
    }
    if (fragment.empty()) return rule_at(found->second);
    if (fragment.front() == '/') {
      if (places_.contains(found->second + fragment)) return rule_at(found->second + fragment);
    } else if (const auto named = anchors_.find(resource + '#' + fragment);
               named != anchors_.end()) {
      return rule_at(named->second);
    }
    fault(pointer, "refers to no schema of this document: " + reference);
    return std::nullopt;
  }

  void compile(const std::string& pointer);
  void compile_keyword(Rule& rule, const std::string& name, const json& value,
                       const std::string& at, const Place& place);
  bool compile_number(Rule& rule, const std::string& name, const json& value,
                      const std::string& at);
  bool compile_count(Rule& rule, const std::string& name, const json& value, const std::string& at);
  bool compile_branch(Rule& rule, const std::string& name, const json& value,
                      const std::string& at);
  bool compile_object(Rule& rule, const std::string& name, const json& value,
                      const std::string& at);
  void compile_type(Rule& rule, const json& value, const std::string& at);
  Rule::Regex regex(const std::string& expression, const std::string& at) {
    auto compiled = compile_ecma_regex(expression);
    if (compiled) return *std::move(compiled);
    fault(at, compiled.error().message());
    return nullptr;
  }
  std::vector<std::string> names(const json& value, const std::string& at) {
    std::vector<std::string> made;
    if (!value.is_array()) fault(at, "expected an array of names");
    for (const json& each : value) {
      if (each.is_string()) {
        made.push_back(each.get<std::string>());
      } else {
        fault(at, "expected an array of names");
      }
    }
    return made;
  }

  const json& document_;
  const Draft draft_;
  std::vector<FieldFault>& faults_;
  const std::size_t max_faults_;
  std::map<std::string, Place> places_;           // by pointer
  std::map<std::string, std::string> resources_;  // pointer by URI
  std::map<std::string, std::string> anchors_;    // pointer by URI
  std::map<std::string, Rule::Index> indices_;    // by pointer
  std::vector<std::string> open_;
  std::unique_ptr<JsonRules::Inside> made_;
};

void Compiler::compile(const std::string& pointer) {
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

void Compiler::compile_type(Rule& rule, const json& value, const std::string& at) {
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

bool Compiler::compile_number(Rule& rule, const std::string& name, const json& value,
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

bool Compiler::compile_count(Rule& rule, const std::string& name, const json& value,
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

bool Compiler::compile_branch(Rule& rule, const std::string& name, const json& value,
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

bool Compiler::compile_object(Rule& rule, const std::string& name, const json& value,
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

void Compiler::compile_keyword(Rule& rule, const std::string& name, const json& value,
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

}  // namespace

JsonRules::JsonRules(std::unique_ptr<Inside> inside) : inside_(std::move(inside)) {}
JsonRules::~JsonRules() = default;

std::unique_ptr<const JsonRules> JsonRules::compile(const json& document, Draft draft,
                                                    std::vector<FieldFault>& faults,
                                                    std::size_t max_faults) {
  auto inside = Compiler(document, draft, faults, max_faults).run();
  if (!inside) return nullptr;
  return std::unique_ptr<const JsonRules>(new JsonRules(std::move(inside)));
}

}  // namespace sluice::validator
