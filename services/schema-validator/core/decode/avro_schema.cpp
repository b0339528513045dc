#include "core/decode/avro_schema.h"

#include "core/decode/avro_names.h"

#include <format>
#include <map>
#include <set>
#include <utility>

#include <sluice/json/json.h>

#include <nlohmann/json.hpp>

namespace sluice::validator {
namespace {

using Json = nlohmann::json;
using Kind = AvroSchema::Kind;

constexpr std::size_t kMaxFaults = 20;    // told of one document
constexpr std::uint32_t kMaxScale = 300;  // 10^300 is about what a double can hold

const std::string* text_of(const Json& object, const char* member) {
  const auto found = object.find(member);
  return found == object.end() ? nullptr : found->get_ptr<const std::string*>();
}

}  // namespace

/// Goes through the document once, making nodes and the canonical form side by side.
class AvroCompiler {
 public:
  explicit AvroCompiler(AvroSchema& schema) : schema_(schema) {}

  void compile(const Json& document) {
    schema_.root_ = compile_type(document, "", "");
    schema_.canonical_form_ = std::move(canonical_);
    schema_.fingerprint_ = crc_64_avro(schema_.canonical_form_);
  }
  std::vector<FieldFault>& faults() { return faults_; }

 private:
  std::uint32_t fault(const std::string& pointer, std::string message) {
    if (faults_.size() < kMaxFaults) faults_.push_back({pointer, std::move(message)});
    return 0;
  }
  std::uint32_t add(const AvroSchema::Node& node) {
    schema_.nodes_.push_back(node);
    return static_cast<std::uint32_t>(schema_.nodes_.size() - 1);
  }
  /// Places for `count` children in a row; 0 where there are too many.
  std::uint32_t add_children(std::size_t count) {
    const auto first = static_cast<std::uint32_t>(schema_.children_.size());
    schema_.children_.resize(first + count);
    return first;
  }

  std::uint32_t compile_type(const Json& type, const std::string& space,
                             const std::string& pointer) {
    if (schema_.nodes_.size() >= AvroSchema::kMaxNodes) {
      return fault(pointer, std::format("more than {} types", AvroSchema::kMaxNodes));
    }
    if (type.is_string()) return compile_name(type.get_ref<const std::string&>(), space, pointer);
    if (type.is_array()) return compile_union(type, space, pointer);
    if (type.is_object()) return compile_object(type, space, pointer);
    return fault(pointer, "a type is a name, an object or an array");
  }

  std::uint32_t compile_name(const std::string& name, const std::string& space,
                             const std::string& pointer) {
    if (const auto primitive = avro_primitive_of(name)) {
      canonical_ += std::format("\"{}\"", name);
      return add({.kind = *primitive});
    }
    const bool is_full = name.contains('.') || space.empty();
    auto found = named_.find(is_full ? name : space + "." + name);
    if (found == named_.end()) return fault(pointer, std::format("there is no type {}", name));
    canonical_ += std::format("\"{}\"", found->first);
    return found->second;
  }

  std::uint32_t compile_union(const Json& branches, const std::string& space,
                              const std::string& pointer) {
    if (branches.empty()) return fault(pointer, "a union without branches");
    const std::uint32_t first = add_children(branches.size());
    std::set<std::pair<Kind, std::uint32_t>> seen;
    canonical_ += '[';
    for (std::size_t i = 0; i < branches.size(); ++i) {
      const std::string place = json_pointer(pointer, i);
      if (i > 0) canonical_ += ',';
      if (branches[i].is_array()) return fault(place, "a union does not stand in a union");
      const std::uint32_t branch = compile_type(branches[i], space, place);
      if (!faults_.empty()) return 0;
      const Kind kind = schema_.node(branch).kind;
      if (kind == Kind::kUnion) return fault(place, "a union does not stand in a union");
      const bool is_named = kind == Kind::kRecord || kind == Kind::kEnum || kind == Kind::kFixed;
      if (!seen.emplace(kind, is_named ? branch : 0).second) {
        return fault(place, "a type that stands twice in a union");
      }
      schema_.children_[first + i].node = branch;
    }
    canonical_ += ']';
    return add({.kind = Kind::kUnion,
                .first = first,
                .count = static_cast<std::uint32_t>(branches.size())});
  }

