#include "core/schema/lowering.h"

#include <algorithm>
#include <array>
#include <limits>
#include <map>

#include <sluice/json/json.h>

namespace sluice::validator {
namespace {

using nlohmann::json;

struct Table {
  std::vector<FieldFault>& faults;

  void fault(const std::string& pointer, std::string message) const {
    if (faults.size() < 32) faults.push_back({pointer, std::move(message)});
  }

  /// The row's type as JSON Schema spells it; null where there is none such.
  static const char* type_of(const std::string& type) {
    static constexpr std::array<std::pair<std::string_view, const char*>, 5> kTypes{
        {{"double", "number"},
         {"int64", "integer"},
         {"bool", "boolean"},
         {"string", "string"},
         {"bytes", "string"}}};
    const auto found = std::ranges::find(kTypes, type, [](const auto& row) { return row.first; });
    return found == kTypes.end() ? nullptr : found->second;
  }

  json property_of(const json& row, const std::string& at) const {
    static const std::map<std::string, std::string> kSame = {{"unit", "unit"},
                                                             {"source_unit", "x-source-unit"},
                                                             {"min", "minimum"},
                                                             {"max", "maximum"},
                                                             {"default", "default"},
                                                             {"enum", "enum"},
                                                             {"pattern", "pattern"},
                                                             {"min_length", "minLength"},
                                                             {"max_length", "maxLength"},
                                                             {"description", "description"}};
    json property = json::object();
    for (const auto& [name, value] : row.items()) {
      if (const auto same = kSame.find(name); same != kSame.end()) {
        property[same->second] = value;
        const bool is_number = name == "min" || name == "max";
        const bool is_text = name == "unit" || name == "source_unit" || name == "pattern";
        if ((is_number && !value.is_number()) || (is_text && !value.is_string())) {
          fault(json_pointer(at, name), is_number ? "expected a number" : "expected a text");
        }
      } else if (name == "required" || name == "nullable") {
        if (!value.is_boolean()) fault(json_pointer(at, name), "expected a truth value");
      } else if (name != "name" && name != "type") {
        fault(json_pointer(at, name), "a metric has no \"" + name + "\"");
      }
    }
    const std::string type =
        row.contains("type") && row["type"].is_string() ? row["type"].get<std::string>() : "";
    const char* const spelled = type_of(type);
    if (spelled == nullptr) {
      fault(json_pointer(at, "type"), "expected double, int64, bool, string or bytes");
      return property;
    }
    property["type"] = spelled;
    if (type == "bytes") property["x-bytes"] = true;
    if (row.value("nullable", json(false)) == true) {
      property["type"] = json::array({spelled, "null"});
      if (property.contains("enum") && property["enum"].is_array()) {
        property["enum"].push_back(nullptr);
      }
    }
    return property;
  }

