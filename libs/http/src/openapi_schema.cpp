#include "openapi_schema.h"

#include <algorithm>
#include <format>
#include <string_view>

#include <nlohmann/json.hpp>

namespace sluice::http {
namespace {

using nlohmann::json;

// Longer chains of references are circles.
constexpr int kMaxReferences = 16;

bool has_type(const json& value, std::string_view type) {
  if (type == "object") return value.is_object();
  if (type == "array") return value.is_array();
  if (type == "string") return value.is_string();
  if (type == "integer") return value.is_number_integer();
  if (type == "number") return value.is_number();
  if (type == "boolean") return value.is_boolean();
  return type == "null" && value.is_null();
}

std::string type_fault(const json& schema, const json& value, const std::string& where) {
  const auto type = schema.find("type");
  if (type == schema.end()) return "";
  const auto fits = [&](const json& each) {
    return each.is_string() && has_type(value, each.get<std::string>());
  };
  const bool is_good = type->is_array() ? std::ranges::any_of(*type, fits) : fits(*type);
  return is_good ? "" : std::format("{} is not of type {}", where, type->dump());
}

std::string object_fault(const json& document, const json& schema, const json& value,
                         const std::string& pointer, const std::string& where) {
  if (const auto required = schema.find("required"); required != schema.end()) {
    for (const json& name : *required) {
      if (!value.contains(name.get<std::string>())) {
        return std::format("{} lacks {}", where, name.get<std::string>());
      }
    }
  }
  const auto properties = schema.find("properties");
  const auto others = schema.find("additionalProperties");
  for (const auto& [name, member] : value.items()) {
    const std::string place = pointer + "/" + name;
    if (properties != schema.end() && properties->contains(name)) {
      if (auto fault = schema_fault(document, (*properties)[name], member, place); !fault.empty())
        return fault;
    } else if (others != schema.end() && others->is_object()) {
      if (auto fault = schema_fault(document, *others, member, place); !fault.empty()) return fault;
    } else if (others != schema.end() && *others == json(false)) {
      return place + " is not described";
    }
  }
  return "";
}

std::string choice_fault(const json& document, const json& schema, const json& value,
                         const std::string& pointer, const std::string& where) {
  if (const auto all = schema.find("allOf"); all != schema.end()) {
    for (const json& each : *all) {
      if (auto fault = schema_fault(document, each, value, pointer); !fault.empty()) return fault;
    }
  }
  for (const char* const key : {"anyOf", "oneOf"}) {
    const auto choices = schema.find(key);
    if (choices == schema.end()) continue;
    const bool fits = std::ranges::any_of(*choices, [&](const json& each) {
      return schema_fault(document, each, value, pointer).empty();
    });
    if (!fits) return std::format("{} fits none of {}", where, key);
  }
  return "";
}

}  // namespace

const json* follow_reference(const json& document, const json& value) {
  const json* at = &value;
  for (int i = 0; i < kMaxReferences; ++i) {
    if (!at->is_object() || !at->contains("$ref")) return at;
    const std::string reference = at->value("$ref", "");
    if (!reference.starts_with("#/")) return nullptr;
    try {
      const json::json_pointer pointer(reference.substr(1));
      if (!document.contains(pointer)) return nullptr;
      at = &document[pointer];
    } catch (const json::exception&) {
      return nullptr;  // a malformed pointer
    }
  }
  return nullptr;
}

std::string schema_fault(const json& document, const json& given, const json& value,
                         const std::string& pointer) {
  const std::string where = pointer.empty() ? "the body" : pointer;
  const json* const schema = follow_reference(document, given);
  if (schema == nullptr) return where + ": its schema refers to nothing";
  if (!schema->is_object()) return "";  // true: anything
  if (auto fault = type_fault(*schema, value, where); !fault.empty()) return fault;
  if (const auto values = schema->find("enum");
      values != schema->end() && std::ranges::find(*values, value) == values->end()) {
    return where + " is none of the values described";
  }
  if (const auto only = schema->find("const"); only != schema->end() && *only != value) {
    return where + " is not the value described";
  }
  if (value.is_object()) {
    if (auto fault = object_fault(document, *schema, value, pointer, where); !fault.empty())
      return fault;
  }
  if (const auto items = schema->find("items"); value.is_array() && items != schema->end()) {
    for (std::size_t i = 0; i < value.size(); ++i) {
      auto fault = schema_fault(document, *items, value[i], std::format("{}/{}", pointer, i));
      if (!fault.empty()) return fault;
    }
  }
  return choice_fault(document, *schema, value, pointer, where);
}

}  // namespace sluice::http
