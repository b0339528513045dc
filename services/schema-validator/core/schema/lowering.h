#pragma once

#include "core/schema/compiled_schema.h"
#include "core/schema/json_rules.h"
#include "core/schema/program.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/base/error.h>

#include <nlohmann/json.hpp>

namespace sluice::validator {

/// Whether a keyword says nothing about what is valid.
bool is_annotation(const std::string& name);

/// Brings a JSON Schema into the flat tables of a Program, as far as they can say it.
class Lowering {
 public:
  Lowering(const nlohmann::json& document, const UnitTable& units, const CompileLimits& limits,
           std::vector<FieldFault>& faults)
      : document_(document), units_(units), limits_(limits), faults_(faults) {}

  /// False where rules remain that the tables cannot say: then they say what the metrics are, and
  /// nothing of what is valid.
  bool run(Program& program);

 private:
  using Json = nlohmann::json;
  enum class Region : std::uint8_t { kMetrics, kAround };  // around: beside `metrics`

  const Json& resolved(const Json& schema);
  std::uint32_t add_object(const Json& schema, const std::string& pointer,
                           const std::string& prefix, Region region, std::size_t depth);
  void add_field(Field& field, const Json& schema, const std::string& pointer,
                 const std::string& name, Region region, std::size_t depth);
  void add_metric(Field& field, const Json& schema, const std::string& pointer,
                  const std::string& name);
  std::uint8_t types_of(const Json& schema);
  void take_assertions(Field& field, const Json& schema, const std::string& pointer);
  void take_bound(Field& field, const std::string& keyword, const Json& value);
  void take_unit(Field& field, MetricInfo& metric, const Json& schema, const std::string& pointer);
  void take_preset(Field& field, const Json& schema, const std::string& pointer);
  std::optional<Literal> literal_of(const Json& value, const Field& field);
  void fault(const std::string& pointer, std::string message) {
    if (faults_.size() < limits_.max_faults) faults_.push_back({pointer, std::move(message)});
  }
  bool has_room_for(std::size_t bytes, const std::string& pointer);
  void forget_rules();

  const Json& document_;
  const UnitTable& units_;
  const CompileLimits& limits_;
  std::vector<FieldFault>& faults_;
  Program* program_ = nullptr;
  bool is_flat_ = true;
  std::size_t compiled_bytes_ = 0;  // about
};

/// Other languages as JSON Schema: what a metrics table, an Avro schema and the table of a Protobuf
/// schema say of metrics. A fault for each place that is wrong; then the value means nothing.
nlohmann::json schema_of_table(const nlohmann::json& table, bool is_protobuf,
                               std::vector<FieldFault>& faults);
nlohmann::json schema_of_avro(const nlohmann::json& avro, std::vector<FieldFault>& faults);

}  // namespace sluice::validator
