#include <sluice/http/json_reader.h>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace sluice::http {
namespace {

using nlohmann::json;

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