  /// Puts the property where its dotted name says.
  void place(json& root, const std::string& name, json property, bool is_required,
             const std::string& at) const {
    json* object = &root;
    std::string_view rest = name;
    for (;;) {
      const auto dot = rest.find('.');
      const std::string part(rest.substr(0, dot));
      if (part.empty()) return fault(at, "expected a name, its parts joined by dots");
      json& properties = (*object)["properties"];
      if (dot == std::string_view::npos) {
        if (properties.contains(part)) return fault(at, "the metric stands here twice");
        properties[part] = std::move(property);
        if (is_required) (*object)["required"].push_back(part);
        return;
      }
      if (!properties.contains(part)) {
        properties[part] = {{"type", "object"}};
        if (root.contains("additionalProperties")) {
          properties[part]["additionalProperties"] = root["additionalProperties"];
        }
        if (root.contains("x-additional")) properties[part]["x-additional"] = root["x-additional"];
      } else if (properties[part]["type"] != "object") {
        return fault(at, "is beneath another metric");
      }
      // A required metric requires the objects around it.
      if (is_required) {
        json& names = (*object)["required"];
        if (std::ranges::find(names, json(part)) == names.end()) names.push_back(part);
      }
      object = &properties[part];
      rest.remove_prefix(dot + 1);
    }
  }
};

}  // namespace

json schema_of_table(const json& table, bool is_protobuf, std::vector<FieldFault>& faults) {
  const Table reader{faults};
  json root = {{"type", "object"}};
  if (!table.is_object()) {
    reader.fault("", "expected an object");
    return root;
  }
  for (const auto& [name, value] : table.items()) {
    const bool is_known = name == "metrics" || name == "additional" || name == "description" ||
                          (is_protobuf && (name == "message" || name == "descriptor_set"));
    if (!is_known) reader.fault(json_pointer("", name), "a metrics table has no \"" + name + "\"");
  }
  const bool has_metrics = table.contains("metrics");
  // A Protobuf schema says what there is by itself: without a table all of it is kept.
  const json additional =
      table.value("additional", json(is_protobuf && !has_metrics ? "keep" : "ignore"));
  if (additional == "reject") {
    root["additionalProperties"] = false;
  } else if (additional == "keep") {
    root["x-additional"] = "keep";
  } else if (additional != "ignore") {
    reader.fault("/additional", "expected reject, ignore or keep");
  }
  if (is_protobuf && !has_metrics) return root;
  if (!has_metrics || !table["metrics"].is_array()) {
    reader.fault("/metrics", "expected an array of metrics");
    return root;
  }
  for (std::size_t i = 0; i < table["metrics"].size(); ++i) {
    const json& row = table["metrics"][i];
    const std::string at = json_pointer("/metrics", i);
    if (!row.is_object() || !row.contains("name") || !row["name"].is_string()) {
      reader.fault(at, "expected a metric with a name");
      continue;
    }
    reader.place(root, row["name"].get<std::string>(), reader.property_of(row, at),
                 row.value("required", json(false)) == true, json_pointer(at, "name"));
  }
  return root;
}

namespace {

class Avro {
 public:
  explicit Avro(std::vector<FieldFault>& faults) : faults_(faults) {}

  /// `type` lies within the document.
  json schema_of(const json& type, const std::string& at, std::size_t depth) {
    if (!has_room_for(sizeof(json), at)) return json::object();
    if (depth > 32) return fault(at, "nested too deep, or within itself");
    if (type.is_string()) return named(type.get<std::string>(), at, depth);
    if (type.is_array()) return union_of(type, at, depth);
    if (!type.is_object() || !type.contains("type")) return fault(at, "no Avro type");
    const json& kind = type["type"];
    if (!kind.is_string()) return schema_of(kind, json_pointer(at, "type"), depth + 1);
    if (type.contains("name")) types_[type["name"].get<std::string>()] = &type;
    if (kind == "record") return record(type, at, depth);
    if (kind == "enum") {
      for (const json& symbol : type["symbols"]) {
        if (!has_room_for(bytes_of(symbol), at)) return json::object();
      }
      return {{"type", "string"}, {"enum", type["symbols"]}};
    }
    if (kind == "array" || kind == "map") return {{"x-metric", false}};
    if (type.value("logicalType", "") == "decimal") return {{"type", "number"}};
    if (kind == "fixed") return {{"type", "string"}, {"x-bytes", true}};
    return named(kind.get<std::string>(), at, depth);
  }

 private:
  /// What is named again is written out again, so that types that name others twice double at each
  /// level: past this nothing is written any more.
  static constexpr std::size_t kMaxBytes = CompileLimits{}.max_compiled;

  bool has_room_for(std::size_t bytes, const std::string& at) {
    if (bytes_ > kMaxBytes) return false;
    bytes_ += bytes;
    if (bytes_ <= kMaxBytes) return true;
    fault(at, "becomes more than " + std::to_string(kMaxBytes) +
                  " bytes once the types that it names are written out");
    return false;
  }
  static std::size_t bytes_of(const json& value) {
    return sizeof(json) + (value.is_string() ? value.get_ref<const std::string&>().size() : 0);
  }

