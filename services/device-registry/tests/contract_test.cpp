// openapi.yaml, the router and the shapes of the core say the same thing.
#include "core/credential.h"
#include "core/device_status.h"
#include "core/query.h"
#include "core/resource.h"
#include "core/shape.h"
#include "unused_parts.h"

#include <algorithm>
#include <format>
#include <set>

#include <sluice/embedded/device_registry_openapi.h>
#include <sluice/http/openapi.h>
#include <sluice/http/request.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::registry::testing {
namespace {

using Type = Field::Type;

const http::OpenApi& description() {
  static const http::OpenApi parsed =
      http::OpenApi::parse(embedded::device_registry_openapi).value();
  return parsed;
}

/// The description as JSON, as GET /openapi.json answers it.
const Json& document() {
  static const Json parsed = [] {
    http::Router router;
    description().serve(router);
    const auto match = router.match("GET", "/openapi.json");
    return Json::parse(match.value().route->handler(http::Request()).value().body);
  }();
  return parsed;
}

Json resolved(Json schema) {
  while (schema.contains("$ref")) {
    schema = document().at(Json::json_pointer(schema["$ref"].get<std::string>().substr(1)));
  }
  return schema;
}

Json schema_named(const std::string& name) {
  return resolved({{"$ref", "#/components/schemas/" + name}});
}

bool has_type(const Json& schema, const std::string& type) {
  const Json types = schema.value("type", Json());
  return types.is_array() ? std::ranges::contains(types, Json(type)) : types == type;
}

class Comparison {
 public:
  /// Everything in which a schema differs from what the core checks.
  static std::vector<std::string> of(const Json& schema, Shape shape) {
    Comparison comparison;
    comparison.object(schema, shape, "");
    return comparison.differences_;
  }

 private:
  void expect(bool holds, const std::string& at, std::string_view what) {
    if (!holds) differences_.push_back(std::format("{}: {}", at, what));
  }

  void object(const Json& schema, Shape shape, const std::string& at) {
    expect(schema.value("additionalProperties", Json()) == Json(false), at,
           "additionalProperties is not false");
    std::set<std::string> required;
    std::set<std::string> named;
    for (const Json& name : schema.value("required", Json::array())) required.insert(name);
    const Json properties = schema.value("properties", Json::object());
    for (const auto& [name, property] : properties.items()) named.insert(name);
    for (const Field& field : shape) {
      const std::string name(field.name);
      const std::string place = at + "/" + name;
      if (!named.erase(name)) {
        differences_.push_back(place + ": is not in the schema");
        continue;
      }
      expect(required.contains(name) == field.is_required, place, "required differs");
      value(resolved(schema["properties"][name]), field, place);
    }
    for (const std::string& name : named)
      differences_.push_back(at + "/" + name + ": is not in the shape");
  }

  void value(const Json& schema, const Field& field, const std::string& at) {
    switch (field.type) {
      case Type::kId:
        return text(schema, 1, kMaxIdSize, at);
      case Type::kText:
      case Type::kHex:
      case Type::kBase64Url:
      case Type::kPem:
        return text(schema, field.min, field.max, at);
      case Type::kOneOf:
        return one_of(schema, field, at);
      case Type::kInteger:
        expect(has_type(schema, "integer"), at, "is not an integer");
        expect(schema.value("minimum", Json()) == Json(field.min), at, "minimum differs");
        expect(schema.value("maximum", Json()) == Json(field.max), at, "maximum differs");
        return;
      case Type::kBoolean:
        return expect(has_type(schema, "boolean"), at, "is not a boolean");
      case Type::kTime:
        return expect(schema.value("format", "") == "date-time", at, "is not a date-time");
      case Type::kAttributes:
        return attributes(schema, at);
      case Type::kObject:
        return object(schema, field.fields, at);
      case Type::kList:
      case Type::kFreeList:
        expect(schema.value("minItems", Json()) == Json(field.min), at, "minItems differs");
        expect(schema.value("maxItems", Json()) == Json(field.max), at, "maxItems differs");
        if (field.type == Type::kList)
          return object(resolved(schema["items"]), field.fields, at + "/0");
        return attributes(resolved(schema["items"]), at + "/0");
    }
  }

  void text(const Json& schema, std::int64_t min, std::int64_t max, const std::string& at) {
    expect(has_type(schema, "string"), at, "is not a string");
    expect(schema.value("minLength", Json(0)) == Json(min), at, "minLength differs");
    expect(schema.value("maxLength", Json()) == Json(max), at, "maxLength differs");
  }

