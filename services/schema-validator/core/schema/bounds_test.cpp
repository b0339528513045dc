// Few bytes must not become many: what a schema, or a message judged by it, may make of itself.
#include "core/payload/json_decoder.h"
#include "core/schema/compatibility.h"
#include "core/schema/compiled_schema.h"
#include "core/schema/extractor.h"

#include <format>
#include <string>

#include <sluice/base/planted_bug.h>

#include <gtest/gtest.h>

namespace sluice::validator {
namespace {

std::shared_ptr<const CompiledSchema> compiled(std::string_view document, SchemaKind kind) {
  auto made = compile(kind, document, UnitTable::built_in(), {});
  EXPECT_TRUE(made.has_value());
  return made ? *made : nullptr;
}

/// The first fault of a document that is refused, as "field: message".
std::string fault_of(std::string_view document, SchemaKind kind = SchemaKind::kMetricsTable,
                     const CompileLimits& limits = {}) {
  const auto made = compile(kind, document, UnitTable::built_in(), limits);
  if (made) return "taken";
  const FieldFault fault = made.error().faults().at(0);
  return fault.field + ": " + fault.message;
}

/// A payload of so many samples, {"a":1} each.
std::string samples(std::size_t count) {
  std::string json = "[";
  for (std::size_t i = 0; i < count; ++i) json += i > 0 ? R"(,{"a":1})" : R"({"a":1})";
  return json + "]";
}

/// The rejection of a payload, as "reason pointer: detail".
std::string judge(const CompiledSchema& schema, std::string json, const ExtractPolicy& policy,
                  Extracted& into) {
  const std::size_t size = json.size();
  json.resize(size + kPayloadPadding, ' ');
  const auto payload = std::as_bytes(std::span(json.data(), size));
  Extractor extractor(policy);
  JsonDecoder decoder;
  extractor.begin(&schema, into, payload);
  auto rejection = decoder.decode(payload, {}, extractor);
  if (!rejection) rejection = extractor.finish();
  if (!rejection) return "taken";
  return std::format("{} {}: {}", name_of(rejection->reason), rejection->pointer,
                     rejection->detail);
}

TEST(Bounds, DefaultsMakeNoMoreReadingsThanAPayloadMayHaveValues) {
  std::string document = R"({"metrics": [{"name": "a", "type": "int64"})";
  for (int i = 0; i < 99; ++i) {
    document += std::format(R"(,{{"name":"d{:02}","type":"double","default":1}})", i);
  }
  const auto schema = compiled(document + "]}", SchemaKind::kMetricsTable);
  ASSERT_NE(schema, nullptr);
  Extracted into;
  EXPECT_EQ(judge(*schema, samples(10), {.max_readings = 1'000}, into), "taken");
  EXPECT_EQ(into.readings.size(), 1'000U);
  Extracted refused;
  EXPECT_EQ(judge(*schema, samples(10'000), {.max_readings = 1'000}, refused),
            "payload_too_complex /10/d00: with its defaults a message of more than 1000 readings");
  EXPECT_LE(refused.readings.capacity(), 2'000U) << "the room was taken all the same";
  const ScopedPlantedBug bug("validator_bounds_no_defaults");
  Extracted unbounded;
  EXPECT_EQ(judge(*schema, samples(10'000), {.max_readings = 1'000}, unbounded), "taken");
  EXPECT_EQ(unbounded.readings.size(), 1'000'000U) << "of 80 KB";
}

TEST(Bounds, NamesThatArePutTogetherTakeNoMoreThanTextsMay) {
  const std::string prefix(200, 'p');
  std::string json = R"({")" + prefix + R"(":{"a0":1)";
  for (int i = 1; i < 500; ++i) json += std::format(R"(,"a{}":1)", i);
  const auto schema =
      compiled(R"({"metrics": [{"name": "x", "type": "int64"}], "additional": "keep"})",
               SchemaKind::kMetricsTable);
  ASSERT_NE(schema, nullptr);
  Extracted into;
  EXPECT_EQ(judge(*schema, json + "}}", {}, into), "taken");
  EXPECT_GT(into.texts.size(), 100'000U);
  Extracted refused;
  EXPECT_EQ(judge(*schema, json + "}}", {.max_texts = 10'000}, refused),
            "payload_too_complex /" + prefix +
                "/a49: names and texts of more than 10000 bytes once they are spelled out");
  EXPECT_LE(refused.texts.capacity(), 20'000U);
}

TEST(Bounds, ATextDefaultIsShort) {
  const auto with_default = [](std::size_t size) {
    return R"({"metrics": [{"name": "a", "type": "int64"},
                           {"name": "s", "type": "string", "default": ")" +
           std::string(size, 'x') + R"("}]})";
  };
  EXPECT_EQ(fault_of(with_default(4'096)), "taken");
  EXPECT_EQ(fault_of(with_default(4'097)), "/properties/s/default: a text of more than 4096 bytes");
  EXPECT_EQ(fault_of(R"({"properties":{"s":{"type":"string","default":"12345"}}})",
                     SchemaKind::kJsonSchema, {.max_default = 4}),
            "/properties/s/default: a text of more than 4 bytes");
}

TEST(Bounds, AMetricsNameIsShortAsThatOfAnyOther) {
  const auto named = [](const std::string& name) {
    return R"({"metrics": [{"name": ")" + name + R"(", "type": "int64"}]})";
  };
  EXPECT_EQ(fault_of(named(std::string(256, 'n'))), "taken");
  EXPECT_TRUE(fault_of(named(std::string(257, 'n'))).ends_with(": a name of more than 256 bytes"));
  EXPECT_TRUE(fault_of(named(std::string(200, 'n') + "." + std::string(200, 'n')))
                  .ends_with(": a name of more than 256 bytes"));
}

TEST(Bounds, ReferencesDoNotMultiplyASchema) {
  // A tree of 2^32 objects.
  const auto tree = [](const char* members) {
    return std::string(R"({"$defs": {"t": {"properties": {)") + members +
           R"(}}}, "properties": {"v": {"type": "number"}, "t": {"$ref": "#/$defs/t"}}})";
  };
  EXPECT_TRUE(fault_of(tree(R"("l": {"$ref": "#/$defs/t"}, "r": {"$ref": "#/$defs/t"})"),
                       SchemaKind::kJsonSchema)
                  .ends_with("once its references are followed"));
  EXPECT_EQ(fault_of(tree(R"("next": {"$ref": "#/$defs/t"})"), SchemaKind::kJsonSchema), "taken");
  // One long list that a thousand members share.
  std::string shared = R"({"$defs": {"e": {"type": "string", "enum": ["")";
  for (int i = 0; i < 1'000; ++i)
    shared += std::format(R"(,"{}")", std::string(200, 'x') + std::to_string(i));
  shared += R"(]}}, "properties": {"m": {"type": "number"})";
  for (int i = 0; i < 1'000; ++i) shared += std::format(R"(,"p{}":{{"$ref":"#/$defs/e"}})", i);
  EXPECT_TRUE(fault_of(shared + "}}", SchemaKind::kJsonSchema)
                  .ends_with("once its references are followed"));
}

TEST(Bounds, NamedTypesDoNotMultiplyASchema) {
  std::string type = R"({"type":"record","name":"All","fields":[{"name":"f0","type":)"
                     R"({"type":"record","name":"R0","fields":[{"name":"v","type":"bytes"}]}})";
  for (int i = 1; i < 28; ++i) {
    type += std::format(R"(,{{"name":"f{0}","type":{{"type":"record","name":"R{0}","fields":)"
                        R"([{{"name":"l","type":"R{1}"}},{{"name":"r","type":"R{1}"}}]}}}})",
                        i, i - 1);
  }
  const std::string fault = fault_of(type + "]}", SchemaKind::kAvro);
  EXPECT_TRUE(fault.ends_with("once the types that it names are written out")) << fault;
}

TEST(Bounds, ASymbolIsShort) {
  const auto with_symbol = [](std::size_t size) {
    return R"({"type": "record", "name": "R", "fields": [{"name": "s", "type":
               {"type": "enum", "name": "E", "symbols": ["A", ")" +
           std::string(size, 'S') + R"("]}}]})";
  };
  EXPECT_EQ(fault_of(with_symbol(256), SchemaKind::kAvro), "taken");
  EXPECT_TRUE(fault_of(with_symbol(257), SchemaKind::kAvro)
                  .ends_with("/symbols/1: a symbol of more than 256 bytes"));
}

TEST(Bounds, ManyFaultsAreNotAllTold) {
  std::string before = R"({"metrics": [{"name": "a", "type": "int64", "enum": [0)";
  for (int i = 1; i < 1'000; ++i) before += std::format(",{}", i);
  const auto from = compiled(before + "]}]}", SchemaKind::kMetricsTable);
  const auto to = compiled(R"({"metrics": [{"name": "a", "type": "int64", "enum": [0]}]})",
                           SchemaKind::kMetricsTable);
  EXPECT_EQ(incompatibilities(*from, *to).size(), 32U);
}

}  // namespace
}  // namespace sluice::validator
