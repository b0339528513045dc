// What a schema says of one metric.
#include "core/schema/ecma_regex.h"
#include "core/schema/lowering.h"

#include <algorithm>
#include <cmath>

#include <sluice/json/json.h>

namespace sluice::validator {
namespace {

using nlohmann::json;

constexpr std::uint8_t kNumeric = kIntegerBit | kNumberBit;
constexpr double kExact = 9'007'199'254'740'992.0;  // 2^53: below it doubles hold every integer

std::int64_t saturated(double value) {
  if (value >= 9'223'372'036'854'775'807.0) return std::numeric_limits<std::int64_t>::max();
  if (value <= -9'223'372'036'854'775'808.0) return std::numeric_limits<std::int64_t>::min();
  return static_cast<std::int64_t>(value);
}

std::optional<ValueType> store_of(std::uint8_t types) {
  switch (types & ~kNullBit) {
    case kNumberBit:
    case kNumeric:
      return ValueType::kDouble;
    case kIntegerBit:
      return ValueType::kInt64;
    case kBoolBit:
      return ValueType::kBool;
    case kStringBit:
      return ValueType::kString;
    case kBytesBit:
      return ValueType::kBytes;
    default:
      return std::nullopt;
  }
}

}  // namespace

void Lowering::add_metric(Field& field, const json& schema, const std::string& pointer,
                          const std::string& name) {
  if (program_->metrics.size() >= limits_.max_metrics) {
    return fault(pointer, "more metrics than a schema may have");
  }
  field.role = Role::kMetric;
  field.store = store_of(field.types & kScalarBits);
  field.metric = static_cast<std::uint32_t>(program_->metrics.size());
  MetricInfo metric{.name = name, .type = field.store};
  if (name.empty()) fault(pointer, "a metric without a name");
  if (name.size() > limits_.max_name) {
    return fault(pointer, "a name of more than " + std::to_string(limits_.max_name) + " bytes");
  }
  take_unit(field, metric, schema, pointer);
  take_preset(field, schema, pointer);
  program_->metrics.push_back(std::move(metric));
}

void Lowering::take_assertions(Field& field, const json& schema, const std::string& pointer) {
  for (const auto& [name, value] : schema.items()) {
    if (name == "type" || is_annotation(name)) continue;
    if (name == "minimum" || name == "maximum" || name == "exclusiveMinimum" ||
        name == "exclusiveMaximum") {
      take_bound(field, name, value);
    } else if (name == "enum" || name == "const") {
      bool has_null = false;
      for (const json& each : name == "enum" ? value : json::array({value})) {
        if (each.is_null()) {
          has_null = true;
          continue;
        }
        auto literal = literal_of(each, field);
        if (!literal || (each.is_number() && std::abs(each.get<double>()) >= kExact)) {
          is_flat_ = false;
          continue;
        }
        if (!has_room_for(sizeof(Literal) + literal->text.size(), pointer)) return;
        field.allowed.push_back(*std::move(literal));
      }
      if (!has_null) field.types &= static_cast<std::uint8_t>(~kNullBit);
      if (field.allowed.empty()) is_flat_ = false;  // an empty list, or null alone
    } else if (name == "minLength" || name == "maxLength") {
      field.has_text_rules = true;
      const double length = value.is_number() ? value.get<double>() : 0;
      (name == "minLength" ? field.minimum_length : field.maximum_length) =
          static_cast<std::uint32_t>(std::clamp(length, 0.0, 4e9));
    } else if (name == "pattern" && value.is_string()) {
      field.has_text_rules = true;
      if (auto pattern = compile_ecma_regex(value.get<std::string>())) {
        field.pattern = *std::move(pattern);
      }
    } else {
      is_flat_ = false;
    }
  }
}

void Lowering::take_bound(Field& field, const std::string& keyword, const json& value) {
  if (!value.is_number()) return;  // a fault of the rules' own
  const double bound = value.get<double>();
  if (std::abs(bound) >= kExact) {
    is_flat_ = false;
    return;
  }
  field.has_bounds = true;
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (keyword == "minimum" || keyword == "exclusiveMinimum") {
    const bool is_exclusive = keyword != "minimum";
    field.minimum =
        std::max(field.minimum, is_exclusive ? std::nextafter(bound, kInfinity) : bound);
    field.minimum_integer = std::max(
        field.minimum_integer, saturated(is_exclusive ? std::floor(bound) + 1 : std::ceil(bound)));
  } else {
    const bool is_exclusive = keyword != "maximum";
    field.maximum =
        std::min(field.maximum, is_exclusive ? std::nextafter(bound, -kInfinity) : bound);
    field.maximum_integer = std::min(
        field.maximum_integer, saturated(is_exclusive ? std::ceil(bound) - 1 : std::floor(bound)));
  }
}

void Lowering::take_unit(Field& field, MetricInfo& metric, const json& schema,
                         const std::string& pointer) {
  const auto spelled = [&](const char* keyword) -> std::optional<std::string> {
    const auto found = schema.find(keyword);
    if (found == schema.end()) return std::nullopt;
    if (!found->is_string()) {
      fault(json_pointer(pointer, keyword), "expected a unit");
      return std::nullopt;
    }
    const std::string& unit = found->get_ref<const std::string&>();
    if (const auto canonical = units_.canonical(unit)) return std::string(*canonical);
    fault(json_pointer(pointer, keyword), "nobody knows the unit \"" + unit + "\"");
    return std::nullopt;
  };
  const auto unit = spelled(schema.contains("unit") ? "unit" : "x-unit");
  const auto source = spelled("x-source-unit");
  if (unit) {
    metric.unit = *unit;
    if ((field.types & kNumeric) == 0) fault(pointer, "only numbers have a unit");
  }
  if (!source) return;
  const auto conversion = unit ? units_.conversion(*source, *unit) : std::nullopt;
  if (!conversion) {
    fault(json_pointer(pointer, "x-source-unit"), "there is no way to the metric's unit");
  } else if (!conversion->is_identity()) {
    field.source = conversion;
  }
}

std::optional<Literal> Lowering::literal_of(const json& value, const Field& field) {
  Literal literal;
  if (value.is_boolean()) {
    literal.type = ValueType::kBool;
    literal.integer = value.get<bool>() ? 1 : 0;
    return (field.types & kBoolBit) != 0 ? std::optional(literal) : std::nullopt;
  }
  if (value.is_string()) {
    literal.type = ValueType::kString;
    literal.text = value.get<std::string>();
    return (field.types & kStringBit) != 0 ? std::optional(literal) : std::nullopt;
  }
  if (!value.is_number() || (field.types & kNumeric) == 0) return std::nullopt;
  literal.number = value.get<double>();
  const bool is_whole = std::trunc(literal.number) == literal.number;
  if (value.is_number_unsigned() && value.get<std::uint64_t>() > INT64_MAX) return std::nullopt;
  if (value.is_number_integer()) {
    literal.integer = value.get<std::int64_t>();
    literal.type = ValueType::kInt64;
  } else {
    if ((field.types & kNumberBit) == 0 && !is_whole) return std::nullopt;
    literal.type = ValueType::kDouble;
    if (is_whole && std::abs(literal.number) < kExact) {
      literal.type = ValueType::kInt64;
      literal.integer = static_cast<std::int64_t>(literal.number);
    }
  }
  return literal;
}

void Lowering::take_preset(Field& field, const json& schema, const std::string& pointer) {
  const auto found = schema.find("default");
  if (found == schema.end() || found->is_null()) return;
  auto literal = literal_of(*found, field);
  if (!literal) return fault(json_pointer(pointer, "default"), "not of the metric's type");
  if (literal->text.size() > limits_.max_default) {
    return fault(json_pointer(pointer, "default"),
                 "a text of more than " + std::to_string(limits_.max_default) + " bytes");
  }
  if (field.store == ValueType::kDouble) literal->type = ValueType::kDouble;
  if (field.store == ValueType::kInt64) literal->type = ValueType::kInt64;
  field.preset = std::move(literal);
}

}  // namespace sluice::validator
