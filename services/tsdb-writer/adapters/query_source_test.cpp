// Queries over the real tables, and over HTTP, with rows as the write path and compaction leave
// them.
#include "adapters/query_source.h"

#include "adapters/rest_api.h"
#include "adapters/rest_retention.h"
#include "adapters/storage.h"
#include "core/query/run.h"
#include "testing/stored_history.h"

#include <chrono>
#include <format>
#include <memory>
#include <set>
#include <string>

#include <sluice/embedded/tsdb_writer_openapi.h>
#include <sluice/http/client.h>
#include <sluice/http/openapi.h>
#include <sluice/http/server.h>
#include <sluice/json/json.h>
#include <sluice/postgres/testing/test_database.h>
#include <sluice/postgres/transaction.h>
#include <sluice/testing/captured_log.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace sluice::tsdb {
namespace {

using namespace std::chrono_literals;
using postgres::testing::TestDatabase;
using testing::Sent;
using Json = nlohmann::json;

constexpr std::int64_t kHour = 3'600'000;
constexpr std::int64_t kDay = 24 * kHour;

std::string hex(const std::string& bytes) {
  std::string out;
  for (const char byte : bytes) out += std::format("{:02x}", static_cast<unsigned char>(byte));
  return out;
}

/// What a writer has in memory, by hand.
class FakeRecent final : public RecentSamples {
 public:
  std::vector<std::vector<std::byte>> of_device(DeviceKey device,
                                                series::TimeRange) const override {
    if (device != of) return {};
    std::vector<std::vector<std::byte>> chunks;
    for (const std::string& text : texts) {
      const auto bytes = std::as_bytes(std::span(text));
      chunks.emplace_back(bytes.begin(), bytes.end());
    }
    return chunks;
  }

