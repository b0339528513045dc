#include "core/schema/compatibility.h"

#include "core/schema/keywords.h"
#include "core/schema/program.h"

#include <algorithm>
#include <set>
#include <string>

#include <sluice/json/json.h>

#include <nlohmann/json.hpp>

namespace sluice::validator {
namespace {

using nlohmann::json;

/// Walks two schemas side by side. Whatever it does not understand has to be the same in both.
class Comparison {
 public:
  explicit Comparison(std::vector<FieldFault>& faults) : faults_(faults) {}

  void compare(const json& from, const json& to, const std::string& at) {
    if (from == to || to == json(true)) return;
    if (from == json(false)) return;  // accepted nothing
    if (!from.is_object() || !to.is_object()) return fault(at, "accepts less than before");
    types(from, to, at);
    bounds(from, to, at);
    values(from, to, at);
    required(from, to, at);
    properties(from, to, at);
    meaning(from, to, at);
    others(from, to, at);
  }

 private:
  void fault(const std::string& at, std::string message) {
    if (faults_.size() < kMaxFaults) faults_.push_back({at, std::move(message)});
  }

  static std::set<std::string> types_of(const json& schema) {
    std::set<std::string> types;
    const json& type = schema["type"];
    for (const json& each : type.is_array() ? type : json::array({type})) {
      types.insert(each.get<std::string>());
    }
    return types;
  }
  void types(const json& from, const json& to, const std::string& at) {
    if (!to.contains("type")) {
      if (from.contains("type")) fault(at, "the type was taken away: values change theirs");
      return;
    }
    if (!from.contains("type")) return fault(at, "has a type now");
    const auto after = types_of(to);
    const auto before = types_of(from);
    for (const std::string& type : before) {
      if (!after.contains(type) && !(type == "integer" && after.contains("number"))) {
        fault(at, "the type " + type + " is not accepted any more");
      }
    }
    // Stored values would change from one message to the next.
    if (before.contains("integer") != after.contains("integer") ||
        before.contains("number") != after.contains("number")) {
      fault(at, "the type of the metric's values is another one");
    }
  }

  void bounds(const json& from, const json& to, const std::string& at) {
    static constexpr std::pair<const char*, bool> kBounds[] = {
        {"minimum", true},           {"exclusiveMinimum", true}, {"minLength", true},
        {"minItems", true},          {"minProperties", true},    {"maximum", false},
        {"exclusiveMaximum", false}, {"maxLength", false},       {"maxItems", false},
        {"maxProperties", false}};
    for (const auto& [name, is_lower] : kBounds) {
      if (!to.contains(name)) continue;
      if (!from.contains(name) || (is_lower ? to[name] > from[name] : to[name] < from[name])) {
        fault(at, std::string(name) + " is narrower");
      }
    }
  }

  void values(const json& from, const json& to, const std::string& at) {
    const auto allowed = [](const json& schema) -> json {
      if (schema.contains("const")) return json::array({schema["const"]});
      return schema.value("enum", json());
    };
    const json after = allowed(to);
    if (after.is_null()) return;
    const json before = allowed(from);
    if (before.is_null()) return fault(at, "is limited to listed values now");
    for (const json& each : before) {
      if (std::ranges::find(after, each) == after.end()) {
        fault(at, "the value " + each.dump() + " is not allowed any more");
      }
    }
  }

  void required(const json& from, const json& to, const std::string& at) {
    const json none = json::array();
    const json& before = from.contains("required") ? from["required"] : none;
    for (const json& name : to.contains("required") ? to["required"] : none) {
      if (std::ranges::find(before, name) == before.end()) {
        fault(json_pointer(json_pointer(at, "properties"), name.get<std::string>()),
              "is required now");
      }
    }
  }

  void properties(const json& from, const json& to, const std::string& at) {
    const json none = json::object();
    const json& before = from.contains("properties") ? from["properties"] : none;
    const json& after = to.contains("properties") ? to["properties"] : none;
    for (const auto& [name, schema] : before.items()) {
      const std::string below = json_pointer(json_pointer(at, "properties"), name);
      if (!after.contains(name)) {
        fault(below, "was removed, or has another name");
      } else {
        compare(schema, after[name], below);
      }
    }
    const json open = true;
    const json& others_before =
        from.contains("additionalProperties") ? from["additionalProperties"] : open;
    const json& others_after =
        to.contains("additionalProperties") ? to["additionalProperties"] : open;
    if (others_before == others_after) return;
    if (others_after == json(false)) {
      fault(at, "members that it does not name are refused now");
    } else {
      compare(others_before, others_after, json_pointer(at, "additionalProperties"));
    }
  }

  /// What changes nothing about what is valid, and all about what it means.
  void meaning(const json& from, const json& to, const std::string& at) {
    const auto unit = [](const json& schema) {
      return schema.contains("unit") ? schema["unit"] : schema.value("x-unit", json());
    };
    if (unit(from) != unit(to)) fault(at, "the unit is another one");
    for (const char* const name : {"x-source-unit", "x-metric", "x-bytes", "$schema"}) {
      if (from.value(name, json()) != to.value(name, json())) {
        fault(at, std::string(name) + " is another one");
      }
    }
    if (from.value("x-additional", "") == "keep" && to.value("x-additional", "") != "keep") {
      fault(at, "members that it does not name are not kept any more");
    }
  }

  void others(const json& from, const json& to, const std::string& at) {
    static const std::set<std::string> kKnown = {"type",
                                                 "minimum",
                                                 "exclusiveMinimum",
                                                 "maximum",
                                                 "exclusiveMaximum",
                                                 "minLength",
                                                 "maxLength",
                                                 "minItems",
                                                 "maxItems",
                                                 "minProperties",
                                                 "enum",
                                                 "const",
                                                 "maxProperties",
                                                 "required",
                                                 "properties",
                                                 "additionalProperties"};
    std::set<std::string> names;
    for (const auto& each : from.items()) names.insert(each.key());
    for (const auto& each : to.items()) names.insert(each.key());
    for (const std::string& name : names) {
      // What is referred to is compared as it stands: a change below $defs may narrow anything.
      const bool is_definition = name == "$defs" || name == "definitions";
      if (kKnown.contains(name) || name.starts_with("x-") || (is_note(name) && !is_definition)) {
        continue;
      }
      if (is_definition && !from.contains(name)) continue;  // nothing could refer to them
      if (from.value(name, json()) == to.value(name, json())) continue;
      const bool is_taken_away =
          (name == "pattern" || name == "multipleOf" || name == "uniqueItems") &&
          !to.contains(name);
      if (!is_taken_away)
        fault(at, "what has changed in " + name + " may refuse what was accepted");
    }
  }

  static bool is_note(const std::string& name) {
    const Keyword* keyword = find_keyword(name, Draft::k2020);
    if (keyword == nullptr) keyword = find_keyword(name, Draft::k7);
    return keyword != nullptr && keyword->is_annotation && name != "$id" && name != "$anchor";
  }

  /// Each repeats its whole path, and a list of values may have one for each.
  static constexpr std::size_t kMaxFaults = CompileLimits{}.max_faults;

  std::vector<FieldFault>& faults_;
};

}  // namespace

std::vector<FieldFault> incompatibilities(const CompiledSchema& from, const CompiledSchema& to) {
  std::vector<FieldFault> faults;
  Comparison(faults).compare(json::parse(from.program().normal_form),
                             json::parse(to.program().normal_form), "");
  return faults;
}

}  // namespace sluice::validator
