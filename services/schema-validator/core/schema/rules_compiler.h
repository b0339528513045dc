#pragma once

#include "core/schema/ecma_regex.h"
#include "core/schema/keywords.h"
#include "core/schema/rules_inside.h"
#include "core/schema/uri.h"

#include <map>

#include <sluice/json/json.h>

#include <nlohmann/json.hpp>

namespace sluice::validator {

/// Far above any schema of CompileLimits::max_document that is useful.
inline constexpr std::size_t kMaxRules = 100'000;

/// A URI's fragment without its percent signs.
std::string unescaped(std::string_view fragment);

/// Two passes: the first finds every schema of the document and what it is called, the second
/// compiles them, references included.
class RulesCompiler {
 public:
  RulesCompiler(const nlohmann::json& document, Draft draft, std::vector<FieldFault>& faults,
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
    const nlohmann::json* schema = nullptr;
    std::string base{};
    bool is_root_of_resource = false;
  };

  void fault(const std::string& pointer, std::string message) {
    if (faults_.size() < max_faults_) faults_.push_back({pointer, std::move(message)});
  }

  // --- First pass

  void find_schemas(const nlohmann::json& schema, const std::string& pointer, std::string base) {
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

  void note_names(const nlohmann::json& schema, const std::string& pointer, std::string& base,
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

  void find_below(const Keyword& keyword, const nlohmann::json& value, const std::string& at,
                  const std::string& base) {
    switch (keyword.holds) {
      case Keyword::Holds::kValue:
        return;
      case Keyword::Holds::kSchema:
        return find_schemas(value, at, base);
      case Keyword::Holds::kItems:
        if (draft_ == Draft::k2020 || !value.is_array()) return find_schemas(value, at, base);
        [[fallthrough]];
      case Keyword::Holds::kSchemas:
        if (!value.is_array() || (value.empty() && keyword.holds == Keyword::Holds::kSchemas)) {
          return fault(at, "expected schemas in an array");
        }
        for (std::size_t i = 0; i < value.size(); ++i) {
          find_schemas(value[i], json_pointer(at, i), base);
        }
        return;
      case Keyword::Holds::kNamed:
      case Keyword::Holds::kDependent:
        if (!value.is_object()) return fault(at, "expected an object of schemas");
        for (const auto& [name, each] : value.items()) {
          if (keyword.holds == Keyword::Holds::kDependent && each.is_array()) continue;
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
  void compile_keyword(Rule& rule, const std::string& name, const nlohmann::json& value,
                       const std::string& at, const Place& place);
  bool compile_number(Rule& rule, const std::string& name, const nlohmann::json& value,
                      const std::string& at);
  bool compile_count(Rule& rule, const std::string& name, const nlohmann::json& value,
                     const std::string& at);
  bool compile_branch(Rule& rule, const std::string& name, const nlohmann::json& value,
                      const std::string& at);
  bool compile_object(Rule& rule, const std::string& name, const nlohmann::json& value,
                      const std::string& at);
  void compile_type(Rule& rule, const nlohmann::json& value, const std::string& at);
  Rule::Regex regex(const std::string& expression, const std::string& at) {
    auto compiled = compile_ecma_regex(expression);
    if (compiled) return *std::move(compiled);
    fault(at, compiled.error().message());
    return nullptr;
  }
  std::vector<std::string> names(const nlohmann::json& value, const std::string& at) {
    std::vector<std::string> made;
    if (!value.is_array()) fault(at, "expected an array of names");
    for (const nlohmann::json& each : value) {
      if (each.is_string()) {
        made.push_back(each.get<std::string>());
      } else {
        fault(at, "expected an array of names");
      }
    }
    return made;
  }

  const nlohmann::json& document_;
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

}  // namespace sluice::validator
