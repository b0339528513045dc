#include <sluice/json/json.h>

#include <format>
#include <string>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace sluice {
namespace {

void refuses(std::string_view text, std::string_view pointer, std::string_view message) {
  const auto parsed = parse_json(text);
  ASSERT_FALSE(parsed) << text;
  EXPECT_EQ(parsed.error().code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(parsed.error().reason(), "malformed_json");
  ASSERT_EQ(parsed.error().faults().size(), 1U);
  EXPECT_EQ(parsed.error().faults()[0].field, pointer) << text;
  EXPECT_NE(parsed.error().faults()[0].message.find(message), std::string::npos)
      << text << ": " << parsed.error().faults()[0].message;
}

TEST(ParseJson, ReadsEveryKindOfValueAsItIs) {
  const auto parsed = parse_json(R"( {"a":[1,-2,18446744073709551615,1.5,true,null],"ü":"é\n"} )");
  ASSERT_TRUE(parsed);
  EXPECT_EQ((*parsed)["a"][2].get<std::uint64_t>(), 18446744073709551615U);
  EXPECT_TRUE((*parsed)["a"][1].is_number_integer());
  EXPECT_EQ((*parsed)["ü"], "é\n");
  EXPECT_EQ(parse_json("7")->get<int>(), 7);
}

TEST(ParseJson, TellsWhereAMemberIsThatComesTwice) {
  refuses(R"({"a":1,"a":2})", "/a", "twice");
  refuses(R"({"list":[{},{"x/y":{"~":1,"~":2}}]})", "/list/1/x~1y/~0", "twice");
  EXPECT_TRUE(parse_json(R"({"a":{"a":1},"b":{"a":1}})"));
}

TEST(ParseJson, RefusesWhatProgramsReadDifferently) {
  refuses("", "", "empty");
  refuses("\xEF\xBB\xBF{}", "", "byte order mark");
  refuses(R"({"a":"x\u0000y"})", "/a", "U+0000");
  refuses(R"({"a\u0000":1})", "/", "U+0000");
  refuses(R"({"a":1e999})", "/a", "out of range");
  refuses("\"\xFF\"", "", "not valid JSON");
  refuses(R"("\ud800")", "", "not valid JSON");
  refuses("{} {}", "", "not valid JSON");
  refuses("[1,]", "/1", "not valid JSON");
  refuses("NaN", "", "not valid JSON");
  refuses("{\n \"a\": x}", "/a", "line 2, column 7");
}

TEST(ParseJson, RefusesWhatTheStandardLeavesOpen) {
  for (const char* text :
       {" ", "{", "{}x", "{'a':1}", "// x\n{}", "01", "\"\xed\xa0\x80\"", "\"\x01\""}) {
    EXPECT_FALSE(parse_json(text)) << text;
  }
}

TEST(ParseJson, RefusesNumbersThatWouldComeBackAsOthers) {
  refuses(R"({"a":[1,0.123456789012345678]})", "/a/1", "17 digits");
  EXPECT_FALSE(parse_json("123456789012345678901"));
  EXPECT_FALSE(parse_json("1.00000000000000000001e2"));
  EXPECT_TRUE(parse_json("0.30000000000000004"));
  EXPECT_TRUE(parse_json("1.00000000000000000000"));
  EXPECT_TRUE(parse_json("100000000000000000000000"));
}

TEST(ParseJson, BoundsTheDepth) {
  const auto nested = [](std::size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
  };
  EXPECT_TRUE(parse_json(nested(kMaxJsonDepth)));
  EXPECT_FALSE(parse_json(nested(kMaxJsonDepth + 1)));
  EXPECT_FALSE(parse_json(nested(100'000)));
  EXPECT_FALSE(parse_json(nested(3), 2));
}

TEST(ParseJsonObject, RefusesOtherValues) {
  EXPECT_TRUE(parse_json_object("{}"));
  EXPECT_FALSE(parse_json_object("[]"));
}

TEST(JsonPointer, EscapesNames) {
  EXPECT_EQ(json_pointer("", "a"), "/a");
  EXPECT_EQ(json_pointer("/a", "b/c~d"), "/a/b~1c~0d");
  EXPECT_EQ(json_pointer("/a", std::size_t{3}), "/a/3");
}

TEST(ToJsonText, ReplacesInvalidUtf8) {
  EXPECT_EQ(to_json_text(nlohmann::json("a\xFF")), "\"a\xEF\xBF\xBD\"");
}

}  // namespace
}  // namespace sluice
