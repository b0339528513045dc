#include "core/shape.h"

#include "core/json.h"
#include "core/new_device.h"

#include <array>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace sluice::registry {
namespace {

using Type = Field::Type;

constexpr std::array<std::string_view, 2> kColours{"red", "blue"};
constexpr std::array kInner{Field{.name = "count", .type = Type::kInteger, .min = 1, .max = 5}};
constexpr std::array kShape{
    Field{.name = "id", .type = Type::kId, .is_required = true},
    Field{.name = "name", .type = Type::kText, .min = 1, .max = 3},
    Field{.name = "colour", .type = Type::kOneOf, .one_of = kColours},
    Field{.name = "at", .type = Type::kTime},
    Field{.name = "inner", .type = Type::kObject, .fields = kInner},
    Field{.name = "list", .type = Type::kList, .min = 0, .max = 2, .fields = kInner},
    Field{.name = "more", .type = Type::kAttributes},
};

/// Where the faults of a document are.
std::string faults(const std::string& text) {
  const auto document = parse_json(text);
  if (!document) return "json: " + document.error().message();
  std::string out;
  for (const FieldFault& fault : check_shape(*document, kShape))
    out += (out.empty() ? "" : " ") + fault.field;
  return out;
}

TEST(Shape, TakesWhatFits) {
  EXPECT_EQ(
      faults(
          R"({"id":"a","name":"äöü","colour":"red","at":"2026-01-31T12:00:00Z","inner":{"count":5.0},
                       "list":[{"count":1}],"more":{"x":[1,{"y":null}]}})"),
      "");
  EXPECT_EQ(faults(R"({"id":"a","name":null})"), "");
}

TEST(Shape, NamesEveryFaultByItsPlace) {
  EXPECT_EQ(faults("{}"), "/id");
  EXPECT_EQ(faults("[]"), "");  // "" is the pointer of the whole document
  EXPECT_EQ(faults(R"({"id":"a/b"})"), "/id");
  EXPECT_EQ(faults(R"({"id":"a","name":"four"})"), "/name");
  EXPECT_EQ(faults(R"({"id":"a","name":"a\u0007"})"), "/name");
  EXPECT_EQ(faults(R"({"id":"a","colour":"green","at":"yesterday"})"), "/at /colour");
  EXPECT_EQ(faults(R"({"id":"a","inner":{"count":6,"b/c":1}})"), "/inner/b~1c /inner/count");
  EXPECT_EQ(faults(R"({"id":"a","inner":{"count":1.5}})"), "/inner/count");
  EXPECT_EQ(faults(R"({"id":"a","list":[{"count":1},{"count":"1"}]})"), "/list/1/count");
  EXPECT_EQ(faults(R"({"id":"a","list":[{},{},{}]})"), "/list");
  EXPECT_EQ(faults(R"({"id":"a","other":null})"), "/other");
}

TEST(Shape, StopsAfterABoundedNumberOfFaults) {
  Json document = Json::object();
  for (int i = 0; i < 1000; ++i) document[std::to_string(i)] = i;
  EXPECT_EQ(check_shape(document, kShape).size(), kMaxFaults);
}

TEST(Shape, BoundsAttributes) {
  Json deep = 1;
  for (std::size_t i = 0; i <= kMaxAttributesDepth; ++i) deep = Json{{"a", deep}};
  Json wide = Json::object();
  for (std::size_t i = 0; i <= kMaxAttributes; ++i) wide[std::to_string(i)] = nullptr;
  Json many = Json::object();
  for (std::size_t i = 0; i <= kMaxAttributeScalars; ++i) many[i % 2 == 0 ? "a" : "b"].push_back(1);
  const Json huge{{"a", 1e31}};
  const Json tiny{{"a", {{"b", -1e-31}}}};
  const Json large{{"a", std::string(kMaxAttributesSize, 'x')}};
  for (const Json& more : {deep, wide, many, huge, tiny, large}) {
    EXPECT_EQ(check_shape({{"id", "a"}, {"more", more}}, kShape).size(), 1U);
  }
}

TEST(Shape, TakesTheNumbersOfScience) {
  const Json more{{"charge", 1.602176634e-19}, {"count", 6.02214076e23}, {"none", 0.0}};
  EXPECT_TRUE(check_shape({{"id", "a"}, {"more", more}}, kShape).empty());
}

TEST(Shape, TakesTimesThatTheDatabaseHas) {
  for (const char* time : {"0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"})
    EXPECT_TRUE(is_time(time)) << time;
  for (const char* time :
       {"0000-12-31T23:59:59Z", "0001-01-01T00:30:00+01:00", "9999-12-31T23:30:00-01:00"}) {
    EXPECT_FALSE(is_time(time)) << time;
  }
  EXPECT_EQ(faults(R"({"id":"a","at":"0000-01-31T12:00:00Z"})"), "/at");
}

TEST(Shape, NormalizesWholeNumbersAndNulls) {
  const Json document{
      {"id", "a"}, {"name", nullptr}, {"inner", {{"count", 5.0}}}, {"more", {{"x", nullptr}}}};
  EXPECT_EQ(normalize(document, kShape).dump(),
            R"({"id":"a","inner":{"count":5},"more":{"x":null}})");
}

}  // namespace
}  // namespace sluice::registry
