// What operators do over HTTP, and what messages meet because of it.
#include "stream.h"

#include <memory>

#include <sluice/http/client.h>
#include <sluice/platform/registry_program.h>
#include <sluice/testing/eventually.h>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace sluice::validator::testing {
namespace {

using Json = nlohmann::json;
using sluice::testing::eventually;

class OperatorsTest : public ::testing::Test {
 protected:
  OperatorsTest() {
    registry_.start();
    tenant_ = registry_.make_tenant();
    validator_ =
        stream_.start({{"SLUICE_DEVICE_REGISTRY_ADDRESS", registry_.process().address("grpc")}});
  }

  struct Answer {
    int status = 0;
    Json body{};
  };
  Answer call(const std::string& method, const std::string& path, const Json& body = nullptr,
              const std::string& key = "") {
    http::Headers headers;
    headers.add("Authorization", "Bearer " + (key.empty() ? tenant_.admin_key : key));
    if (!body.is_null()) headers.add("Content-Type", "application/json");
    const auto answer = http_.send({.method = method,
                                    .url = "http://" + validator_->address("http") + path,
                                    .headers = headers,
                                    .body = body.is_null() ? "" : body.dump()});
    if (!answer) return {.status = -1, .body = answer.error().message()};
    return {.status = answer->status, .body = Json::parse(answer->body, nullptr, false)};
  }
  static Json table(const Json& metrics) {
    return {{"kind", "metrics_table"}, {"document", {{"metrics", metrics}}}};
  }
  RawMessage message(const std::string& payload) {
    RawMessage message = stream_.message("d", payload);
    message.set_tenant(tenant_.id);
    message.set_schema_id("meter");
    return message;
  }