  DeviceKey of;
  std::vector<std::string> texts;
};

/// Takes any credential as the name of a tenant: signing in is tested where it is made.
class NamedTenant final : public http::Authenticator {
 public:
  Result<auth::Principal> authenticate(const http::Request& request) override {
    SLUICE_TRY_ASSIGN(const auto credential, http::bearer_credential(request));
    return auth::Principal{.tenant = TenantId(std::string(credential)),
                           .subject = "someone",
                           .role = auth::Role::kViewer,
                           .credential_id = "k"};
  }
};

class NoRetention final : public RetentionBook {
 public:
  Result<RetentionOverview> overview(const TenantId&) override { return RetentionOverview{}; }
  Result<> check_policy(std::string_view) override { return {}; }
  Result<> set_class_policy(const TenantId&, std::string_view, std::string_view,
                            const ChoiceNotice&) override {
    return {};
  }
};

class QuerySourceTest : public ::testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    if (GetParam()) {
      if (!database.query_value("SHOW shared_preload_libraries").contains("timescaledb")) {
        GTEST_SKIP() << "this PostgreSQL does not preload timescaledb";
      }
      database.execute("CREATE EXTENSION timescaledb");
    }
    auto opened = Storage::open(database.config(), "test", clock, random, registry, log);
    ASSERT_TRUE(opened) << opened.error().message();
    storage = *std::move(opened);
    today = std::chrono::floor<std::chrono::days>(clock.wall()).time_since_epoch() / 1ms;
    source = std::make_unique<PostgresSampleSource>(storage->pool(), 4, &recent, clock, registry);
  }

  DeviceKey add_device(const std::string& tenant, const std::string& id,
                       const std::string& fleet = "north") {
    return DeviceKey(std::stoll(database.query_value(
        std::format("INSERT INTO tsdb.devices (tenant, device, fleet, device_type) VALUES "
                    "('{}','{}','{}','meter') RETURNING device_key",
                    tenant, id, fleet))));
  }
  MetricKey add_metric(const std::string& tenant, const std::string& name, int type = 0) {
    return MetricKey(std::stoi(database.query_value(
        std::format("INSERT INTO tsdb.metrics (tenant, device_type, name, type, unit) VALUES "
                    "('{}','meter','{}',{},'u') RETURNING metric_key",
                    tenant, name, type))));
  }

  void ensure(std::string_view table, std::int64_t from, std::int64_t until) {
    const auto made = postgres::run_transaction(
        storage->pool(), {.all_tenants = true}, [&](postgres::Transaction& tx) {
          return storage->partitions().ensure(tx, table, WallTime(std::chrono::milliseconds(from)),
                                              WallTime(std::chrono::milliseconds(until)));
        });
    ASSERT_TRUE(made) << made.error().message();
  }

  /// Writes what compaction would have, but for the tiers left out.
  void compact(DeviceKey device, const std::vector<Sent>& sent, bool keeps_raw = true) {
    testing::StoredHistory history;
    if (keeps_raw) {
      history.compact(sent);
    } else {
      history.compact_and_drop_raw(sent);
    }
    const auto write = [&](Tier tier, const char* columns, bool is_warm) {
      const std::string table = table_name(tier, PolicyId(1));
      for (const auto& [start, bytes] : history.rows(tier)) {
        ensure(table, start, start + kHour);
        database.execute(std::format(
            "INSERT INTO tsdb.{} ({}) VALUES ({}, to_timestamp({}){}, '\\x{}')", table, columns,
            device.value(), start / 1000,
            is_warm ? std::format(", to_timestamp({0}), to_timestamp({0}), 1", start / 1000) : "",
            hex(bytes)));
      }
    };
    write(Tier::kWarm, "device_key, event_hour, ts_min, ts_max, n, chunk", true);
    write(Tier::kRollup1m, "device_key, event_hour, data", false);
    write(Tier::kRollup1h, "device_key, event_day, data", false);
    write(Tier::kRollup1d, "device_key, event_month, data", false);
  }

  void flush(DeviceKey device, const std::vector<Sent>& sent, const char* arrival = "now()") {
    testing::StoredHistory history;
    history.flush(sent);
    for (const StoredRow& row : history.fresh()) {
      database.execute(std::format(
          "INSERT INTO tsdb.hot (flush_id, device_key, event_hour, ts_min, ts_max, arrival, n, "
          "chunk) VALUES (nextval('tsdb.flush'), {}, to_timestamp({}), now(), now(), {}, 1, "
          "'\\x{}')",
          device.value(), row.start.time_since_epoch() / 1s, arrival, hex(row.bytes)));
    }
  }

  /// Starts the server and gives its address.
  const std::string& serve() {
    if (!server) {
      server = std::make_unique<http::Server>(
          http::Config(),
          make_router({.source = *source, .limits = limits, .clock = clock, .metrics = metrics}),
          clock, random, log, registry, http::Ports{.authenticator = &authenticator});
      address = server->start().value();
    }
    return address;
  }

  http::ClientResponse ask(const std::string& method, const std::string& path,
                           const std::string& tenant, const std::string& body = "",
                           const std::string& type = "application/json") {
    http::ClientRequest request{.method = method, .url = "http://" + serve() + path};
    request.headers.add("Authorization", "Bearer " + tenant);
    if (!body.empty()) {
      request.headers.add("Content-Type", type);
      request.body = body;
    }
    const http::Client client({.timeout = 30s, .max_response = Bytes{256 << 20}});
    auto response = client.send(request);
    EXPECT_TRUE(response) << response.error().message();
    if (!response) return {};
    static const http::OpenApi api = http::OpenApi::parse(embedded::tsdb_writer_openapi).value();
    const auto match = server->router().match(method, path.substr(0, path.find('?')));
    if (match && match->route != nullptr) {
      EXPECT_EQ(api.undocumented(method, match->route->path, response->status,
                                 std::string(response->headers.get("Content-Type").value_or("")),
                                 response->body),
                "")
          << path << " " << response->body.substr(0, 300);
    }
    return *std::move(response);
  }
  Json get(const std::string& path, const std::string& tenant = "blue") {
    const auto response = ask("GET", path, tenant);
    EXPECT_EQ(response.status, 200) << response.body;
    return Json::parse(response.body, nullptr, false);
  }

  TestDatabase database;
  SystemClock clock;
  SystemRandom random;
  Registry registry;
  std::shared_ptr<sluice::testing::CapturedLog> lines =
      std::make_shared<sluice::testing::CapturedLog>();
  Logger log = lines->logger("test", clock);
  std::unique_ptr<Storage> storage;
  FakeRecent recent;
  std::unique_ptr<PostgresSampleSource> source;
  QueryLimits limits;
  QueryMetrics metrics{registry};
  NamedTenant authenticator;
  std::int64_t today = 0;
  std::string address;
  std::unique_ptr<http::Server> server;
};

