#include "adapters/rest_retention.h"

#include <chrono>
#include <string>
#include <vector>

#include <sluice/http/request.h>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace sluice::tsdb {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;

struct FakeBook final : RetentionBook {
  Result<RetentionOverview> overview(const TenantId& tenant) override {
    asked.push_back(tenant.value());
    return RetentionOverview{
        .policies = {{.id = PolicyId(1), .name = "standard", .keep_raw = 48h}},
        .classes = {{.device_type = "meter", .policy = "standard", .is_assigned = false}},
        .drops = {{.tier = Tier::kWarm,
                   .policy = "standard",
                   .partition = "warm_p1_19700101t00",
                   .starts = WallTime{},
                   .ends = WallTime{24h},
                   .due = WallTime{72h},
                   .bytes = 5}}};
  }
  Result<> check_policy(std::string_view policy) override {
    if (policy == "standard") return {};
    return fail(Error(ErrorCode::kNotFound, "no such policy").with_reason("policy"));
  }
  Result<> set_class_policy(const TenantId& tenant, std::string_view device_type,
                            std::string_view policy, const ChoiceNotice& notice) override {
    SLUICE_TRY(check_policy(policy));
    set.push_back(tenant.value() + "/" + std::string(device_type) + " " + std::string(policy) +
                  " by " + std::string(notice.actor) + ", told " +
                  std::string(notice.audit_record));
    return {};
  }

  std::vector<std::string> asked;
  std::vector<std::string> set;
};

struct RestRetention : ::testing::Test {
  FakeBook book;
  http::Router router;

  void SetUp() override {
    add_retention_routes(router, book, [](const http::Request&, const audit::Deed& deed) {
      return std::string(deed.action) + " " + std::string(deed.target);
    });
  }

  Result<http::Response> call(const std::string& method, const std::string& path,
                              const std::string& body = "", bool is_dry_run = false) {
    auto match = router.match(method, path);
    http::Request request;
    request.method = method;
    request.target = path;
    request.path_params = match->path_params;
    if (!body.empty()) request.headers.add("Content-Type", "application/json");
    request.body = body;
    request.is_dry_run = is_dry_run;
    request.caller = auth::Principal{.tenant = TenantId("blue"),
                                     .subject = "alice",
                                     .role = auth::Role::kAdmin,
                                     .credential_id = "k"};
    return match->route->handler(request);
  }
};

TEST_F(RestRetention, TellsPoliciesClassesAndDrops) {
  const auto response = call("GET", "/v1/retention");
  ASSERT_TRUE(response);
  const json answer = json::parse(response->body);
  EXPECT_EQ(answer["policies"][0]["keep_hours"]["raw"], 48);
  EXPECT_TRUE(answer["policies"][0]["keep_hours"]["1d"].is_null());
  EXPECT_EQ(answer["classes"][0]["is_default"], true);
  EXPECT_EQ(answer["drops"][0]["due"], "1970-01-04T00:00:00.000Z");
  EXPECT_EQ(answer["drops"][0]["tier"], "raw");
  EXPECT_EQ(book.asked, std::vector<std::string>{"blue"});
}

TEST_F(RestRetention, ChoosesForTheCallersTenantAndTellsWhoDid) {
  const std::string path = "/v1/device-classes/meter/retention";
  EXPECT_TRUE(call("PUT", path, R"({"policy":"standard"})"));
  EXPECT_EQ(book.set,
            std::vector<std::string>{
                "blue/meter standard by alice, told retention.assign device-class/meter"});
}

TEST_F(RestRetention, ADryRunChecksAndChangesNothing) {
  const std::string path = "/v1/device-classes/meter/retention";
  EXPECT_TRUE(call("PUT", path, R"({"policy":"standard"})", true));
  EXPECT_EQ(call("PUT", path, R"({"policy":"nonsense"})", true).error().code(),
            ErrorCode::kNotFound);
  EXPECT_TRUE(book.set.empty());
}

TEST_F(RestRetention, RefusesWhatItDoesNotKnow) {
  const std::string path = "/v1/device-classes/meter/retention";
  EXPECT_FALSE(call("PUT", path, R"({"policy":"standard","days":3})"));
  EXPECT_FALSE(call("PUT", path, R"({})"));
  EXPECT_TRUE(book.set.empty());
}

TEST_F(RestRetention, OnlyAdminsChoose) {
  for (const auto& route : router.routes()) {
    EXPECT_EQ(route->access.name(), route->method == "PUT" ? "admin" : "viewer");
  }
}

}  // namespace
}  // namespace sluice::tsdb
