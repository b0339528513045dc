#include "core/schema/compiled_schema.h"

#include "core/schema/flat_plan.h"
#include "core/schema/lowering.h"
#include "core/schema/program.h"

#include <algorithm>
#include <utility>

#include <sluice/base/encoding.h>
#include <sluice/json/json.h>

#include <nlohmann/json.hpp>

namespace sluice::validator {
namespace {

using nlohmann::json;

std::unexpected<Error> invalid(std::vector<FieldFault> faults) {
  return fail(Error(ErrorCode::kInvalidArgument, "the schema cannot be used")
                  .with_reason("invalid_schema")
                  .with_faults(std::move(faults)));
}

std::optional<Draft> draft_of(const json& document, std::vector<FieldFault>& faults) {
  if (!document.is_object() || !document.contains("$schema")) return Draft::k2020;
  std::string name = document["$schema"].is_string() ? document["$schema"].get<std::string>() : "";
  if (name.ends_with('#')) name.pop_back();
  if (name == "https://json-schema.org/draft/2020-12/schema") return Draft::k2020;
  if (name == "http://json-schema.org/draft-07/schema") return Draft::k7;
  faults.push_back({"/$schema", "drafts 2020-12 and 7 are supported"});
  return std::nullopt;
}

Result<> read_protobuf(const json& table, Program& program) {
  std::vector<FieldFault> faults;
  for (const char* const name : {"message", "descriptor_set"}) {
    if (!table.contains(name) || !table[name].is_string()) {
      faults.push_back({std::string("/") + name, "expected a text"});
    }
  }
  if (!faults.empty()) return invalid(std::move(faults));
  std::string text = table["descriptor_set"].get<std::string>();
  std::ranges::replace(text, '+', '-');
  std::ranges::replace(text, '/', '_');
  text.erase(std::min(text.find('='), text.size()));
  const auto bytes = from_base64url(text);
  if (!bytes) return invalid({{"/descriptor_set", "no base64"}});
  auto compiled = ProtobufSchema::compile(*bytes, table["message"].get_ref<const std::string&>());
  if (!compiled) return invalid({{"/descriptor_set", compiled.error().message()}});
  program.protobuf = *std::move(compiled);
  return {};
}

}  // namespace

std::string_view name_of(SchemaKind kind) {
  switch (kind) {
    case SchemaKind::kJsonSchema:
      return "json_schema";
    case SchemaKind::kAvro:
      return "avro";
    case SchemaKind::kMetricsTable:
      return "metrics_table";
    case SchemaKind::kProtobuf:
      return "protobuf";
  }
  return "";
}

CompiledSchema::CompiledSchema(SchemaKind kind, std::unique_ptr<const Program> program)
    : kind_(kind),
      program_(std::move(program)),
      flat_(is_one_pass() ? std::make_unique<const FlatPlan>(program_.get()) : nullptr) {}
CompiledSchema::~CompiledSchema() = default;

std::span<const MetricInfo> CompiledSchema::metrics() const { return program_->metrics; }
const AvroSchema* CompiledSchema::avro() const { return program_->avro.get(); }
const ProtobufSchema* CompiledSchema::protobuf() const { return program_->protobuf.get(); }
bool CompiledSchema::is_one_pass() const { return program_->rules == nullptr; }

Result<std::shared_ptr<const CompiledSchema>> compile(SchemaKind kind, std::string_view document,
                                                      const UnitTable& units,
                                                      const CompileLimits& limits) {
  if (document.size() > limits.max_document) {
    return invalid({{"", "more than " + std::to_string(limits.max_document) + " bytes"}});
  }
  auto parsed = parse_json(document, limits.max_depth);
  if (!parsed) {
    auto faults = parsed.error().faults();
    if (faults.empty()) faults.push_back({"", parsed.error().message()});
    return invalid(std::move(faults));
  }
  auto program = std::make_unique<Program>();
  program->units = units;
  std::vector<FieldFault> faults;
  json schema;
  switch (kind) {
    case SchemaKind::kJsonSchema:
      schema = *std::move(parsed);
      break;
    case SchemaKind::kMetricsTable:
      schema = schema_of_table(*parsed, false, faults);
      break;
    case SchemaKind::kProtobuf:
      schema = schema_of_table(*parsed, true, faults);
      if (faults.empty()) SLUICE_TRY(read_protobuf(*parsed, *program));
      break;
    case SchemaKind::kAvro: {
      SLUICE_TRY_ASSIGN(program->avro, AvroSchema::compile(document));
      schema = schema_of_avro(*parsed, faults);
      break;
    }
  }
  const auto draft = draft_of(schema, faults);
  if (!faults.empty()) return invalid(std::move(faults));
  auto rules = JsonRules::compile(schema, *draft, faults, limits.max_faults);
  if (!faults.empty()) return invalid(std::move(faults));
  const bool is_flat = Lowering(schema, units, limits, faults).run(*program);
  if (!faults.empty()) return invalid(std::move(faults));
  if (!is_flat) program->rules = std::move(rules);
  program->normal_form = schema.dump();
  return std::make_shared<const CompiledSchema>(kind, std::move(program));
}

}  // namespace sluice::validator