  Stream stream_;
  platform::RegistryProgram registry_{stream_.surroundings()};
  platform::RegistryProgram::Tenant tenant_;
  std::unique_ptr<Validator> validator_;
  http::Client http_;
};

TEST_F(OperatorsTest, ASchemaIsRegisteredUsedAndNarrowedByAMajorVersionAlone) {
  const Json temperature{{"name", "temperature"}, {"type", "double"}, {"max", 100}};
  EXPECT_EQ(
      call("POST", "/v1/schemas/meter/versions", table(Json::array({temperature})), "slk_nonsense")
          .status,
      401);
  const Answer first =
      call("POST", "/v1/schemas/meter/versions", table(Json::array({temperature})));
  ASSERT_EQ(first.status, 201) << first.body;
  EXPECT_EQ(first.body["version"], "1.0");
  EXPECT_EQ(call("POST", "/v1/schemas/meter/versions", table(Json::array({temperature}))).status,
            200);

  Json narrower = temperature;
  narrower["max"] = 50;
  const Answer refused = call("POST", "/v1/schemas/meter/versions", table(Json::array({narrower})));
  EXPECT_EQ(refused.status, 409) << refused.body;
  EXPECT_EQ(refused.body["reason"], "incompatible_schema");
  EXPECT_FALSE(refused.body["errors"].empty());
  Json major = table(Json::array({narrower}));
  major["new_major"] = true;
  const Answer second = call("POST", "/v1/schemas/meter/versions", major);
  EXPECT_EQ(second.status, 201) << second.body;
  EXPECT_EQ(second.body["version"], "2.0");

  const Answer wrong = call("POST", "/v1/schemas/x/versions",
                            table(Json::array({Json{{"name", "t"}, {"type", 7}}})));
  EXPECT_EQ(wrong.status, 400) << wrong.body;
  EXPECT_FALSE(wrong.body["errors"].empty());

  ASSERT_TRUE(
      eventually([&] { return validator_->metric("sluice_validator_schema_versions") == 2; }));
  const std::string id = stream_.send(message(R"({"metrics": {"temperature": 20}})"));
  ASSERT_TRUE(stream_.wait_until_done());
  ASSERT_TRUE(stream_.valid_by_id().contains(id));
  EXPECT_EQ(stream_.valid_by_id().at(id)[0].schema_version(), "2.0");

  Json tried = table(Json::array({narrower}));
  tried["document"]["metrics"][0]["max"] = 10;
  const Answer report = call("POST", "/v1/schemas/meter/versions:try", tried);
  ASSERT_EQ(report.status, 200) << report.body;
  EXPECT_EQ(report.body["judged"], 1);
  EXPECT_EQ(report.body["rejected"], 1);
  EXPECT_EQ(report.body["causes"][0]["pointer"], "/metrics/temperature");
}

TEST_F(OperatorsTest, WhatWasRejectedIsFoundAndTriedOnceMoreAfterTheFix) {
  const Json metric{{"name", "temperature"}, {"type", "double"}, {"max", 100}};
  ASSERT_EQ(call("POST", "/v1/schemas/meter/versions", table(Json::array({metric}))).status, 201);
  ASSERT_TRUE(
      eventually([&] { return validator_->metric("sluice_validator_schema_versions") == 1; }));
  const std::string payload = R"({"seq": 1, "metrics": {"temperature": 500}})";
  const std::string id = stream_.send(message(payload));
  const RawMessage original = message(payload);
  ASSERT_TRUE(stream_.wait_until_done());
  Answer groups;
  ASSERT_TRUE(eventually([&] {
    groups = call("GET", "/v1/rejection-groups");
    return groups.status == 200 && !groups.body["items"].empty();
  })) << groups.body;
  EXPECT_EQ(groups.body["items"][0]["reason"], "schema_violation");
  EXPECT_EQ(groups.body["items"][0]["pointer"], "/metrics/temperature");
  const Answer list = call("GET", "/v1/rejections?reason=schema_violation");
  ASSERT_EQ(list.body["items"].size(), 1U) << list.body;
  const std::string rejection = list.body["items"][0]["rejection_id"];
  const Answer one = call("GET", "/v1/rejections/" + rejection);
  EXPECT_EQ(one.status, 200);
  EXPECT_TRUE(one.body.contains("payload_base64url")) << one.body;

  Json wider = metric;
  wider["max"] = 1000;
  ASSERT_EQ(call("POST", "/v1/schemas/meter/versions", table(Json::array({wider}))).status, 201);
  ASSERT_TRUE(
      eventually([&] { return validator_->metric("sluice_validator_schema_versions") == 2; }));
  const Json redrive{
      {"redrive_id", "fix-1"},
      {"selection", {{"reason", "schema_violation"}, {"to", "2099-01-01T00:00:00Z"}}}};
  EXPECT_EQ(call("POST", "/v1/redrives?dry_run=true", redrive).status, 200);
  EXPECT_EQ(call("GET", "/v1/redrives/fix-1").status, 404) << "a dry run begins nothing";
  ASSERT_EQ(call("POST", "/v1/redrives", redrive).status, 202);
  EXPECT_EQ(call("POST", "/v1/redrives", redrive).status, 202);  // the same one
  Answer state;
  ASSERT_TRUE(eventually([&] {
    state = call("GET", "/v1/redrives/fix-1");
    return state.body.value("state", "") == "succeeded";
  })) << state.body;
  EXPECT_EQ(state.body["sent"], 1);
  ASSERT_TRUE(stream_.wait_until_done());
  const auto valid = stream_.valid_by_id();
  ASSERT_TRUE(valid.contains(id));
  EXPECT_EQ(valid.at(id).size(), 1U);
  EXPECT_EQ(valid.at(id)[0].received_at_ms(),
            stream_.rejected_by_id().at(id)[0].raw().received_at_ms());
}

TEST_F(OperatorsTest, UnitsAndOutlierPoliciesAreChangedUnderTheirETag) {
  const Answer unit = call("PUT", "/v1/units/centi", {{"base", "Cel"}, {"factor", 0.01}});
  EXPECT_EQ(unit.status, 200) << unit.body;
  EXPECT_EQ(call("PUT", "/v1/units/odd", {{"base", "nothing"}, {"factor", 1}}).status, 400);
  EXPECT_EQ(call("GET", "/v1/units").body["items"].size(), 1U);
  const Answer policy = call("PUT", "/v1/outlier-policies/meter/temperature",
                             {{"action", "quarantine"}, {"max", 10}});
  EXPECT_EQ(policy.status, 200) << policy.body;
  EXPECT_EQ(call("GET", "/v1/outlier-policies/meter/temperature").body["policy"]["max"], 10);
  EXPECT_EQ(call("DELETE", "/v1/outlier-policies/meter/temperature").status, 204);
  EXPECT_EQ(call("GET", "/v1/outlier-policies/meter/temperature").status, 404);
}

}  // namespace
}  // namespace sluice::validator::testing
