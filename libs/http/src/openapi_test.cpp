#include <sluice/http/openapi.h>

#include <sluice/http/request.h>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace sluice::http {
namespace {

constexpr std::string_view kDescription = R"(openapi: 3.1.0
info: {title: Things, version: "1"}
paths:
  /v1/things:
    post:
      x-required-role: operator
      responses:
        "201":
          description: made
          content: {application/json: {schema: {$ref: "#/components/schemas/Thing"}}}
        4XX: {$ref: "#/components/responses/Problem"}
  /v1/things/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: string}}]
    get:
      x-required-role: viewer
      responses:
        200: {description: there, content: {application/json: {schema: {$ref: "#/components/schemas/Thing"}}}}
components:
  responses:
    Problem: {description: refused, content: {application/problem+json: {schema: {type: object}}}}
  schemas:
    Thing:
      type: object
      required: [id]
      properties: {id: {type: string}, size: {type: [integer, "null"]}, tags: {type: array, items: {type: string}}}
      additionalProperties: false
)";

Result<Response> nothing(const Request&) { return Response::no_content(); }

OpenApi description() {
  auto parsed = OpenApi::parse(kDescription);
  EXPECT_TRUE(parsed) << parsed.error().message();
  return *std::move(parsed);
}

Router routes() {
  Router router;
  router.post("/v1/things", Access::role(auth::Role::kOperator), nothing);
  router.get("/v1/things/{id}", Access::role(auth::Role::kViewer), nothing);
  return router;
}

using Lines = std::vector<std::string>;

TEST(OpenApi, FindsNoDifferenceWhereThereIsNone) {
  Router router = routes();
  const OpenApi api = description();
  api.serve(router);
  EXPECT_EQ(api.differences(router), Lines{});
}

TEST(OpenApi, TellsEachDifference) {
  Router router;
  router.post("/v1/things", Access::role(auth::Role::kAdmin), nothing);
  router.get("/v1/other", Access::open(), nothing);
  EXPECT_EQ(description().differences(router),
            (Lines{"POST /v1/things: x-required-role is 'operator', the route needs 'admin'",
                   "GET /v1/other is a route but not described",
                   "GET /v1/things/{id} is described but not a route"}));
}

TEST(OpenApi, ServesItselfAsYamlAndAsJson) {
  Router router;
  description().serve(router);
  Request request;
  const auto yaml = router.match("GET", "/openapi.yaml")->route->handler(request);
  EXPECT_EQ(yaml->body, kDescription);
  const auto json =
      nlohmann::json::parse(router.match("GET", "/openapi.json")->route->handler(request)->body);
  EXPECT_EQ(json["openapi"], "3.1.0");
  EXPECT_EQ(json["info"]["version"], "1");
  EXPECT_EQ(OpenApi::parse(json.dump())->differences(routes()), Lines{});
}

TEST(OpenApi, TellsAnswersThatAreNotDescribed) {
  const OpenApi api = description();
  const auto fault = [&](int status, std::string_view body) {
    return api.undocumented("GET", "/v1/things/{id}", status, "application/json", body);
  };
  EXPECT_EQ(fault(200, R"({"id": "a", "size": null, "tags": ["b"]})"), "");
  EXPECT_EQ(fault(200, R"({})"), "GET /v1/things/{id}: 200: the body lacks id");
  EXPECT_EQ(fault(200, R"({"id": 1})"), "GET /v1/things/{id}: 200: /id is not of type \"string\"");
  EXPECT_EQ(fault(200, R"({"id": "a", "tags": [1]})"),
            "GET /v1/things/{id}: 200: /tags/0 is not of type \"string\"");
  EXPECT_EQ(fault(200, R"({"id": "a", "x": 1})"), "GET /v1/things/{id}: 200: /x is not described");
  EXPECT_EQ(fault(404, "{}"), "GET /v1/things/{id}: status 404 is not described");
  EXPECT_EQ(api.undocumented("POST", "/v1/things", 404, "application/problem+json", "{}"), "");
  EXPECT_EQ(api.undocumented("POST", "/v1/things", 201, "text/plain", ""),
            "POST /v1/things: 201 is not described with content type 'text/plain'");
  EXPECT_EQ(api.undocumented("PUT", "/v1/things", 200, "", ""), "PUT /v1/things is not described");
}

TEST(OpenApi, RefusesWhatIsNoDescription) {
  for (const char* text : {"", "[]", "a: b", "a: [", "{", "openapi: 3\npaths: 1",
                           "openapi: 3\nopenapi: 3\npaths: {}"}) {
    EXPECT_FALSE(OpenApi::parse(text)) << text;
  }
}

}  // namespace
}  // namespace sluice::http
