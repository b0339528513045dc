// What operators do with devices and what belongs to them, over HTTP against the real program.
#include "registry_process.h"

#include <algorithm>
#include <format>
#include <latch>
#include <set>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::registry::testing {
namespace {

using ::testing::ElementsAre;

class Devices : public ::testing::Test {
 protected:
  Json make_device(Json body = {{"device_class", "sensor"}}) {
    const Answer answer = registry.post("/v1/devices", tenant.operator_, body);
    EXPECT_EQ(answer.status, 201) << answer.body;
    return answer.json();
  }
  static std::string path_of(const Json& device) {
    return "/v1/devices/" + device["device_id"].get<std::string>();
  }

  RegistryProcess& registry = shared_registry();
  RegistryProcess::Tenant tenant = registry.make_tenant();
};

TEST_F(Devices, ARegisteredDeviceHasItsFieldsAndATokenOnce) {
  registry.post("/v1/fleets", tenant.operator_, {{"fleet_id", "north"}});
  const Answer made = registry.post("/v1/devices", tenant.operator_,
                                    {{"external_id", "meter-1"},
                                     {"device_class", "meter"},
                                     {"fleet_id", "north"},
                                     {"schema_id", "meter.v1"},
                                     {"model", "M 3"},
                                     {"firmware_version", "1.2.3"},
                                     {"metadata", {{"site", "north"}, {"floor", 3}}}});
  ASSERT_EQ(made.status, 201) << made.body;
  const Json device = made.json();
  EXPECT_EQ(made.header("Location"), path_of(device));
  EXPECT_TRUE(device["auth_token"].get<std::string>().starts_with("sld_"));

  const Answer read = registry.get(path_of(device), tenant.viewer);
  Json expected = device;
  expected.erase("auth_token");
  EXPECT_EQ(read.json(), expected);
  EXPECT_EQ(read.header("ETag"), made.header("ETag"));
  EXPECT_EQ(device["status"], "active");
  EXPECT_EQ(device["metadata"]["floor"], 3);
}

TEST_F(Devices, WrongInputIsRefusedByTheNamesOfItsFields) {
  const std::string tenant_path = "/v1/tenants/" + tenant.id;
  const std::string device = path_of(make_device());
  struct Case {
    std::string path;
    Json body;
    std::vector<std::string> fields;
  };
  const std::string long_name(129, 'x');
  const Json deep = Json::parse(R"({"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{}}}}}}}}})");
  const std::vector<Case> cases{
      {"/v1/devices", Json::array(), {""}},
      {"/v1/devices", Json::object(), {"/device_class"}},
      {"/v1/devices", {{"device_class", 7}}, {"/device_class"}},
      {"/v1/devices", {{"device_class", "a b"}}, {"/device_class"}},
      {"/v1/devices", {{"device_class", "a/b"}, {"model", ""}}, {"/device_class", "/model"}},
      {"/v1/devices", {{"device_class", "a"}, {"tenant", "other"}}, {"/tenant"}},
      {"/v1/devices", {{"device_class", "a"}, {"device_id", "mine"}}, {"/device_id"}},
      {"/v1/devices", {{"device_class", "a"}, {"status", "revoked"}}, {"/status"}},
      {"/v1/devices", {{"device_class", "a"}, {"metadata", "text"}}, {"/metadata"}},
      {"/v1/devices", {{"device_class", "a"}, {"metadata", deep}}, {"/metadata"}},
      {"/v1/devices",
       {{"device_class", "a"}, {"metadata", {{"k", std::string(17'000, 'x')}}}},
       {"/metadata"}},
      {"/v1/devices",
       {{"device_class", "a"}, {"external_id", std::string(65, 'x')}},
       {"/external_id"}},
      {"/v1/devices",
       {{"device_class", "a"}, {"auth_token", std::string(60, 'x')}},
       {"/auth_token"}},
      {"/v1/devices", {{"device_class", "a"}, {"fleet_id", "nowhere"}}, {"/fleet_id"}},
      {"/v1/fleets", {{"fleet_id", ".."}}, {"/fleet_id"}},
      {"/v1/fleets", {{"fleet_id", "f"}, {"name", long_name}}, {"/name"}},
      {"/v1/fleets", {{"fleet_id", "f"}, {"routing_rules_json", {1}}}, {"/routing_rules_json/0"}},
      {device + "/credentials", {{"kind", "password"}}, {"/kind"}},
      {device + "/credentials", {{"kind", "psk"}, {"psk_key", "00"}}, {"/psk_key"}},
      {device + "/credentials", {{"kind", "jwt"}}, {"/public_key"}},
      {device + "/credentials", {{"kind", "certificate"}}, {"/fingerprint_sha256"}},
      {device + "/credentials", {{"kind", "token"}, {"expires_at", "tomorrow"}}, {"/expires_at"}},
      {"/v1/devices:search", {{"filter", "status ~ 1"}}, {"filter"}},
      {"/v1/devices:search", {{"page_size", 0}}, {"/page_size"}},
      {device + ":quarantine", {{"reason", ""}}, {"/reason"}},
  };
  for (const Case& c : cases) {
    const Answer answer = registry.post(c.path, tenant.operator_, c.body);
    EXPECT_TRUE(answer.status == 400 || answer.status == 409)
        << c.path << " " << c.body << " " << answer.body;
    EXPECT_EQ(answer.faulty_fields(), c.fields) << c.path << " " << c.body << " " << answer.body;
    EXPECT_EQ(answer.header("Content-Type"), "application/problem+json");
  }
  const std::vector<Case> of_admins{
      {"/v1/api-keys", {{"name", "n"}, {"role", "root"}}, {"/role"}},
      {"/v1/device-classes",
       {{"device_class_id", "c"}, {"max_qos", 3}, {"limits", {{"bytes_per_second", -1}}}},
       {"/limits/bytes_per_second", "/max_qos"}},
      {"/v1/device-classes",
       {{"device_class_id", "c"}, {"topic_policy_id", "none"}},
       {"/topic_policy_id"}},
      {"/v1/topic-policies",
       {{"topic_policy_id", "p"},
        {"rules", {{{"action", "publish"}, {"topic", "#"}}, {{"action", "own"}}}}},
       {"/rules/1/action", "/rules/1/topic"}},
      {"/v1/topic-policies",
       {{"topic_policy_id", "p"}, {"rules", {{{"action", "publish"}, {"topic", "#"}}}}},
       {"/rules/0/topic"}},
  };
  for (const Case& c : of_admins) {
    const Answer answer = registry.post(c.path, tenant.admin, c.body);
    EXPECT_EQ(answer.faulty_fields(), c.fields) << c.path << " " << c.body << " " << answer.body;
  }
}

TEST_F(Devices, WhatIsNoJsonOrNoObjectIsRefusedAndNeverKept) {
  for (const char* body :
       {"{", "null", "[]", R"({"device_class":"a","device_class":"b"})", "\xff\xfe",
        R"({"device_class":"a","metadata":{"k":"\u0000"}})", R"({"device_class":1e999})"}) {
    const Answer answer = registry.call({"POST", "/v1/devices", tenant.operator_, body});
    EXPECT_EQ(answer.status, 400) << body << " " << answer.body;
  }
  EXPECT_TRUE(registry.get("/v1/devices", tenant.viewer).json()["items"].empty());
}

TEST_F(Devices, ParametersNobodyReadsAreRefusedByName) {
  EXPECT_THAT(registry.get("/v1/devices?colour=red", tenant.viewer).faulty_fields(),
              ElementsAre("colour"));
  EXPECT_THAT(registry.get("/v1/devices?page_size=1001", tenant.viewer).faulty_fields(),
              ElementsAre("page_size"));
  EXPECT_THAT(registry.get("/v1/devices?page_token=x", tenant.viewer).faulty_fields(),
              ElementsAre("page_token"));
  EXPECT_THAT(registry.get("/v1/devices?order_by=metadata", tenant.viewer).faulty_fields(),
              ElementsAre("order_by"));
  EXPECT_THAT(registry.get("/v1/devices?filter=tenant_id%3D%22x%22", tenant.viewer).faulty_fields(),
              ElementsAre("filter"));
  EXPECT_EQ(registry.get("/v1/devices/not-a-uuid", tenant.viewer).status, 404);
}

TEST_F(Devices, AChangeMadeMeanwhileIsSeenByItsETag) {
  const Json device = make_device();
  const std::string first = registry.get(path_of(device), tenant.viewer).header("ETag");
  const auto change = [&](const std::string& if_match, const char* model) {
    return registry.call({"PATCH",
                          path_of(device),
                          tenant.operator_,
                          Json{{"model", model}}.dump(),
                          {{"If-Match", if_match}}});
  };
  const Answer changed = change(first, "a");
  ASSERT_EQ(changed.status, 200) << changed.body;
  EXPECT_NE(changed.header("ETag"), first);
  const Answer late = change(first, "b");
  EXPECT_EQ(late.status, 412);
  EXPECT_EQ(late.reason(), "precondition_failed");
  EXPECT_EQ(registry.get(path_of(device), tenant.viewer).json()["model"], "a");
  EXPECT_EQ(change("*", "c").status, 200);
  EXPECT_EQ(change("nonsense", "d").status, 400);
}

TEST_F(Devices, AReadOfTheSameVersionIsNotSentAgain) {
  const std::string path = path_of(make_device());
  const std::string tag = registry.get(path, tenant.viewer).header("ETag");
  const Answer again = registry.call({"GET", path, tenant.viewer, "", {{"If-None-Match", tag}}});
  EXPECT_EQ(again.status, 304);
  EXPECT_TRUE(again.body.empty());
}

TEST_F(Devices, OnlyOneOfTwoCreatorsWins) {
  EXPECT_EQ(registry.post("/v1/fleets", tenant.operator_, {{"fleet_id", "f"}}).status, 201);
  const Answer again = registry.post("/v1/fleets", tenant.operator_, {{"fleet_id", "f"}});
  EXPECT_EQ(again.status, 409);
  EXPECT_THAT(again.faulty_fields(), ElementsAre("/fleet_id"));
}

TEST_F(Devices, APatchRemovesWithNullAndLeavesTheRest) {
  const Json device =
      make_device({{"device_class", "c"}, {"model", "m"}, {"metadata", {{"a", 1}, {"b", 2}}}});
  const Answer patched = registry.call({"PATCH", path_of(device), tenant.operator_,
                                        R"({"model":null,"metadata":{"a":null,"c":3}})"});
  ASSERT_EQ(patched.status, 200) << patched.body;
  EXPECT_FALSE(patched.json().contains("model"));
  EXPECT_EQ(patched.json()["metadata"], Json({{"b", 2}, {"c", 3}}));
}

TEST_F(Devices, ATryOutChecksEverythingAndChangesNothing) {
  const Answer made =
      registry.post("/v1/devices?dry_run=true", tenant.operator_, {{"device_class", "c"}});
  EXPECT_EQ(made.status, 201);
  EXPECT_FALSE(made.json().contains("auth_token"));
  EXPECT_EQ(registry.post("/v1/devices?dry_run=true", tenant.operator_, Json::object()).status,
            400);
  EXPECT_TRUE(registry.get("/v1/devices", tenant.viewer).json()["items"].empty());
}

TEST_F(Devices, ARepeatedRequestIsDoneOnceAndAnsweredTheSame) {
  const http::Headers key{{"Idempotency-Key", "once"}};
  const Json body{{"device_class", "c"}};
  const Answer first = registry.post("/v1/devices", tenant.operator_, body, key);
  const Answer second = registry.post("/v1/devices", tenant.operator_, body, key);
  ASSERT_EQ(first.status, 201) << first.body;
  EXPECT_EQ(second.status, 201);
  EXPECT_EQ(second.body, first.body);  // the token among it
  EXPECT_EQ(second.header("Location"), first.header("Location"));
  EXPECT_EQ(second.header("ETag"), first.header("ETag"));
  EXPECT_EQ(registry.get("/v1/devices", tenant.viewer).json()["items"].size(), 1U);
  EXPECT_EQ(registry.post("/v1/devices", tenant.operator_, {{"device_class", "d"}}, key).status,
            422);
  // Another caller's equal key is another key.
  EXPECT_NE(registry.post("/v1/devices", tenant.admin, body, key).body, first.body);
}

TEST_F(Devices, RepeatedRequestsAtOnceMakeOneDevice) {
  constexpr int kSenders = 8;
  std::latch together(kSenders);
  std::vector<std::jthread> senders;
  for (int i = 0; i < kSenders; ++i) {
    senders.emplace_back([&] {
      together.arrive_and_wait();
      const Answer answer = registry.post("/v1/devices", tenant.operator_, {{"device_class", "c"}},
                                          {{"Idempotency-Key", "race"}});
      EXPECT_TRUE(answer.status == 201 || answer.status == 409) << answer.body;
    });
  }
  senders.clear();
  EXPECT_EQ(registry.get("/v1/devices", tenant.viewer).json()["items"].size(), 1U);
}

TEST_F(Devices, PagesTellEveryDeviceOnceWhileOthersAreAdded) {
  std::string lines;
  for (int i = 0; i < 250; ++i)
    lines += std::format("{{\"external_id\":\"d{}\",\"device_class\":\"c\"}}\n", i);
  ASSERT_EQ(registry.import(tenant.operator_, lines)["state"], "succeeded");
  for (const char* order : {"", "&order_by=registered_at+desc", "&order_by=device_id+desc"}) {
    std::multiset<std::string> seen;
    std::string token;
    int page = 0;
    do {
      const Answer answer = registry.get(std::format("/v1/devices?page_size=40{}{}", order,
                                                     token.empty() ? "" : "&page_token=" + token),
                                         tenant.viewer);
      ASSERT_EQ(answer.status, 200) << answer.body;
      const Json json = answer.json();
      for (const Json& item : json["items"]) {
        const std::string name = item.value("external_id", "");
        if (name.starts_with("d")) seen.insert(name);
      }
      token = json.value("next_page_token", "");
      make_device(
          {{"device_class", "c"}, {"external_id", std::format("late{}{}", ++page, fresh_id("l"))}});
      ASSERT_LT(page, 100);
    } while (!token.empty());
    EXPECT_EQ(seen.size(), 250U) << order;
    EXPECT_EQ(std::set(seen.begin(), seen.end()).size(), 250U) << order;
  }
}

TEST_F(Devices, APageTokenBelongsToItsQuestion) {
  for (int i = 0; i < 3; ++i) make_device();
  const std::string token =
      registry.get("/v1/devices?page_size=1", tenant.viewer).json()["next_page_token"];
  EXPECT_EQ(registry.get("/v1/devices?page_size=1&page_token=" + token, tenant.viewer).status, 200);
  EXPECT_EQ(
      registry.get("/v1/devices?order_by=registered_at&page_token=" + token, tenant.viewer).status,
      400);
}

TEST_F(Devices, SearchFindsByFieldsAndAttributes) {
  make_device({{"device_class", "c"},
               {"external_id", "a"},
               {"metadata", {{"site", {{"floor", 3}}}, {"ok", true}}}});
  make_device(
      {{"device_class", "c"}, {"external_id", "b"}, {"metadata", {{"site", {{"floor", 4}}}}}});
  make_device({{"device_class", "e"}, {"external_id", "c"}, {"status", "inactive"}});
  const auto found = [&](const std::string& filter) {
    std::vector<std::string> names;
    const Json answer =
        registry.post("/v1/devices:search", tenant.viewer, {{"filter", filter}}).json();
    for (const Json& item : answer["items"]) names.push_back(item["external_id"]);
    std::ranges::sort(names);
    return names;
  };
  EXPECT_THAT(found("device_class = \"c\""), ElementsAre("a", "b"));
  EXPECT_THAT(found("metadata.site.floor = 3"), ElementsAre("a"));
  EXPECT_THAT(found("device_class = \"c\" AND metadata.ok = true"), ElementsAre("a"));
  EXPECT_THAT(found("status = \"inactive\""), ElementsAre("c"));
  EXPECT_THAT(found("status != \"inactive\""), ElementsAre("a", "b"));
  EXPECT_THAT(found("external_id = \"' OR 1=1 --\""), ElementsAre());
}

TEST_F(Devices, StatusesChangeByVerbsAndRevokedIsFinal) {
  const std::string path = path_of(make_device());
  const auto verb = [&](const char* name, const std::string& body = "") {
    return registry.call({"POST", path + ":" + name, tenant.operator_, body});
  };
  EXPECT_EQ(verb("quarantine", R"({"reason":"odd traffic"})").json()["status_reason"],
            "odd traffic");
  EXPECT_EQ(verb("activate").json()["status"], "active");
  EXPECT_EQ(verb("deactivate").json()["status"], "inactive");
  EXPECT_EQ(verb("revoke").json()["status"], "revoked");
  EXPECT_EQ(verb("revoke").status, 200);
  const Answer back = verb("activate");
  EXPECT_EQ(back.status, 409);
  EXPECT_EQ(back.reason(), "illegal_transition");
}

TEST_F(Devices, WhatIsReferredToCannotBeDeleted) {
  registry.post("/v1/fleets", tenant.operator_, {{"fleet_id", "f"}});
  const Json device = make_device({{"device_class", "c"}, {"fleet_id", "f"}});
  for (const char* path : {"/v1/fleets/f", "/v1/device-classes/c"}) {
    const Answer refused = registry.call({"DELETE", path, tenant.admin, ""});
    EXPECT_EQ(refused.status, 409) << path;
    EXPECT_EQ(refused.reason(), "in_use") << path;
  }
  EXPECT_EQ(registry.call({"DELETE", path_of(device), tenant.operator_, ""}).status, 204);
  EXPECT_EQ(registry.get(path_of(device), tenant.viewer).status, 404);
  EXPECT_EQ(registry.call({"DELETE", "/v1/fleets/f", tenant.admin, ""}).status, 204);
}

TEST_F(Devices, SecretsAreShownOnceAndAreNowhereElse) {
  const Json device = make_device();
  const std::string token = device["auth_token"];
  const Json psk =
      registry.post(path_of(device) + "/credentials", tenant.operator_, {{"kind", "psk"}}).json();
  const std::string psk_key = psk["psk_key"];
  const Json api_key =
      registry.post("/v1/api-keys", tenant.admin, {{"name", "n"}, {"role", "viewer"}}).json();
  const std::string key = api_key["key"];
  ASSERT_EQ(registry.get("/v1/devices", key).status, 200);

  std::string readable = registry.get(path_of(device), tenant.admin).body +
                         registry.get(path_of(device) + "/credentials", tenant.admin).body +
                         registry.get("/v1/api-keys", tenant.admin).body + registry.all_output();
  for (const char* table :
       {"devices", "credentials", "api_keys", "answers", "operations", "outbox"}) {
    readable += registry.database().query_value(std::format(
        "SELECT coalesce(string_agg(t::text, ''), '') FROM device_registry.{} t", table));
  }
  for (const std::string& secret : {token, psk_key, key, tenant.admin}) {
    EXPECT_EQ(readable.find(secret), std::string::npos);
    EXPECT_EQ(readable.find(secret.substr(secret.size() - 43)), std::string::npos);
  }
}

TEST_F(Devices, EveryAnswerNamesItsTrace) {
  const std::string trace = "0af7651916cd43dd8448eb211c80319c";
  const Answer answer = registry.call({"GET",
                                       "/v1/devices/none",
                                       tenant.viewer,
                                       "",
                                       {{"traceparent", "00-" + trace + "-b7ad6b7169203331-01"}}});
  EXPECT_EQ(answer.json()["trace_id"], trace);
}

}  // namespace
}  // namespace sluice::registry::testing