INSTANTIATE_TEST_SUITE_P(Layouts, QuerySourceTest, ::testing::Bool(),
                         [](const auto& layout) { return layout.param ? "hypertable" : "plain"; });

TEST_P(QuerySourceTest, MergesWarmHotAndMemoryInThatOrder) {
  const DeviceKey device = add_device("blue", "d1");
  const MetricKey metric = add_metric("blue", "temperature");
  compact(device, {{metric, today + 1, 1.0}, {metric, today + 2, 1.0}, {metric, today + 3, 1.0}});
  flush(device, {{metric, today + 2, 2.0}, {metric, today + 3, 2.0}});
  flush(device, {{metric, today + 3, 3.0}, {metric, today + 4, 3.0}});
  recent.of = device;
  recent.texts = {testing::chunk_of({{metric, today + 4, 4.0}, {metric, today + 5, 4.0}})};
  const Json answer = get(
      std::format("/v1/devices/d1/metrics?metric=temperature&from={}&to={}", today, today + kHour));
  EXPECT_EQ(answer["series"][0]["points"], Json::array({{today + 1, 1.0},
                                                        {today + 2, 2.0},
                                                        {today + 3, 3.0},
                                                        {today + 4, 4.0},
                                                        {today + 5, 4.0}}));
  EXPECT_EQ(answer["tiers"], Json::array({"raw"}));
  const Json latest = get("/v1/devices/d1/latest");
  EXPECT_EQ(latest["values"][0]["time"], today + 5);
  EXPECT_EQ(latest["values"][0]["value"], 4.0);
}

TEST_P(QuerySourceTest, AnswersFromEachTierAndSaysWhich) {
  const DeviceKey device = add_device("blue", "d1");
  const MetricKey metric = add_metric("blue", "temperature");
  std::vector<Sent> sent;
  for (std::int64_t i = 0; i < 48; ++i) {
    sent.push_back({metric, today - 2 * kDay + i * kHour / 2 + 5, static_cast<double>(i)});
  }
  compact(device, sent);
  flush(device, {{metric, today - 2 * kDay + 6, 100.0}});
  for (const auto& [resolution, tier] :
       {std::pair{"10s", "raw"}, {"1m", "1m"}, {"1h", "1h"}, {"1d", "1d"}}) {
    const auto path = std::format(
        "/v1/devices/d1/metrics?metric=temperature&from={}&to={}&resolution={}&agg=sum,"
        "count,max",
        today - 2 * kDay, today, resolution);
    const Json answer = get(path);
    EXPECT_EQ(answer["tiers"], Json::array({tier}));
    EXPECT_EQ(answer["resolution"], resolution);
    double sum = 0;
    int count = 0;
    for (const Json& point : answer["series"][0]["points"]) {
      sum += point[1].get<double>();
      count += point[2].get<int>();
    }
    EXPECT_EQ(sum, 47 * 48 / 2 + 100) << resolution;
    EXPECT_EQ(count, 49) << resolution;
    EXPECT_EQ(answer["series"][0]["points"][0][3], 100.0) << resolution;
  }
}

TEST_P(QuerySourceTest, FindsRowsInTheTablesOfEarlierPolicies) {
  const DeviceKey device = add_device("blue", "d1");
  const MetricKey metric = add_metric("blue", "temperature");
  compact(device, {{metric, today + 1, 1.0}});
  database.execute("UPDATE tsdb.devices SET policy = 3, earlier_policies = '{1}'");
  for (const char* resolution : {"raw", "1m", "1h", "1d"}) {
    const Json answer = get(std::format("/v1/devices/d1/metrics?from={}&to={}&resolution={}", today,
                                        today + kHour, resolution));
    EXPECT_EQ(answer["series"][0]["points"].size(), 1U) << resolution;
  }
  EXPECT_EQ(get("/v1/devices/d1/latest")["values"].size(), 1U);
}

