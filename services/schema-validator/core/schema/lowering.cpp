#include "core/schema/lowering.h"

#include "core/schema/keywords.h"
#include "core/stream/hash.h"

#include <algorithm>
#include <cmath>
#include <map>

#include <sluice/json/json.h>

namespace sluice::validator {
namespace {

using nlohmann::json;

constexpr std::uint8_t kNumeric = kIntegerBit | kNumberBit;

std::optional<Role> reserved_role(std::string_view key) {
  if (key == "ts") return Role::kTime;
  if (key == "seq") return Role::kSequence;
  if (key == "buffered") return Role::kBuffered;
  return std::nullopt;
}

bool has_true(const json& schema, const char* name) {
  const auto found = schema.find(name);
  return found != schema.end() && found->is_boolean() && found->get<bool>();
}
bool has_false(const json& schema, const char* name) {
  const auto found = schema.find(name);
  return found != schema.end() && found->is_boolean() && !found->get<bool>();
}

}  // namespace

bool is_annotation(const std::string& name) {
  if (name.starts_with("x-")) return true;
  const Keyword* keyword = find_keyword(name, Draft::k2020);
  if (keyword == nullptr) keyword = find_keyword(name, Draft::k7);
  return keyword != nullptr && keyword->is_annotation;
}

/// Follows references within the document. Those that stand beside assertions are for the rules.
const json& Lowering::resolved(const json& schema) {
  const json* at = &schema;
  for (int hops = 0; at->is_object() && at->contains("$ref"); ++hops) {
    const std::string& reference = (*at)["$ref"].get_ref<const std::string&>();
    for (const auto& each : at->items()) {
      if (each.key() != "$ref" && !is_annotation(each.key())) is_flat_ = false;
    }
    // Identifiers make references mean something else; anchors are rare. Both are for the rules.
    if (hops > 16 || !reference.starts_with("#/") || reference.find('%') != std::string::npos) {
      is_flat_ = false;
      return *at;
    }
    const json::json_pointer pointer(reference.substr(1));
    if (!document_.contains(pointer)) {
      is_flat_ = false;
      return *at;
    }
    at = &document_[pointer];
  }
  return *at;
}

bool Lowering::run(Program& program) {
  program_ = &program;
  const json& root = resolved(document_);
  if (root.is_object() && root.contains("properties")) {
    for (const char* const name : {"metrics", "values"}) {
      const auto found = root["properties"].find(name);
      if (found == root["properties"].end()) continue;
      const json& inner = resolved(*found);
      program.is_envelope |= inner.is_object() && inner.contains("properties");
    }
  }
  program.objects.emplace_back();
  add_object(root, "", "", program.is_envelope ? Region::kAround : Region::kMetrics, 0);
  for (MetricInfo& metric : program.metrics) {
    const auto id = static_cast<std::uint32_t>(&metric - program.metrics.data());
    if (!program.metric_by_name.emplace(metric.name, id).second) {
      fault("", "two members make the metric \"" + metric.name + "\"");
    }
    program.metric_hashes.push_back(hash_text(metric.name));
  }
  for (ObjectRule& object : program.objects) {
    for (const std::uint32_t field : object.fields) {
      object.by_key.emplace(program.fields[field].key, field);
    }
  }
  if (!is_flat_) forget_rules();
  return is_flat_;
}

void Lowering::forget_rules() {
  for (Field& field : program_->fields) {
    field.has_bounds = field.has_text_rules = false;
    field.allowed.clear();
    field.pattern.reset();
  }
  for (ObjectRule& object : program_->objects) {
    object.required.clear();
    if (object.additional == Additional::kReject) object.additional = Additional::kIgnore;
  }
}

/// Whether that much more may be compiled; a fault is told once. Past the bound nothing is followed
/// any more.
bool Lowering::has_room_for(std::size_t bytes, const std::string& pointer) {
  const bool was_good = compiled_bytes_ <= limits_.max_compiled;
  if (was_good) compiled_bytes_ += bytes;
  const bool is_good = compiled_bytes_ <= limits_.max_compiled;
  if (was_good && !is_good) {
    fault(pointer, "becomes more than " + std::to_string(limits_.max_compiled) +
                       " bytes once its references are followed");
  }
  return is_good;
}

std::uint32_t Lowering::add_object(const json& schema, const std::string& pointer,
                                   const std::string& prefix, Region region, std::size_t depth) {
  const auto index = static_cast<std::uint32_t>(depth == 0 ? 0 : program_->objects.size());
  if (depth > 0) program_->objects.emplace_back();
  if (!schema.is_object() || depth > limits_.max_depth ||
      !has_room_for(sizeof(ObjectRule), pointer)) {
    is_flat_ = false;
    return index;
  }
  ObjectRule rule;
  for (const auto& each : schema.items()) {
    const bool is_known = each.key() == "type" || each.key() == "properties" ||
                          each.key() == "required" || each.key() == "additionalProperties";
    if (!is_known && !is_annotation(each.key())) is_flat_ = false;
  }
  if (schema.contains("type") && schema["type"] != "object") is_flat_ = false;
  if (has_false(schema, "additionalProperties")) {
    rule.additional = Additional::kReject;
  } else if (schema.contains("additionalProperties") && !has_true(schema, "additionalProperties")) {
    is_flat_ = false;
  }
  if (schema.value("x-additional", "") == "keep") rule.additional = Additional::kKeep;

  const json none = json::object();
  const json& properties = schema.contains("properties") ? schema["properties"] : none;
  std::vector<std::string> required;
  if (schema.contains("required")) required = schema["required"].get<std::vector<std::string>>();
  std::vector<std::pair<std::string, const json*>> members;
  const json anything = true;
  for (const auto& each : properties.items()) members.emplace_back(each.key(), &each.value());
  for (const std::string& key : required) {
    if (properties.contains(key)) continue;
    // A time that is required, and not described: the reserved member as it is.
    if (depth == 0 && reserved_role(key)) {
      members.emplace_back(key, &none);
    } else {
      is_flat_ = false;
    }
  }
  // The fields of an object lie side by side, so all are made before what is within them.
  const auto first = static_cast<std::uint32_t>(program_->fields.size());
  for (const auto& member : members) {
    if (!has_room_for(sizeof(Field) + member.first.size(), pointer)) return index;
    rule.fields.push_back(static_cast<std::uint32_t>(program_->fields.size()));
    program_->fields.emplace_back().key = member.first;
  }
  for (std::uint32_t i = 0; i < members.size(); ++i) {
    const auto& [key, member] = members[i];
    Field field{.key = key};
    Region inside = region;
    std::string name = prefix.empty() ? key : prefix + '.' + key;
    if (depth == 0 && region == Region::kAround && (key == "metrics" || key == "values")) {
      inside = Region::kMetrics;
      name.clear();
    }
    if (const auto role = reserved_role(key); role && depth == 0) {
      const json& described = resolved(*member);
      field.role = *role;
      field.types = types_of(described);
      for (const auto& each : described.items()) {
        if (each.key() != "type" && !is_annotation(each.key())) is_flat_ = false;
      }
    } else {
      add_field(field, *member, json_pointer(json_pointer(pointer, "properties"), key), name,
                inside, depth);
    }
    if (std::ranges::find(required, key) != required.end()) {
      rule.required.push_back(first + i);
      if (field.role == Role::kMetric) program_->metrics[field.metric].is_required = true;
    }
    if (field.preset) rule.presets.push_back(first + i);
    program_->fields[first + i] = std::move(field);
  }
  program_->objects[index] = std::move(rule);
  return index;
}

std::uint8_t Lowering::types_of(const json& schema) {
  if (!schema.is_object() || !schema.contains("type")) return 0xFF;
  const json& type = schema["type"];
  std::uint8_t types = 0;
  for (const json& each : type.is_array() ? type : json::array({type})) {
    static const std::map<std::string, std::uint8_t> kBits = {
        {"null", kNullBit},   {"boolean", kBoolBit},  {"integer", kIntegerBit},
        {"number", kNumeric}, {"string", kStringBit}, {"object", kObjectBit},
        {"array", kArrayBit}};
    types |= kBits.at(each.get<std::string>());
  }
  return types;
}

void Lowering::add_field(Field& field, const json& given, const std::string& pointer,
                         const std::string& name, Region region, std::size_t depth) {
  const json& schema = resolved(given);
  field.types = types_of(schema);
  if (!schema.is_object() || has_false(schema, "x-metric")) {
    field.role = Role::kAnything;
    const bool says_nothing =
        (schema.is_boolean() && schema.get<bool>()) ||
        (schema.is_object() && std::ranges::all_of(schema.items(), [](const auto& each) {
           return is_annotation(each.key());
         }));
    // What is no metric and may be anything is left out; anything else is for the rules.
    if (!says_nothing || schema.is_boolean()) is_flat_ = false;
    return;
  }
  if (schema.contains("properties") && (field.types & kObjectBit) != 0) {
    field.role = Role::kObject;
    if (field.types != kObjectBit) is_flat_ = false;
    field.types = kObjectBit;
    field.object = add_object(schema, pointer, name, region, depth + 1);
    return;
  }
  if (has_true(schema, "x-bytes")) field.types = kBytesBit | (field.types & kNullBit);
  if ((field.types & kScalarBits) == 0) {
    field.role = Role::kAnything;
    is_flat_ = false;
    return;
  }
  if ((field.types & (kObjectBit | kArrayBit)) != 0) is_flat_ = false;
  if (!schema.contains("type")) is_flat_ = false;
  take_assertions(field, schema, pointer);
  if (region == Region::kAround) {
    field.role = Role::kChecked;
    return;
  }
  add_metric(field, schema, pointer, name);
}

}  // namespace sluice::validator
