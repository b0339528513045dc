// Attributes of devices, from the real registry to answers, whoever was there first.
#include "writer_world.h"

#include <chrono>
#include <format>
#include <map>
#include <memory>
#include <set>
#include <string>

#include <sluice/http/client.h>
#include <sluice/platform/registry_program.h>
#include <sluice/testing/eventually.h>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace sluice::tsdb {
namespace {

using namespace std::chrono_literals;
using Json = nlohmann::json;
using sluice::testing::eventually;
using testing::Said;

struct AttributesTest : ::testing::Test {
  AttributesTest() {
    registry.start();
    tenant = registry.make_tenant();
    ask_registry("POST", "/v1/device-classes", {{"device_class_id", "meter"}});
    for (const auto& [site, power] : {std::pair("berlin", 1.0), {"berlin", 2.0}, {"ulm", 4.0}}) {
      const Json made =
          ask_registry("POST", "/v1/devices",
                       {{"device_class", "meter"}, {"metadata", {{"site", site}, {"floor", 3}}}});
      messages.push_back({.tenant = tenant.id,
                          .device = made["device_id"],
                          .event_time_ms = kTime,
                          .readings = {{"power", power}}});
    }
  }

  Json ask_registry(const std::string& method, const std::string& path, const Json& body) const {
    const auto answer = registry.call(
        {.method = method, .path = path, .key = tenant.admin_key, .body = body.dump()});
    EXPECT_LT(answer.status, 300) << answer.body;
    return Json::parse(answer.body);
  }
  std::unique_ptr<platform::ServiceProcess> writer() {
    platform::Environment more = world.surroundings().settings_of_grpc("tsdb-writer");
    more.erase("SLUICE_GRPC_LISTEN");  // it calls by gRPC and serves none
    more.merge(platform::Environment{
        {"SLUICE_DEVICE_REGISTRY_ADDRESS", registry.process().address("grpc")},
        {"SLUICE_HTTP_RATE_PER_SECOND", "0"}});
    return world.writer(std::move(more));
  }
  Json ask(const platform::ServiceProcess& server, const std::string& path,
           const std::string& body = "") const {
    http::ClientRequest request{.method = body.empty() ? "GET" : "POST",
                                .url = "http://" + server.address("http") + path,
                                .body = body};
    request.headers.add("Authorization", "Bearer " + tenant.admin_key);
    if (!body.empty()) request.headers.add("Content-Type", "application/json");
    const http::Client client({.timeout = 30s});
    const auto answer = client.send(request);
    EXPECT_TRUE(answer) << answer.error().message();
    return answer ? Json::parse(answer->body) : Json();
  }
  Json grouped(const platform::ServiceProcess& server) const {
    return ask(server, "/v1/query",
               Json{{"device_type", "meter"},
                    {"metrics", {"power"}},
                    {"from", std::to_string(kTime - 1)},
                    {"to", std::to_string(kTime + 60'000)},
                    {"resolution", "1h"},
                    {"agg", {"sum"}},
                    {"group_by", {"attribute.site"}}}
                   .dump());
  }
  /// What each site used, by the query API: nothing where its devices have no attribute.
  std::map<std::string, double> by_site(const platform::ServiceProcess& server) const {
    const Json answer = grouped(server);
    std::map<std::string, double> sums;
    if (!answer.contains("series")) return sums;
    for (const Json& series : answer["series"]) {
      for (const Json& point : series["points"]) {
        sums[series["attributes"]["site"]] += point[1].get<double>();
      }
    }
    return sums;
  }

  const std::int64_t kTime = (SystemClock().wall().time_since_epoch() - 1h) / 1ms;
  const std::map<std::string, double> kWanted{{"berlin", 3.0}, {"ulm", 4.0}};
  testing::WriterWorld world;
  platform::RegistryProgram registry{world.surroundings()};
  platform::RegistryProgram::Tenant tenant;
  std::vector<Said> messages;
};

TEST_F(AttributesTest, OfDevicesRegisteredBeforeThereWasAWriterAreThere) {
  world.send(messages);
  const auto server = writer();
  EXPECT_TRUE(eventually([&] { return by_site(*server) == kWanted; })) << grouped(*server).dump();

  const std::string at = std::format("time={}", kTime / 1'000 + 60);
  std::map<std::string, std::string> sums;
  const Json answer = ask(*server, "/api/v1/query?query=sum+by(site)(power)&" + at);
  for (const Json& each : answer["data"]["result"]) sums[each["metric"]["site"]] = each["value"][1];
  EXPECT_EQ(sums, (std::map<std::string, std::string>{{"berlin", "3"}, {"ulm", "4"}}));
  EXPECT_EQ(ask(*server, "/api/v1/query?query=sum(power%7Bsite%3D%22berlin%22%7D)&" +
                             at)["data"]["result"][0]["value"][1],
            "3");
  EXPECT_EQ(ask(*server, "/api/v1/labels")["data"],
            Json({"__name__", "device", "device_type", "fleet", "floor", "site"}));
  EXPECT_EQ(ask(*server, "/api/v1/label/site/values")["data"], Json({"berlin", "ulm"}));
  const Json series = ask(*server, "/api/v1/series?match%5B%5D=power%7Bsite%3D%22ulm%22%7D");
  ASSERT_EQ(series["data"].size(), 1U) << series;
  EXPECT_EQ(series["data"][0]["floor"], "3");
}

// What the group has committed in Kafka says nothing about tables that are older than that.
TEST_F(AttributesTest, ComeAgainWhenTheTablesWereSetBack) {
  world.send(messages);
  {
    const auto server = writer();
    ASSERT_TRUE(eventually([&] { return by_site(*server) == kWanted; }));
    server->process().signal(SIGTERM);
    ASSERT_TRUE(eventually([&] { return !server->process().is_running(); }));
  }
  world.database().execute(
      "TRUNCATE tsdb.device_attributes, tsdb.attribute_values; "
      "DELETE FROM tsdb.offsets WHERE topic = 'control.devices'");
  const auto server = writer();
  EXPECT_TRUE(eventually([&] { return by_site(*server) == kWanted; })) << grouped(*server).dump();
}

}  // namespace
}  // namespace sluice::tsdb
