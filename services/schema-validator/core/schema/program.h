#pragma once

#include "core/schema/compiled_schema.h"
#include "core/schema/json_rules.h"

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace re2 {
class RE2;
}

namespace sluice::validator {

// What a schema is compiled into: flat tables that the Extractor walks as the payload is read.

/// Types that a value may have, as bits.
enum TypeBits : std::uint8_t {
  kNullBit = 1,
  kBoolBit = 2,
  kIntegerBit = 4,
  kNumberBit = 8,  // any number, integers among them
  kStringBit = 16,
  kBytesBit = 32,
  kObjectBit = 64,
  kArrayBit = 128,
};
inline constexpr std::uint8_t kScalarBits =
    kNullBit | kBoolBit | kIntegerBit | kNumberBit | kStringBit | kBytesBit;

/// A value of the schema itself: of an enum, or a default.
struct Literal {
  ValueType type = ValueType::kDouble;
  double number = 0;
  std::int64_t integer = 0;
  std::string text{};
};

/// What becomes of members that the schema does not name.
enum class Additional : std::uint8_t { kReject, kIgnore, kKeep };

/// What a named member is.
enum class Role : std::uint8_t {
  kMetric,
  kChecked,   // beside the metrics: checked, and no reading
  kObject,    // its members are named again
  kAnything,  // judged by the rules alone
  kTime,
  kSequence,
  kBuffered,
};

struct Field {
  std::string key{};
  Role role = Role::kMetric;
  std::uint8_t types = kScalarBits;
  std::optional<ValueType> store{};  // nullopt: as it came
  std::uint32_t metric = 0;          // into Program::metrics
  std::uint32_t object = 0;          // of kObject: into Program::objects
  bool has_bounds = false;
  bool has_text_rules = false;
  // Both ends belong to the range: an exclusive bound is kept as the next number inside it.
  double minimum = -std::numeric_limits<double>::infinity();
  double maximum = std::numeric_limits<double>::infinity();
  std::int64_t minimum_integer = std::numeric_limits<std::int64_t>::min();
  std::int64_t maximum_integer = std::numeric_limits<std::int64_t>::max();
  std::uint32_t minimum_length = 0;  // characters
  std::uint32_t maximum_length = std::numeric_limits<std::uint32_t>::max();
  std::shared_ptr<const re2::RE2> pattern{};  // owned by this and by the rules
  std::vector<Literal> allowed{};             // enum; empty: any
  std::optional<Conversion> source{};         // of values that name no unit
  std::optional<Literal> preset{};            // default
};

struct ObjectRule {
  Additional additional = Additional::kIgnore;
  std::vector<std::uint32_t> fields{};  // into Program::fields, in the schema's order
  std::vector<std::uint32_t> required{};
  std::vector<std::uint32_t> presets{};  // those with a default
  std::unordered_map<std::string_view, std::uint32_t> by_key{};
};

struct Program {
  std::vector<Field> fields{};
  std::vector<ObjectRule> objects{};  // the first is the root; none: no schema
  std::vector<MetricInfo> metrics{};
  std::vector<std::uint64_t> metric_hashes{};  // hash_text() of their names
  std::unordered_map<std::string_view, std::uint32_t> metric_by_name{};
  UnitTable units{};
  /// The root names `metrics` or `values` itself; else it is what they hold.
  bool is_envelope = false;
  /// What the tables cannot say, applied to the whole sample; null where they say all.
  std::unique_ptr<const JsonRules> rules{};
  std::shared_ptr<const AvroSchema> avro{};          // owned by this and by whoever decodes
  std::shared_ptr<const ProtobufSchema> protobuf{};  // likewise
  /// The document as JSON Schema, which all kinds are brought to first: what compatibility is
  /// judged by.
  std::string normal_form{};
};

}  // namespace sluice::validator
