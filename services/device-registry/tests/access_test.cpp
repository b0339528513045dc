// Who may call what: every route of the router as every kind of caller.
#include "registry_process.h"
#include "unused_parts.h"

#include <array>
#include <format>
#include <set>

#include <sluice/base/clock.h>

#include <gtest/gtest.h>

namespace sluice::registry::testing {
namespace {

/// What a route needs to be called with sense: ids that exist in the caller's tenant, a body that
/// is good.
struct Example {
  std::string method;
  std::string path;  // as the router spells it
  std::string body{};
  std::string content_type = "application/json";
};

/// One line per route; a route that is missing here fails the test.
std::vector<Example> examples() {
  const std::string id = fresh_id("x");
  const std::string device = R"({"device_class":"sensor"})";
  return {
      {"GET", "/openapi.json"},
      {"GET", "/openapi.yaml"},
      {"GET", "/v1/tenants"},
      {"POST", "/v1/tenants", std::format(R"({{"tenant_id":"{}"}})", id)},
      {"GET", "/v1/tenants/{tenant_id}"},
      {"PATCH", "/v1/tenants/{tenant_id}", R"({"name":"n"})"},
      {"DELETE", "/v1/tenants/{tenant_id}"},
      {"POST", "/v1/tenants/{tenant_id}/api-keys", R"({"name":"n","role":"viewer"})"},
      {"GET", "/v1/fleets"},
      {"POST", "/v1/fleets", std::format(R"({{"fleet_id":"{}"}})", id)},
      {"GET", "/v1/fleets/{fleet_id}"},
      {"PATCH", "/v1/fleets/{fleet_id}", R"({"name":"n"})"},
      {"DELETE", "/v1/fleets/{fleet_id}"},
      {"GET", "/v1/device-classes"},
      {"POST", "/v1/device-classes", std::format(R"({{"device_class_id":"{}"}})", id)},
      {"GET", "/v1/device-classes/{device_class_id}"},
      {"PATCH", "/v1/device-classes/{device_class_id}", R"({"name":"n"})"},
      {"DELETE", "/v1/device-classes/{device_class_id}"},
      {"GET", "/v1/topic-policies"},
      {"POST", "/v1/topic-policies", std::format(R"({{"topic_policy_id":"{}","rules":[]}})", id)},
      {"GET", "/v1/topic-policies/{topic_policy_id}"},
      {"PATCH", "/v1/topic-policies/{topic_policy_id}", R"({"name":"n"})"},
      {"DELETE", "/v1/topic-policies/{topic_policy_id}"},
      {"GET", "/v1/devices"},
      {"POST", "/v1/devices", device},
      {"POST", "/v1/devices:search", "{}"},
      {"POST", "/v1/devices:import", R"({"external_id":"e","device_class":"sensor"})",
       "application/x-ndjson"},
      {"GET", "/v1/devices/{device_id}"},
      {"PATCH", "/v1/devices/{device_id}", R"({"model":"m"})"},
      {"DELETE", "/v1/devices/{device_id}"},
      {"POST", "/v1/devices/{device_id}:activate"},
      {"POST", "/v1/devices/{device_id}:deactivate"},
      {"POST", "/v1/devices/{device_id}:quarantine"},
      {"POST", "/v1/devices/{device_id}:revoke"},
      {"GET", "/v1/devices/{device_id}/credentials"},
      {"POST", "/v1/devices/{device_id}/credentials", R"({"kind":"token"})"},
      {"GET", "/v1/devices/{device_id}/credentials/{credential_id}"},
      {"POST", "/v1/devices/{device_id}/credentials/{credential_id}:revoke"},
      {"GET", "/v1/api-keys"},
      {"POST", "/v1/api-keys", R"({"name":"n","role":"viewer"})"},
      {"GET", "/v1/api-keys/{key_id}"},
      {"POST", "/v1/api-keys/{key_id}:revoke"},
      {"GET", "/v1/operations/{operation_id}"},
      {"POST", "/v1/operations/{operation_id}:take-result"},
  };
}

/// What exists in one tenant for the routes to be asked about.
struct Things {
  std::map<std::string, std::string> ids;  // "{device_id}" → id
};

Things make_things(RegistryProcess& registry, const RegistryProcess::Tenant& tenant) {
  Things things;
  const std::string id = fresh_id("thing");
  registry.post("/v1/fleets", tenant.operator_, {{"fleet_id", id}});
  registry.post("/v1/device-classes", tenant.admin, {{"device_class_id", id}});
  registry.post("/v1/topic-policies", tenant.admin,
                {{"topic_policy_id", id}, {"rules", Json::array()}});
  const Json device =
      registry.post("/v1/devices", tenant.operator_, {{"device_class", "sensor"}}).json();
  const std::string device_id = device["device_id"];
  const Json credentials =
      registry.get("/v1/devices/" + device_id + "/credentials", tenant.viewer).json();
  const Json key =
      registry.post("/v1/api-keys", tenant.admin, {{"name", "spare"}, {"role", "viewer"}}).json();
  const Json operation =
      registry.import(tenant.operator_, R"({"external_id":"first","device_class":"sensor"})");
  things.ids = {
      {"{tenant_id}", tenant.id},  {"{fleet_id}", id},
      {"{device_class_id}", id},   {"{topic_policy_id}", id},
      {"{device_id}", device_id},  {"{credential_id}", credentials["items"][0]["credential_id"]},
      {"{key_id}", key["key_id"]}, {"{operation_id}", operation["operation_id"]}};
  return things;
}

std::string filled(std::string path, const Things& things) {
  for (const auto& [name, id] : things.ids) {
    if (const auto at = path.find(name); at != std::string::npos) path.replace(at, name.size(), id);
  }
  return path;
}

RegistryProcess::Call call_of(const Example& example, const Things& things, const std::string& key,
                              bool is_dry) {
  RegistryProcess::Call call{example.method, filled(example.path, things), key, example.body};
  if (!example.body.empty() && example.method != "PATCH")
    call.headers.add("Content-Type", example.content_type);
  // A try-out meets every check of a write and leaves the things for the next caller.
  const bool can_be_dry = example.method != "GET" && !example.path.ends_with(":search") &&
                          !example.path.ends_with(":take-result");
  if (is_dry && can_be_dry) call.path += "?dry_run=true";
  return call;
}

const http::Access& access_of(const http::Router& router, const Example& example) {
  for (const auto& route : router.routes()) {
    if (route->method == example.method && route->path == example.path) return route->access;
  }
  throw std::runtime_error("no such route: " + example.method + " " + example.path);
}

TEST(Access, EveryRouteHasItsLineInTheTable) {
  const UnusedParts unused;
  std::set<std::string> in_router;
  for (const auto& route : unused.router().routes())
    in_router.insert(route->method + " " + route->path);
  std::set<std::string> in_table;
  for (const Example& example : examples()) in_table.insert(example.method + " " + example.path);
  EXPECT_EQ(in_router, in_table);
}

TEST(Access, EachRouteLetsInItsRoleAndTheHigherOnesAlone) {
  RegistryProcess& registry = shared_registry();
  const UnusedParts unused;
  const auto tenant = registry.make_tenant();
  const Things things = make_things(registry, tenant);
  const std::array<std::pair<const char*, std::string>, 3> callers{
      {{"viewer", tenant.viewer}, {"operator", tenant.operator_}, {"admin", tenant.admin}}};
  for (const Example& example : examples()) {
    const http::Access& access = access_of(unused.router(), example);
    for (std::size_t rank = 0; rank < callers.size(); ++rank) {
      const auto& [name, key] = callers[rank];
      const bool is_allowed =
          access.is_open() ||
          (!access.is_platform() && rank >= static_cast<std::size_t>(access.needed_role()));
      const Answer answer = registry.call(call_of(example, things, key, true));
      const std::string what = std::format("{} {} as {}: {} {}", example.method, example.path, name,
                                           answer.status, answer.body);
      if (is_allowed) {
        // 404 is the answer where an import made no tokens to take.
        EXPECT_TRUE(answer.status < 400 || answer.reason() == "result_gone") << what;
      } else {
        EXPECT_EQ(answer.status, 403) << what;
      }
    }
  }
}

TEST(Access, NobodyAndForgedKeysGetNothingButTheDescription) {
  RegistryProcess& registry = shared_registry();
  const UnusedParts unused;
  const auto tenant = registry.make_tenant();
  const Things things = make_things(registry, tenant);
  const std::string forged = tenant.admin.substr(0, tenant.admin.size() - 4) + "AAAA";
  for (const Example& example : examples()) {
    if (access_of(unused.router(), example).is_open()) continue;
    for (const std::string& key : {std::string(), forged, std::string("nonsense")}) {
      const Answer answer = registry.call(call_of(example, things, key, false));
      EXPECT_EQ(answer.status, 401) << example.method << " " << example.path << " " << answer.body;
    }
  }
}

TEST(Access, AnotherTenantsThingsDoNotExist) {
  RegistryProcess& registry = shared_registry();
  const auto owner = registry.make_tenant();
  const Things things = make_things(registry, owner);
  const auto stranger = registry.make_tenant();
  for (const Example& example : examples()) {
    if (example.path.find('{') == std::string::npos || example.path.starts_with("/v1/tenants/"))
      continue;
    const Answer answer = registry.call(call_of(example, things, stranger.admin, false));
    EXPECT_EQ(answer.status, 404) << example.method << " " << example.path << " " << answer.body;
  }
  // And nothing of it shows in the stranger's lists.
  for (const char* list :
       {"/v1/fleets", "/v1/device-classes", "/v1/topic-policies", "/v1/devices"}) {
    EXPECT_TRUE(registry.get(list, stranger.admin).json()["items"].empty()) << list;
  }
}

TEST(Access, ThePlatformManagesTenantsAndSeesNothingInsideThem) {
  RegistryProcess& registry = shared_registry();
  const auto tenant = registry.make_tenant();
  const Things things = make_things(registry, tenant);
  for (const Example& example : examples()) {
    if (example.path.find('{') == std::string::npos) continue;
    const Answer answer = registry.call(call_of(example, things, registry.platform_key(), true));
    const std::string what =
        std::format("{} {}: {} {}", example.method, example.path, answer.status, answer.body);
    if (!example.path.starts_with("/v1/tenants/")) {
      EXPECT_EQ(answer.status, 404) << what;
    } else if (example.method == "DELETE") {
      EXPECT_EQ(answer.status, 409) << what;  // it has things
    } else {
      EXPECT_LT(answer.status, 400) << what;
    }
  }
}

TEST(Access, ASuspendedTenantsKeysOpenNothing) {
  RegistryProcess& registry = shared_registry();
  const auto tenant = registry.make_tenant();
  EXPECT_EQ(registry
                .call({"PATCH", "/v1/tenants/" + tenant.id, registry.platform_key(),
                       R"({"status":"suspended"})"})
                .status,
            200);
  EXPECT_EQ(registry.get("/v1/devices", tenant.viewer).status, 401);
}

TEST(Access, ARevokedKeyOpensNothingFromTheNextRequestOn) {
  RegistryProcess& registry = shared_registry();
  const auto tenant = registry.make_tenant();
  const Json key =
      registry.post("/v1/api-keys", tenant.admin, {{"name", "short"}, {"role", "viewer"}}).json();
  ASSERT_EQ(registry.get("/v1/devices", key["key"]).status, 200);
  const std::string id = key["key_id"];
  EXPECT_EQ(registry.call({"POST", "/v1/api-keys/" + id + ":revoke", tenant.admin, ""}).status,
            200);
  EXPECT_EQ(registry.get("/v1/devices", key["key"]).status, 401);
  EXPECT_TRUE(registry.get("/v1/api-keys/" + id, tenant.admin).json().contains("revoked_at"));
}

}  // namespace
}  // namespace sluice::registry::testing
