// The program as an operator sees it: keys of the real registry, answers while it writes.
#include "writer_world.h"

#include <atomic>
#include <chrono>
#include <format>
#include <memory>
#include <string>
#include <thread>

#include <sluice/http/client.h>
#include <sluice/platform/registry_program.h>
#include <sluice/testing/eventually.h>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace sluice::tsdb {
namespace {

using namespace std::chrono_literals;
using Json = nlohmann::json;
using testing::Said;

/// A registry and a writer that asks it who its callers are.
struct QueryServiceTest : ::testing::Test {
  QueryServiceTest() { registry.start(); }

  std::unique_ptr<platform::ServiceProcess> writer(platform::Environment more = {}) {
    more.merge(world.surroundings().settings_of_grpc("tsdb-writer"));
    more.erase("SLUICE_GRPC_LISTEN");  // it calls by gRPC and serves none
    more.merge(platform::Environment{
        {"SLUICE_DEVICE_REGISTRY_ADDRESS", registry.process().address("grpc")},
        {"SLUICE_HTTP_RATE_PER_SECOND", "0"}});
    return world.writer(std::move(more));
  }
  static http::ClientResponse get(const platform::ServiceProcess& writer, const std::string& path,
                                  const std::string& key) {
    http::ClientRequest request{.url = "http://" + writer.address("http") + path};
    if (!key.empty()) request.headers.add("Authorization", "Bearer " + key);
    const http::Client client({.timeout = 30s, .max_response = Bytes{64 << 20}});
    auto response = client.send(request);
    EXPECT_TRUE(response) << response.error().message();
    return response ? *std::move(response) : http::ClientResponse();
  }

  testing::WriterWorld world;
  platform::RegistryProgram registry{world.surroundings()};
};

TEST_F(QueryServiceTest, NeverLosesSightOfAValueOnItsWayToTheTables) {
  const auto tenant = registry.make_tenant();
  const auto other = registry.make_tenant();
  const auto server = writer({{"SLUICE_BATCH_MAX_AGE", "200ms"}});
  const std::int64_t start =
      std::chrono::duration_cast<std::chrono::milliseconds>(SystemClock().wall().time_since_epoch())
          .count() -
      600'000;
  std::atomic<int> sent{0};
  constexpr int kAll = 3'000;
  std::jthread source([&] {
    for (int i = 0; i < kAll; i += 20) {
      std::vector<Said> messages;
      for (int j = i; j < i + 20; ++j) {
        messages.push_back({.tenant = tenant.id,
                            .device = "pump",
                            .event_time_ms = start + j,
                            .readings = {{"count", std::int64_t{j}}}});
      }
      world.send(messages);
      sent = i + 20;
    }
  });
  const std::string path =
      std::format("/v1/devices/pump/metrics?metric=count&from={}&to={}", start, start + kAll);
  // What was seen once is seen ever after, whether it is in memory, being committed or in a table;
  // and values come in order, so what is seen has no holes.
  std::size_t seen = 0;
  EXPECT_TRUE(sluice::testing::eventually(
      [&] {
        const auto answer = get(*server, path, tenant.admin_key);
        if (answer.status == 404) {
          EXPECT_EQ(seen, 0U);
          return false;
        }
        EXPECT_EQ(answer.status, 200) << answer.body;
        const Json points = Json::parse(answer.body)["series"][0]["points"];
        EXPECT_GE(points.size(), seen);
        seen = points.size();
        for (std::size_t i = 0; i < points.size(); ++i) {
          if (points[i][1] != i) {
            ADD_FAILURE() << "value " << i << " of " << points.size() << " is " << points[i];
            return true;
          }
        }
        return seen == kAll;
      },
      60s));
  source.join();
  EXPECT_EQ(get(*server, path, other.admin_key).status, 404);
  EXPECT_EQ(get(*server, path, "").status, 401);
  EXPECT_EQ(get(*server, path, "slk_wrong").status, 401);
  const auto prometheus =
      get(*server, std::format("/api/v1/query?query=count&time={}", (start + kAll) / 1000 + 1),
          tenant.admin_key);
  EXPECT_EQ(prometheus.status, 200);
  EXPECT_EQ(Json::parse(prometheus.body)["data"]["result"][0]["value"][1],
            std::to_string(kAll - 1));
  EXPECT_GT(server->metric("sluice_tsdb_queries_total"), 0);
}

TEST_F(QueryServiceTest, StreamsWithoutHoldingTheAnswer) {
  const auto tenant = registry.make_tenant();
  const auto server = writer();
  const std::int64_t start =
      std::chrono::duration_cast<std::chrono::milliseconds>(SystemClock().wall().time_since_epoch())
          .count() -
      3 * 86'400'000LL;
  constexpr int kValues = 40'000;
  for (int i = 0; i < kValues; i += 4'000) {
    std::vector<Said> messages;
    for (int j = i; j < i + 4'000; ++j) {
      messages.push_back({.tenant = tenant.id,
                          .device = "pump",
                          .event_time_ms = start + j * 5'000LL,
                          .readings = {{"level", 0.1 * j}, {"text", std::string(100, 'x')}}});
    }
    world.send(messages);
  }
  const std::string path =
      std::format("/v1/devices/pump/metrics?from={}&to={}", start, start + kValues * 5'000LL);
  Json answer;
  ASSERT_TRUE(sluice::testing::eventually(
      [&] {
        const auto response = get(*server, path, tenant.admin_key);
        if (response.status != 200) return false;
        answer = Json::parse(response.body);
        return answer["series"].size() == 2 && answer["series"][1]["points"].size() == kValues;
      },
      60s));
  EXPECT_EQ(answer["series"][0]["points"].size(), static_cast<std::size_t>(kValues));
  const std::int64_t before = server->resident_kib();
  for (int i = 0; i < 5; ++i) EXPECT_EQ(get(*server, path, tenant.admin_key).status, 200);
  // One answer is about 6 MiB; none of them stays.
  EXPECT_LT(server->resident_kib() - before, 20'000);
}

}  // namespace
}  // namespace sluice::tsdb