  std::uint32_t compile_object(const Json& object, const std::string& space,
                               const std::string& pointer) {
    const auto type = object.find("type");
    if (type == object.end()) return fault(pointer, "a type without \"type\"");
    if (!type->is_string()) return compile_type(*type, space, pointer + "/type");
    const std::string& name = type->get_ref<const std::string&>();
    if (name == "record" || name == "error") return compile_record(object, space, pointer);
    if (name == "enum") return compile_enum(object, space, pointer);
    if (name == "fixed") return compile_fixed(object, space, pointer);
    if (name == "array") return compile_items(object, "items", Kind::kArray, space, pointer);
    if (name == "map") return compile_items(object, "values", Kind::kMap, space, pointer);
    const std::uint32_t index = compile_name(name, space, pointer + "/type");
    if (name == "bytes" && faults_.empty()) read_decimal(object, pointer, schema_.nodes_[index]);
    return index;
  }

  std::uint32_t compile_items(const Json& object, const char* member, Kind kind,
                              const std::string& space, const std::string& pointer) {
    const auto items = object.find(member);
    if (items == object.end()) return fault(pointer, std::format("an {} is missing", member));
    canonical_ +=
        std::format(R"({{"type":"{}","{}":)", kind == Kind::kArray ? "array" : "map", member);
    const std::uint32_t index = compile_type(*items, space, json_pointer(pointer, member));
    canonical_ += '}';
    return add({.kind = kind, .first = index});
  }

  /// The full name of a named type, whose namespace counts for what is inside; empty with a fault.
  std::string full_name(const Json& object, std::string& space, const std::string& pointer) {
    const std::string* const name = text_of(object, "name");
    if (name == nullptr || !is_dotted_avro_name(*name)) {
      fault(pointer + "/name", "a named type has a name of letters, digits and _");
      return {};
    }
    if (const std::size_t dot = name->rfind('.'); dot != std::string::npos) {
      space = name->substr(0, dot);
    } else if (const std::string* const own = text_of(object, "namespace")) {
      if (!own->empty() && !is_dotted_avro_name(*own)) {
        fault(pointer + "/namespace", "a namespace is names with dots in between");
        return {};
      }
      space = *own;
    }
    const bool is_full = name->contains('.') || space.empty();
    std::string full = is_full ? *name : space + "." + *name;
    if (avro_primitive_of(full) || named_.contains(full)) {
      fault(pointer + "/name", std::format("a second type {}", full));
      return {};
    }
    return full;
  }

  std::uint32_t compile_record(const Json& object, std::string space, const std::string& pointer) {
    const std::string name = full_name(object, space, pointer);
    if (name.empty()) return 0;
    const auto fields = object.find("fields");
    if (fields == object.end() || !fields->is_array()) {
      return fault(pointer + "/fields", "a record has an array of fields");
    }
    const std::uint32_t first = add_children(fields->size());
    const std::uint32_t index = add({.kind = Kind::kRecord,
                                     .first = first,
                                     .count = static_cast<std::uint32_t>(fields->size())});
    named_.emplace(name, index);  // before its fields, which may be of this very type
    canonical_ += std::format(R"({{"name":"{}","type":"record","fields":[)", name);
    std::set<std::string> seen;
    for (std::size_t i = 0; i < fields->size(); ++i) {
      const std::string place = json_pointer(pointer + "/fields", i);
      const Json& field = (*fields)[i];
      const std::string* const own = field.is_object() ? text_of(field, "name") : nullptr;
      if (own == nullptr || !is_avro_name(*own)) return fault(place, "a field has a name");
      if (!seen.insert(*own).second) return fault(place, std::format("a second field {}", *own));
      if (!field.contains("type")) return fault(place, "a field has a type");
      canonical_ += std::format(R"({}{{"name":"{}","type":)", i > 0 ? "," : "", *own);
      const std::uint32_t type = compile_type(field["type"], space, place + "/type");
      canonical_ += '}';
      schema_.children_[first + i] = {.node = type, .name = *own};
    }
    canonical_ += "]}";
    return index;
  }