  void one_of(const Json& schema, const Field& field, const std::string& at) {
    std::set<std::string> listed;
    for (const Json& word : schema.value("enum", Json::array())) {
      if (word.is_string()) listed.insert(word);
    }
    expect(listed == std::set<std::string>(field.one_of.begin(), field.one_of.end()), at,
           "enum differs");
  }

  void attributes(const Json& schema, const std::string& at) {
    expect(has_type(schema, "object"), at, "is not an object");
    expect(schema.value("maxProperties", Json()) == Json(kMaxAttributes), at,
           "maxProperties differs");
    expect(schema.value("x-max-bytes", Json()) == Json(kMaxAttributesSize), at,
           "x-max-bytes differs");
    expect(schema.value("x-max-depth", Json()) == Json(kMaxAttributesDepth), at,
           "x-max-depth differs");
  }

  std::vector<std::string> differences_;
};

std::vector<Field> fields_of(ResourceKind kind) {
  const Shape shape = info_of(kind).shape;
  return {shape.begin(), shape.end()};
}

/// A merge patch may leave everything out, and does not name the id.
std::vector<Field> patch_of(ResourceKind kind) {
  std::vector<Field> fields = fields_of(kind);
  std::erase_if(fields, [&](const Field& field) { return field.name == info_of(kind).id_field; });
  for (Field& field : fields) field.is_required = false;
  return fields;
}

/// What a POST of a device may have besides.
std::vector<Field> new_device() {
  std::vector<Field> fields = fields_of(ResourceKind::kDevice);
  std::ranges::copy(device_token_fields(), std::back_inserter(fields));
  fields.push_back({.name = "status", .type = Type::kOneOf, .one_of = initial_status_names()});
  return fields;
}

TEST(Contract, RoutesAndRolesAreThoseOfTheRouter) {
  const UnusedParts unused;
  EXPECT_THAT(description().differences(unused.router()), ::testing::IsEmpty());
}

TEST(Contract, BodiesHaveTheBoundsThatTheCoreChecks) {
  using enum ResourceKind;
  using ::testing::IsEmpty;
  EXPECT_THAT(Comparison::of(schema_named("NewTenant"), fields_of(kTenant)), IsEmpty());
  EXPECT_THAT(Comparison::of(schema_named("TenantPatch"), patch_of(kTenant)), IsEmpty());
  EXPECT_THAT(Comparison::of(schema_named("NewFleet"), fields_of(kFleet)), IsEmpty());
  EXPECT_THAT(Comparison::of(schema_named("FleetPatch"), patch_of(kFleet)), IsEmpty());
  EXPECT_THAT(Comparison::of(schema_named("NewDeviceClass"), fields_of(kDeviceClass)), IsEmpty());
  EXPECT_THAT(Comparison::of(schema_named("DeviceClassPatch"), patch_of(kDeviceClass)), IsEmpty());
  EXPECT_THAT(Comparison::of(schema_named("NewTopicPolicy"), fields_of(kTopicPolicy)), IsEmpty());
  EXPECT_THAT(Comparison::of(schema_named("TopicPolicyPatch"), patch_of(kTopicPolicy)), IsEmpty());
  EXPECT_THAT(Comparison::of(schema_named("NewDevice"), new_device()), IsEmpty());
  EXPECT_THAT(Comparison::of(schema_named("DevicePatch"), patch_of(kDevice)), IsEmpty());
  EXPECT_THAT(Comparison::of(schema_named("NewApiKey"), fields_of(kApiKey)), IsEmpty());
}

TEST(Contract, ADifferenceWouldBeSeen) {
  Json schema = schema_named("NewFleet");
  schema["properties"]["name"] = {{"type", "string"}, {"minLength", 1}, {"maxLength", 127}};
  schema["properties"].erase("metadata");
  EXPECT_THAT(Comparison::of(schema, fields_of(ResourceKind::kFleet)),
              ::testing::UnorderedElementsAre("/name: maxLength differs",
                                              "/metadata: is not in the schema"));
}

TEST(Contract, PagesHaveTheSizesThatTheCoreGives) {
  const Json size = document()["components"]["parameters"]["PageSize"]["schema"];
  EXPECT_EQ(size["default"], kDefaultPageSize);
  EXPECT_EQ(size["maximum"], kMaxPageSize);
  EXPECT_EQ(schema_named("Filter")["maxLength"], kMaxFilterSize);
}

}  // namespace
}  // namespace sluice::registry::testing
