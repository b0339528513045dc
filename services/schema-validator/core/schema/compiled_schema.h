#pragma once

#include "core/decode/avro_schema.h"
#include "core/decode/protobuf_schema.h"
#include "core/payload/sample.h"
#include "core/schema/unit_table.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/base/result.h>

namespace sluice::validator {

/// The language a schema is written in.
enum class SchemaKind : std::uint8_t { kJsonSchema, kAvro, kMetricsTable, kProtobuf };
std::string_view name_of(SchemaKind kind);

/// Bounds of what may be registered.
struct CompileLimits {
  std::size_t max_document = 1024 * 1024;  // bytes
  std::size_t max_depth = 32;              // nesting of the document
  std::size_t max_metrics = 1024;
  std::size_t max_faults = 32;  // told at once
  std::size_t max_name = 256;   // bytes of a metric's name, which stands in each of its readings
  /// Bytes of a text default: each sample that lacks the metric gets one.
  std::size_t max_default = 4096;
  /// Bytes of what it is compiled into, about: members that refer to one definition have a copy
  /// each, and definitions that refer to themselves twice would double at each level.
  std::size_t max_compiled = 32 * 1024 * 1024;
};

/// What a schema says of one metric. Its index in metrics() is Reading::metric_id.
struct MetricInfo {
  std::string name{};  // members of objects joined by dots: "engine.temperature"
  /// nullopt: the payload decides, value by value.
  std::optional<ValueType> type{};
  std::string unit{};
  bool is_required = false;
};

struct FlatPlan;
struct Program;

/// A registered document, ready to judge payloads. Immutable; shared by the workers that judge.
class CompiledSchema {
 public:
  CompiledSchema(SchemaKind kind, std::unique_ptr<const Program> program);
  ~CompiledSchema();

  SchemaKind kind() const { return kind_; }
  std::span<const MetricInfo> metrics() const;
  /// What the decoder needs to read a payload; null where the schema is of another kind.
  const AvroSchema* avro() const;
  const ProtobufSchema* protobuf() const;
  /// Whether every rule is checked as the payload is read. Otherwise the payload is kept until its
  /// end and judged then, which takes several times as long.
  bool is_one_pass() const;

  const Program& program() const { return *program_; }
  /// How the common shapes of JSON are read by it; null where it is not one-pass.
  const FlatPlan* flat() const { return flat_.get(); }

 private:
  const SchemaKind kind_;
  const std::unique_ptr<const Program> program_;
  const std::unique_ptr<const FlatPlan> flat_;  // of *program_
};

/// Compiles a document. The error is kInvalidArgument, reason "invalid_schema", and has a fault
/// with the JSON pointer of every place that is wrong or asks for what is not supported.
///
/// The document of a Protobuf schema is a metrics table with two members more: `descriptor_set`, a
/// FileDescriptorSet in base64, and `message`, the full name of the message type.
Result<std::shared_ptr<const CompiledSchema>> compile(SchemaKind kind, std::string_view document,
                                                      const UnitTable& units,
                                                      const CompileLimits& limits);

}  // namespace sluice::validator