TEST_P(QuerySourceTest, DoesNotCountTwiceWhatCompactionHasDealtWith) {
  const DeviceKey device = add_device("blue", "d1");
  const MetricKey metric = add_metric("blue", "temperature");
  // Raw values are gone, so compaction added the late one to the roll-ups; its row is still there.
  compact(device, {{metric, today + 1, 1.0}, {metric, today + 2, 2.0}}, false);
  flush(device, {{metric, today + 2, 2.0}});
  const std::string path =
      std::format("/v1/devices/d1/metrics?metric=temperature&from={}&to={}&resolution=1h&agg=count",
                  today, today + kHour);
  EXPECT_EQ(get(path)["series"][0]["points"][0][1], 3);  // not dealt with yet: new to the roll-up
  database.execute(std::format(
      "INSERT INTO tsdb.hot_hours (arrival_hour, is_sealed, next_device_key) "
      "VALUES (date_trunc('hour', now(), 'UTC'), true, {0}) ON CONFLICT (arrival_hour) DO UPDATE "
      "SET is_sealed = true, next_device_key = {0}",
      device.value() + 1));
  EXPECT_EQ(get(path)["series"][0]["points"][0][1], 2);
}

TEST_P(QuerySourceTest, TenantsDoNotSeeEachOther) {
  const DeviceKey device = add_device("red", "d1");
  const MetricKey metric = add_metric("red", "temperature");
  compact(device, {{metric, today + 1, 1.0}});
  add_device("blue", "own");
  add_metric("blue", "pressure");
  for (const char* path :
       {"/v1/devices/d1/metrics?metric=temperature", "/v1/devices/d1/metrics?metric=pressure",
        "/v1/devices/d1/latest", "/v1/devices/d1/metric-names"}) {
    const auto of_other = ask("GET", path, "blue");
    EXPECT_EQ(of_other.status, 404) << path;
    std::string nobody = path;
    nobody.replace(nobody.find("d1"), 2, "xx");
    const auto of_nobody = ask("GET", nobody, "blue");
    EXPECT_EQ(Json::parse(of_other.body)["detail"], Json::parse(of_nobody.body)["detail"]);
    EXPECT_EQ(of_nobody.status, 404);
  }
  EXPECT_EQ(ask("POST", "/v1/query", "blue", R"({"devices":["d1"],"metrics":["pressure"]})").status,
            404);
  EXPECT_EQ(ask("POST", "/v1/query", "blue", R"({"metrics":["temperature"]})").status, 404);
  EXPECT_EQ(get("/api/v1/query?query=temperature")["data"]["result"], Json::array());
  EXPECT_EQ(get("/api/v1/label/__name__/values")["data"], Json::array({"pressure"}));
  EXPECT_EQ(get("/api/v1/label/device/values")["data"], Json::array({"own"}));
  EXPECT_EQ(get("/api/v1/series?match%5B%5D=%7B__name__=~%22.%2B%22%7D")["data"].size(), 1U);
  EXPECT_EQ(get("/api/v1/metadata")["data"].size(), 1U);
  // Rows of the big tables have no tenant: the keys are what nobody else may learn.
  const auto own = source->devices(TenantId("blue"), {}, 10);
  ASSERT_EQ(own->size(), 1U);
  EXPECT_NE(own->front().key, device);
}