  json fault(const std::string& at, std::string message) {
    if (faults_.size() < CompileLimits{}.max_faults) faults_.push_back({at, std::move(message)});
    return json::object();
  }

  json named(const std::string& name, const std::string& at, std::size_t depth) {
    if (name == "null") return {{"type", "null"}};
    if (name == "boolean") return {{"type", "boolean"}};
    if (name == "int") {
      return {{"type", "integer"},
              {"minimum", std::numeric_limits<std::int32_t>::min()},
              {"maximum", std::numeric_limits<std::int32_t>::max()}};
    }
    if (name == "long") return {{"type", "integer"}};
    if (name == "float" || name == "double") return {{"type", "number"}};
    if (name == "string") return {{"type", "string"}};
    if (name == "bytes") return {{"type", "string"}, {"x-bytes", true}};
    const auto found = types_.find(name.substr(name.rfind('.') + 1));
    if (found == types_.end()) return fault(at, "no Avro type: " + name);
    return schema_of(*found->second, at, depth + 1);
  }

  json union_of(const json& branches, const std::string& at, std::size_t depth) {
    json types = json::array();
    json whole = json::object();
    for (std::size_t i = 0; i < branches.size(); ++i) {
      json branch = schema_of(branches[i], json_pointer(at, i), depth + 1);
      if (!branch.contains("type") || branch["type"] == "object") {
        // A record, or something that is no metric, or null: beyond what one metric can be.
        if (branches.size() == 2 && branch.contains("properties")) {
          branch["x-nullable"] = true;
          return branch;
        }
        return {{"x-metric", false}};
      }
      types.push_back(branch["type"]);
      if (branches.size() == 2 && branch["type"] != "null") whole = std::move(branch);
    }
    if (whole.contains("enum")) whole["enum"].push_back(nullptr);
    whole["type"] = std::move(types);
    return whole;
  }

  json record(const json& type, const std::string& at, std::size_t depth) {
    json object = {{"type", "object"}, {"properties", json::object()}};
    for (std::size_t i = 0; i < type["fields"].size(); ++i) {
      const json& field = type["fields"][i];
      const std::string name = field["name"].get<std::string>();
      const std::string where = json_pointer(json_pointer(at, "fields"), i);
      if (!has_room_for(kMemberBytes + name.size(), where)) return object;
      json member = schema_of(field["type"], json_pointer(where, "type"), depth + 1);
      for (const auto& [from, to] :
           {std::pair{"doc", "description"}, {"unit", "unit"}, {"source_unit", "x-source-unit"}}) {
        if (!field.contains(from)) continue;
        if (!has_room_for(bytes_of(field[from]), where)) return object;
        member[to] = field[from];
      }
      const bool has_default = field.contains("default");
      const json preset = has_default ? field["default"] : json();
      if (has_default && preset.is_primitive() && !preset.is_null() && member.contains("type")) {
        if (!has_room_for(bytes_of(preset), where)) return object;
        member["default"] = preset;
      }
      const bool may_be_absent =
          has_default || (field["type"].is_array() &&
                          std::ranges::find(field["type"], json("null")) != field["type"].end());
      if (!may_be_absent) object["required"].push_back(name);
      object["properties"][name] = std::move(member);
    }
    return object;
  }

  std::vector<FieldFault>& faults_;
  static constexpr std::size_t kMemberBytes = 256;  // about: a node, its type and bounds
  std::size_t bytes_ = 0;                           // written so far, about
  std::map<std::string, const json*> types_;        // within the document
};

}  // namespace

json schema_of_avro(const json& avro, std::vector<FieldFault>& faults) {
  json schema = Avro(faults).schema_of(avro, "", 0);
  if (faults.empty() && !schema.contains("properties")) {
    faults.push_back({"", "telemetry is a record"});
  }
  return schema;
}

}  // namespace sluice::validator
