#include "core/schema/compatibility.h"

#include "core/schema/keywords.h"

#include <string>

#include <gtest/gtest.h>

namespace sluice::validator {
namespace {

std::shared_ptr<const CompiledSchema> compiled(SchemaKind kind, std::string_view document) {
  auto made = compile(kind, document, UnitTable::built_in(), {});
  if (made) return *made;
  for (const FieldFault& fault : made.error().faults()) {
    ADD_FAILURE() << fault.field << ": " << fault.message;
  }
  return nullptr;
}

/// The fields at fault, joined.
std::string faults(std::string_view from, std::string_view to,
                   SchemaKind kind = SchemaKind::kJsonSchema) {
  std::string fields;
  for (const FieldFault& fault : incompatibilities(*compiled(kind, from), *compiled(kind, to))) {
    fields += (fields.empty() ? "" : " ") + (fault.field.empty() ? "(root)" : fault.field);
  }
  return fields;
}

std::string refused(SchemaKind kind, std::string_view document) {
  const auto made = compile(kind, document, UnitTable::built_in(), {});
  std::string fields;
  if (made) return "accepted";
  for (const FieldFault& fault : made.error().faults()) {
    fields += (fields.empty() ? "" : " ") + (fault.field.empty() ? "(root)" : fault.field);
  }
  return fields;
}

constexpr std::string_view kBase = R"({"type":"object","properties":{
  "t":{"type":"number","minimum":0,"unit":"Cel"},"m":{"type":"string","enum":["a","b"]}}})";

TEST(Compatibility, LetsOptionalFieldsBeAddedAndRulesBeLoosened) {
  EXPECT_EQ(faults(kBase, kBase), "");
  EXPECT_EQ(faults(kBase, R"({"type":"object","title":"x","properties":{
      "t":{"type":"number","unit":"Cel","default":1},"m":{"type":"string","enum":["c","a","b"]},
      "new":{"type":"boolean"}}})"),
            "");
}

TEST(Compatibility, NamesEachFieldThatIsRemovedOrNarrowed) {
  EXPECT_EQ(faults(kBase, R"({"type":"object","properties":{"t":{"type":"number","minimum":0,
      "unit":"Cel"}}})"),
            "/properties/m");
  const auto with_t = [](std::string t) {
    return R"({"type":"object","properties":{"t":)" + t +
           R"(,"m":{"type":"string","enum":["a","b"]}}})";
  };
  for (const char* t :
       {R"({"type":"number","minimum":1,"unit":"Cel"})",
        R"({"type":"integer","minimum":0,"unit":"Cel"})",
        R"({"type":"number","minimum":0,"unit":"K"})", R"({"type":"number","minimum":0})",
        R"({"type":"number","minimum":0,"maximum":9,"unit":"Cel"})",
        R"({"type":"number","minimum":0,"unit":"Cel","enum":[1]})",
        R"({"type":"number","minimum":0,"unit":"Cel","multipleOf":2})",
        R"({"type":"number","minimum":0,"unit":"Cel","x-source-unit":"[degF]"})"}) {
    EXPECT_TRUE(faults(kBase, with_t(t)).starts_with("/properties/t")) << t;
  }
  EXPECT_EQ(faults(kBase, R"({"type":"object","properties":{"t":{"type":"number","minimum":0,
      "unit":"Cel"},"m":{"type":"string","enum":["a"]}}})"),
            "/properties/m");
  EXPECT_EQ(faults(kBase, R"({"type":"object","required":["t"],"properties":{"t":{"type":"number",
      "minimum":0,"unit":"Cel"},"m":{"type":"string","enum":["a","b"]}}})"),
            "/properties/t");
  EXPECT_EQ(faults(kBase, R"({"type":"object","additionalProperties":false,"properties":{
      "t":{"type":"number","minimum":0,"unit":"Cel"},"m":{"type":"string","enum":["a","b"]}}})"),
            "(root)");
}