TEST_P(QuerySourceTest, AnswersPrometheus) {
  const DeviceKey device = add_device("blue", "d1");
  const DeviceKey other = add_device("blue", "d2", "south");
  const MetricKey metric = add_metric("blue", "requests");
  std::vector<Sent> sent;
  for (std::int64_t i = 0; i < 60; ++i) {
    sent.push_back({metric, today + i * 60'000, static_cast<double>(i * 60)});
  }
  compact(device, sent);
  flush(other, sent);
  const double seconds = static_cast<double>(today) / 1000;
  const Json instant =
      get(std::format("/api/v1/query?query=sum+by(fleet)(requests)&time={}", seconds + 600));
  EXPECT_EQ(instant["data"]["result"].size(), 2U);
  EXPECT_EQ(instant["data"]["result"][0]["value"], Json::array({today / 1000 + 600, "600"}));
  const std::string form =
      std::format("query=rate(requests%7Bdevice%3D%22d1%22%7D%5B5m%5D)&start={}&end={}&step=60",
                  seconds + 600, seconds + 1'200);
  const auto range =
      ask("POST", "/api/v1/query_range", "blue", form, "application/x-www-form-urlencoded");
  ASSERT_EQ(range.status, 200) << range.body;
  const Json values = Json::parse(range.body)["data"]["result"][0]["values"];
  ASSERT_EQ(values.size(), 11U);
  for (const Json& value : values) EXPECT_EQ(value[1], "1");
  EXPECT_EQ(get("/api/v1/labels")["data"],
            Json::array({"__name__", "device", "device_type", "fleet"}));
  const auto bad = ask("GET", "/api/v1/query?query=sum(", "blue");
  EXPECT_EQ(bad.status, 400);
  EXPECT_EQ(Json::parse(bad.body)["errorType"], "bad_data");
  EXPECT_EQ(ask("GET", "/api/v1/query_range?query=1&start=0&end=1e6&step=1", "blue").status, 400);
  EXPECT_EQ(get("/api/v1/query?query=1%2B1")["data"]["result"][1], "2");
}

TEST_P(QuerySourceTest, NamesEveryFaultOfARequest) {
  const auto faults = [&](const http::ClientResponse& response) {
    EXPECT_EQ(response.status, 400) << response.body;
    std::set<std::string> names;
    const Json document = Json::parse(response.body);
    for (const Json& error : document["errors"]) {
      names.insert(error.value("parameter", error.value("pointer", "?")));
    }
    return names;
  };
  EXPECT_EQ(faults(ask("GET",
                       "/v1/devices/d1/metrics?from=x&to=y&agg=mean&resolution=1&fill=zero&limit=0"
                       "&format=xml&times=utc&what=1",
                       "blue")),
            (std::set<std::string>{"from", "to", "agg", "resolution", "fill", "limit", "format",
                                   "times", "what"}));
  EXPECT_EQ(faults(ask("POST", "/v1/query", "blue",
                       R"({"metrics":[],"from":"x","agg":["mean"],"top":{"count":0},"x":1})")),
            (std::set<std::string>{"/metrics", "/from", "/agg", "/top/count", "/x"}));
}

TEST_P(QuerySourceTest, GivesPagesOfNames) {
  add_device("blue", "d1");
  for (int i = 0; i < 7; ++i) add_metric("blue", std::format("m{}", i));
  add_metric("blue", "m3", 1);
  std::vector<std::string> names;
  std::string path = "/v1/devices/d1/metric-names?page_size=3";
  for (int pages = 0; pages < 5; ++pages) {
    const Json page = get(path);
    for (const Json& item : page["items"]) names.push_back(item["metric"]);
    if (!page.contains("next_page_token")) break;
    path = "/v1/devices/d1/metric-names?page_size=3&page_token=" +
           page["next_page_token"].get<std::string>();
  }
  EXPECT_THAT(names, ::testing::ElementsAre("m0", "m1", "m2", "m3", "m4", "m5", "m6"));
}

TEST(QueryApi, IsWhatItsDescriptionSays) {
  NoRetention book;
  testing::FakeSampleSource source;
  const QueryLimits limits;
  const SystemClock clock;
  Registry registry;
  QueryMetrics metrics(registry);
  const auto router =
      make_router({.source = source, .limits = limits, .clock = clock, .metrics = metrics},
                  [&](http::Router& routes, const WriteAuditRecord& audit) {
                    add_retention_routes(routes, book, audit);
                  });
  const auto api = http::OpenApi::parse(embedded::tsdb_writer_openapi);
  ASSERT_TRUE(api) << api.error().message();
  EXPECT_EQ(api->differences(router), (std::vector<std::string>{}));
}

}  // namespace
}  // namespace sluice::tsdb
