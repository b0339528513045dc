#include <sluice/http/json.h>

#include <sluice/http/json_reader.h>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace sluice::http {
namespace {

using nlohmann::json;

std::string nested(std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); }

TEST(ParseJson, RefusesWhatTheStandardLeavesOpen) {
  for (const char* text :
       {"", " ", "{", "{}x", "{}{}", "[1,]", "{'a':1}", "// x\n{}", "NaN", "01", "1e999",
        "\"\xff\"", "\"\xed\xa0\x80\"", "\"\\ud800\"", "\"\x01\"", "\xEF\xBB\xBF{}"}) {
    EXPECT_FALSE(parse_json(text)) << text;
  }
  EXPECT_TRUE(parse_json(nested(kMaxJsonDepth)));
  EXPECT_FALSE(parse_json(nested(kMaxJsonDepth + 1)));
  EXPECT_FALSE(parse_json(std::string(1 << 20, '[')));
}

TEST(ParseJson, TellsWhere) {
  EXPECT_EQ(parse_json("{\n  \"a\": x}").error().message(), "not valid JSON at line 2, column 8");
  const auto twice = parse_json(R"({"a": [0, {"b/c": 1, "d": 2, "b/c": 3}]})");
  ASSERT_FALSE(twice);
  EXPECT_EQ(twice.error().faults().at(0).field, "/a/1/b~1c");
}

TEST(ParseJson, LetsEqualNamesStandInDifferentObjects) {
  EXPECT_TRUE(parse_json(R"({"a": {"a": 1}, "b": [{"a": 1}, {"a": 2}]})"));
}

TEST(ParseJsonObject, WantsAnObject) { EXPECT_FALSE(parse_json_object("[]")); }

TEST(MergePatch, DeletesByNull) {
  EXPECT_EQ(merge_patch(json{{"a", 1}, {"b", {{"c", 1}, {"d", 2}}}},
                        json{{"a", nullptr}, {"b", {{"c", 3}}}}),
            (json{{"b", {{"c", 3}, {"d", 2}}}}));
}

TEST(JsonReader, ReadsWhatFits) {
  const json body =
      json::parse(R"({"id": "dev-1", "n": 3, "x": 1.5, "on": true, "at": "2026-01-31T12:00:00Z",
      "tags": ["a"], "labels": {"k": ""}, "in": {"a": "b"}, "list": [{"a": "c"}]})");
  JsonReader reader(body);
  EXPECT_EQ(reader.id("id"), "dev-1");
  EXPECT_EQ(reader.integer("n"), 3);
  EXPECT_EQ(reader.number("x"), 1.5);
  EXPECT_TRUE(reader.boolean("on"));
  EXPECT_EQ(format_rfc3339(reader.time("at")), "2026-01-31T12:00:00.000Z");
  EXPECT_EQ(reader.text_list("tags"), std::vector<std::string>{"a"});
  EXPECT_EQ(reader.optional_text_map("labels")->at("k"), "");
  reader.object("in", [](JsonReader& inner) { EXPECT_EQ(inner.text("a"), "b"); });
  reader.objects("list", {}, [](JsonReader& inner) { EXPECT_EQ(inner.text("a"), "c"); });
  EXPECT_EQ(reader.optional_text("absent"), std::nullopt);
  EXPECT_TRUE(reader.finish());
}

TEST(JsonReader, TellsAllFaultsWithTheirPointers) {
  const json body = json::parse(R"({"id": "a b", "n": 1.5, "big": 9223372036854775808, "null": null,
      "nul": "a\u0000", "one": "z", "in": {"who": 1}, "list": [{}, 3], "a/b": 1})");
  JsonReader reader(body);
  reader.text("missing");
  reader.id("id");
  reader.integer("n");
  reader.integer("big");
  EXPECT_EQ(reader.optional_text("null"), std::nullopt);
  reader.text("nul");
  reader.text("one", {.one_of = {"x", "y"}});
  reader.object("in", [](JsonReader&) {});
  reader.objects("list", {}, [](JsonReader& inner) { inner.text("a"); });
  const auto finished = reader.finish();
  ASSERT_FALSE(finished);
  std::vector<std::string> fields;
  for (const FieldFault& fault : finished.error().faults()) fields.push_back(fault.field);
  EXPECT_EQ(fields, (std::vector<std::string>{"/missing", "/id", "/n", "/big", "/null", "/nul",
                                              "/one", "/in/who", "/list/0/a", "/list/1", "/a~1b"}));
}

TEST(JsonReader, BoundsTheFaultsItTells) {
  json body = json::object();
  for (std::size_t i = 0; i < 2 * kMaxFaults; ++i) body["x" + std::to_string(i)] = 1;
  JsonReader reader(body);
  EXPECT_EQ(reader.finish().error().faults().size(), kMaxFaults);
}

TEST(JsonReader, TellsNullFromAbsent) {
  const json body = json::parse(R"({"a": null})");
  JsonReader reader(body);
  EXPECT_TRUE(reader.is_null("a"));
  EXPECT_FALSE(reader.is_null("b"));
  EXPECT_TRUE(reader.finish());
}

}  // namespace
}  // namespace sluice::http