TEST(Compatibility, TakesWhatCannotBeShownForHarmful) {
  EXPECT_EQ(faults(R"({"properties":{"t":{"type":"number"}},"not":{"required":["a"]}})",
                   R"({"properties":{"t":{"type":"number"}},"not":{"required":["b"]}})"),
            "(root)");
  EXPECT_EQ(faults(R"({"$defs":{"a":{"type":"number"}},"properties":{"t":{"$ref":"#/$defs/a"}}})",
                   R"({"$defs":{"a":{"type":"string"}},"properties":{"t":{"$ref":"#/$defs/a"}}})"),
            "(root)");
}

TEST(Compatibility, HoldsForTablesAndAvro) {
  EXPECT_EQ(faults(R"({"metrics":[{"name":"a","type":"double"}]})",
                   R"({"metrics":[{"name":"a","type":"int64"}]})", SchemaKind::kMetricsTable),
            "/properties/a /properties/a");
  constexpr std::string_view kAvro = R"({"type":"record","name":"R","fields":[
      {"name":"t","type":"double"}]})";
  EXPECT_EQ(faults(kAvro, R"({"type":"record","name":"R","fields":[{"name":"t","type":"double"},
      {"name":"u","type":["null","long"],"default":null}]})",
                   SchemaKind::kAvro),
            "");
  EXPECT_EQ(faults(kAvro, R"({"type":"record","name":"R","fields":[{"name":"t","type":"double"},
      {"name":"u","type":"long"}]})",
                   SchemaKind::kAvro),
            "/properties/u");
}

TEST(Compile, NamesEveryKeywordThatIsNotSupportedAndWhere) {
  EXPECT_EQ(refused(SchemaKind::kJsonSchema,
                    R"({"$dynamicRef":"#a","properties":{"t":{"type":"number","minimun":3}}})"),
            "/$dynamicRef /properties/t/minimun");
  EXPECT_EQ(refused(SchemaKind::kJsonSchema, R"({"properties":{"t":{"$ref":"http://x/y"}}})"),
            "/properties/t/$ref");
  EXPECT_EQ(refused(SchemaKind::kJsonSchema, R"x({"properties":{"t":{"type":"string",
      "pattern":"a(?=b)"}}})x"),
            "/properties/t/pattern");
  EXPECT_EQ(refused(SchemaKind::kJsonSchema, R"({"properties":{"u":{"type":"number",
      "unit":"parsec-ish"}}})"),
            "/properties/u/unit");
  EXPECT_EQ(
      refused(SchemaKind::kJsonSchema, R"({"$schema":"http://json-schema.org/draft-04/schema#"})"),
      "/$schema");
  EXPECT_EQ(refused(SchemaKind::kMetricsTable, R"({"metrics":[{"name":"a","type":"float32"},
      {"name":"b","type":"double","mni":3}],"x":1})"),
            "/x /metrics/0/type /metrics/1/mni");
  EXPECT_EQ(refused(SchemaKind::kMetricsTable, R"({"metrics":[{"name":"a","type":"double",
      "default":"warm"}]})"),
            "/properties/a/default");
}

TEST(UnitTable, ConvertsAndIsAddedTo) {
  UnitTable units = UnitTable::built_in();
  EXPECT_TRUE(units == UnitTable::built_in());
  EXPECT_NEAR(units.conversion("[degF]", "Cel")->apply(212), 100, 1e-9);
  EXPECT_NEAR(units.conversion("psi", "kPa")->apply(1), 6.894757293168, 1e-12);
  EXPECT_EQ(units.conversion("V", "A"), std::nullopt);
  EXPECT_TRUE(units.add({.name = "decidegree", .base = "°C", .factor = 0.1, .aliases = {"dC"}}));
  EXPECT_FALSE(units == UnitTable::built_in());
  EXPECT_NEAR(units.conversion("dC", "Cel")->apply(215), 21.5, 1e-9);
  EXPECT_FALSE(units.add({.name = "dC"}).has_value());
  EXPECT_FALSE(units.add({.name = "q", .base = "nothing"}).has_value());
  EXPECT_FALSE(units.add({.name = "z", .base = "m", .factor = 0}).has_value());
}

}  // namespace
}  // namespace sluice::validator
