#include <sluice/http/router.h>

#include <gtest/gtest.h>

namespace sluice::http {
namespace {

Result<Response> nothing(const Request&) { return Response::no_content(); }

Router routes() {
  Router router;
  router.get("/v1/devices", Access::role(auth::Role::kViewer), nothing);
  router.post("/v1/devices", Access::role(auth::Role::kOperator), nothing);
  router.get("/v1/devices/{device_id}", Access::role(auth::Role::kViewer), nothing);
  router.post("/v1/devices/{device_id}:quarantine", Access::role(auth::Role::kOperator), nothing);
  router.post("/v1/devices:import", Access::role(auth::Role::kOperator), nothing);
  router.get("/v1/devices/self", Access::role(auth::Role::kViewer), nothing);
  router.get("/v1/{kind}/self", Access::role(auth::Role::kViewer), nothing);
  return router;
}

std::string matched(std::string_view method, std::string_view path) {
  const Router router = routes();
  const auto match = router.match(method, path);
  if (!match) return std::string(to_string(match.error().code()));
  if (match->route == nullptr) return "no method";
  std::string out = match->route->path;
  for (const auto& [name, value] : match->path_params) out += " " + name + "=" + value;
  return out;
}

TEST(Router, FindsTemplatesByTheirMostLiteralForm) {
  EXPECT_EQ(matched("GET", "/v1/devices"), "/v1/devices");
  EXPECT_EQ(matched("HEAD", "/v1/devices"), "/v1/devices");
  EXPECT_EQ(matched("GET", "/v1/devices/a:b"), "/v1/devices/{device_id} device_id=a:b");
  EXPECT_EQ(matched("POST", "/v1/devices/a:b:quarantine"),
            "/v1/devices/{device_id}:quarantine device_id=a:b");
  EXPECT_EQ(matched("POST", "/v1/devices:import"), "/v1/devices:import");
  EXPECT_EQ(matched("GET", "/v1/devices/self"), "/v1/devices/self");
  EXPECT_EQ(matched("GET", "/v1/fleets/self"), "/v1/{kind}/self kind=fleets");
}

TEST(Router, TakesAnEncodedColonForPartOfAnId) {
  EXPECT_EQ(matched("GET", "/v1/devices/a%3Aquarantine"),
            "/v1/devices/{device_id} device_id=a:quarantine");
}

TEST(Router, TellsUnknownPathFromUnknownMethod) {
  EXPECT_EQ(matched("GET", "/v1/nothing"), "not_found");
  EXPECT_EQ(matched("GET", "/v1/devices/"), "not_found");
  EXPECT_EQ(matched("GET", "//v1/devices"), "not_found");
  EXPECT_EQ(matched("DELETE", "/v1/devices"), "no method");
  EXPECT_EQ(routes().match("DELETE", "/v1/devices")->allowed,
            (std::vector<std::string>{"GET", "HEAD", "POST", "OPTIONS"}));
}

TEST(Router, RefusesPathsThatCouldMeanAnother) {
  for (const char* path :
       {"/v1/devices/a%2Fb", "/v1/devices/%2e%2e", "/v1/../v1/devices", "/v1/devices/a%5Cb",
        "/v1/devices/%00", "/v1/devices/%ff", "/v1/devices/%", "/v1/./devices", "v1"}) {
    EXPECT_EQ(matched("GET", path), "invalid_argument") << path;
  }
  EXPECT_EQ(matched("GET", "/v1/devices/a%252Fb"), "/v1/devices/{device_id} device_id=a%2Fb");
}

TEST(Router, GivesEachMethodItsMediaTypesAndItsAction) {
  Router router;
  router.patch("/a", Access::platform(), nothing);
  router.post("/a", Access::platform(), nothing, {.action = "a.create"});
  EXPECT_EQ(router.routes()[0]->options.consumes.size(), 2U);
  EXPECT_EQ(router.routes()[0]->options.action, "PATCH /a");
  EXPECT_EQ(router.routes()[1]->options.action, "a.create");
}

TEST(RouterDeathTest, TakesAFaultyTableForABug) {
  const auto add = [](const char* first, const char* second) {
    Router router;
    router.get(first, Access::open(), nothing);
    router.get(second, Access::open(), nothing);
  };
  EXPECT_DEATH(add("/a", "/a"), "BUG");
  EXPECT_DEATH(add("/{a}", "/{b}"), "BUG");
  EXPECT_DEATH(add("/{a}/{a}", "/b"), "BUG");
  EXPECT_DEATH(add("/a/", "/b"), "BUG");
  EXPECT_DEATH(add("a", "/b"), "BUG");
}

TEST(Access, IncludesLowerRolesAndKeepsThePlatformApart) {
  const auth::Principal viewer{
      .tenant = TenantId("t"), .subject = "s", .role = auth::Role::kViewer, .credential_id = ""};
  auth::Principal admin = viewer;
  admin.role = auth::Role::kAdmin;
  auth::Principal platform = admin;
  platform.tenant = TenantId("platform");
  EXPECT_FALSE(Access::role(auth::Role::kOperator).allows(viewer));
  EXPECT_TRUE(Access::role(auth::Role::kOperator).allows(admin));
  EXPECT_FALSE(Access::platform().allows(admin));
  EXPECT_TRUE(Access::platform().allows(platform));
  EXPECT_EQ(Access::platform().name(), "platform");
  EXPECT_EQ(Access::role(auth::Role::kViewer).name(), "viewer");
}

}  // namespace
}  // namespace sluice::http