  std::uint32_t compile_enum(const Json& object, std::string space, const std::string& pointer) {
    const std::string name = full_name(object, space, pointer);
    if (name.empty()) return 0;
    const auto symbols = object.find("symbols");
    if (symbols == object.end() || !symbols->is_array() || symbols->empty()) {
      return fault(pointer + "/symbols", "an enum has an array of symbols");
    }
    const std::uint32_t first = add_children(symbols->size());
    canonical_ += std::format(R"({{"name":"{}","type":"enum","symbols":[)", name);
    for (std::size_t i = 0; i < symbols->size(); ++i) {
      const Json& symbol = (*symbols)[i];
      if (!symbol.is_string() || !is_avro_name(symbol.get_ref<const std::string&>())) {
        return fault(json_pointer(pointer + "/symbols", i), "a symbol is a name");
      }
      schema_.children_[first + i].name = symbol.get<std::string>();
      if (schema_.children_[first + i].name.size() > AvroSchema::kMaxSymbol) {
        return fault(json_pointer(pointer + "/symbols", i),
                     std::format("a symbol of more than {} bytes", AvroSchema::kMaxSymbol));
      }
      canonical_ += std::format("{}\"{}\"", i > 0 ? "," : "", schema_.children_[first + i].name);
    }
    canonical_ += "]}";
    const std::uint32_t index = add({.kind = Kind::kEnum,
                                     .first = first,
                                     .count = static_cast<std::uint32_t>(symbols->size())});
    named_.emplace(name, index);
    return index;
  }

  std::uint32_t compile_fixed(const Json& object, std::string space, const std::string& pointer) {
    const std::string name = full_name(object, space, pointer);
    if (name.empty()) return 0;
    const auto size = object.find("size");
    if (size == object.end() || !size->is_number_unsigned() ||
        size->get<std::uint64_t>() > AvroSchema::kMaxFixedSize) {
      return fault(pointer + "/size",
                   std::format("a fixed has a size of at most {}", AvroSchema::kMaxFixedSize));
    }
    AvroSchema::Node node{.kind = Kind::kFixed, .size = size->get<std::uint32_t>()};
    read_decimal(object, pointer, node);
    canonical_ += std::format(R"({{"name":"{}","type":"fixed","size":{}}})", name, node.size);
    const std::uint32_t index = add(node);
    named_.emplace(name, index);
    return index;
  }

  void read_decimal(const Json& object, const std::string& pointer, AvroSchema::Node& node) {
    const std::string* const logical = text_of(object, "logicalType");
    if (logical == nullptr || *logical != "decimal") return;
    const auto scale = object.find("scale");
    if (scale != object.end() &&
        (!scale->is_number_unsigned() || scale->get<std::uint64_t>() > kMaxScale)) {
      fault(pointer + "/scale", std::format("a scale is at most {}", kMaxScale));
      return;
    }
    node.is_decimal = true;
    node.scale = scale == object.end() ? 0 : scale->get<std::uint32_t>();
  }

  AvroSchema& schema_;
  std::string canonical_{};
  std::map<std::string, std::uint32_t, std::less<>> named_{};
  std::vector<FieldFault> faults_{};
};

Result<std::shared_ptr<const AvroSchema>> AvroSchema::compile(std::string_view document) {
  SLUICE_TRY_ASSIGN(const Json json, parse_json(document, kMaxNesting));
  // The constructor is private: no make_shared. Owners are the catalogue and those who decode with
  // it.
  const std::shared_ptr<AvroSchema> schema(new AvroSchema());
  AvroCompiler compiler(*schema);
  compiler.compile(json);
  if (!compiler.faults().empty()) {
    return fail(Error(ErrorCode::kInvalidArgument, "the document is no Avro schema")
                    .with_faults(std::move(compiler.faults())));
  }
  return schema;
}

}  // namespace sluice::validator
