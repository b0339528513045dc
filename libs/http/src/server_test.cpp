// A running server and what its callers meet, over real sockets.
#include "test_server.h"

#include <atomic>
#include <condition_variable>
#include <thread>

#include <sluice/http/problem.h>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace sluice::http::testing {
namespace {

using namespace std::chrono_literals;

const std::string kOperator = "Authorization: Bearer operator";
const std::string kJson = "Content-Type: application/json";

Result<Response> echo(const Request& request) {
  SLUICE_TRY_ASSIGN(auto body, request.json());
  return Response::json(body);
}

class ServerTest : public ::testing::Test {
 protected:
  ServerTest() {
    server.router.get("/open", Access::open(),
                      [](const Request&) -> Result<Response> { return Response::text("hello"); },
                      {.produces = {"text/plain"}});
    server.router.get(
        "/v1/things/{id}", Access::role(auth::Role::kViewer),
        [](const Request& request) -> Result<Response> {
          return Response::json({{"id", request.param("id")}, {"tenant", request.tenant().value()}})
              .with_etag("\"v1\"");
        });
    server.router.post("/v1/things", Access::role(auth::Role::kOperator),
                       [this](const Request& request) -> Result<Response> {
                         ++calls;
                         SLUICE_TRY_ASSIGN(auto body, request.json());
                         if (body.contains("fail"))
                           return fail(ErrorCode::kAlreadyExists, "there is one");
                         if (body.contains("throw")) throw std::runtime_error("secret");
                         return Response::created({{"dry", request.is_dry_run}}, "/v1/things/1");
                       },
                       {.action = "thing.create"});
    server.router.put("/v1/things/{id}", Access::role(auth::Role::kOperator), echo,
                      {.requires_if_match = true});
    server.router.del("/v1/tenants/{id}", Access::platform(),
                      [](const Request&) -> Result<Response> { return Response::no_content(); });
    server.router.post("/v1/upload", Access::role(auth::Role::kOperator),
                       [](const Request& request) -> Result<Response> {
                         std::uint64_t lines = 0;
                         SLUICE_TRY(read_lines(*request.body_reader, 64,
                                               [&](std::string_view, std::uint64_t) -> Result<> {
                                                 ++lines;
                                                 return {};
                                               }));
                         return Response::json({{"lines", lines}});
                       },
                       {.consumes = {"application/x-ndjson"}, .is_upload = true});
    server.router.post("/v1/secrets", Access::role(auth::Role::kOperator),
                       [this](const Request&) -> Result<Response> {
                         ++calls;
                         return Response::no_content();
                       },
                       {.is_body_optional = true, .takes_idempotency_key = false});
    server.router.get("/v1/stream", Access::open(), [](const Request&) -> Result<Response> {
      return Response::streamed("application/json", [](BodyWriter& writer) -> Result<> {
        for (int i = 0; i < 1000; ++i) SLUICE_TRY(writer.write(std::string(1000, 'x')));
        return {};
      });
    });
    server.router.get("/v1/broken", Access::open(), [](const Request&) -> Result<Response> {
      return Response::streamed("application/json", [](BodyWriter& writer) -> Result<> {
        SLUICE_TRY(writer.write("half"));
        return fail(ErrorCode::kInternal, "lost the database");
      });
    });
  }

  Answer ask(std::string_view bytes) { return server.ask(bytes); }

  std::atomic<int> calls = 0;
  TestServer server;
};

TEST_F(ServerTest, AnswersWithTraceAndSecurityHeaders) {
  server.start();
  const Answer answer = ask(request(
      "GET", "/open", {"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}));
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body, "hello");
  EXPECT_EQ(answer.headers.get("X-Trace-Id"), "0af7651916cd43dd8448eb211c80319c");
  EXPECT_EQ(answer.headers.get("X-Content-Type-Options"), "nosniff");
  EXPECT_EQ(answer.headers.get("Cache-Control"), "no-store");
  EXPECT_FALSE(answer.headers.get("Server"));
}

TEST_F(ServerTest, ChecksEveryRouteAgainstTheAccessTable) {
  server.start();
  const auto status = [&](const std::string& credential, std::string_view method,
                          std::string_view target) {
    return ask(request(method, target, {"Authorization: Bearer " + credential})).status;
  };
  EXPECT_EQ(ask(request("GET", "/v1/things/a")).status, 401);
  EXPECT_EQ(status("nobody", "GET", "/v1/things/a"), 401);
  EXPECT_EQ(status("down", "GET", "/v1/things/a"), 503);
  EXPECT_EQ(status("viewer", "GET", "/v1/things/a"), 200);
  EXPECT_EQ(status("viewer", "POST", "/v1/things"), 403);
  EXPECT_EQ(status("admin", "DELETE", "/v1/tenants/a"), 403);
  EXPECT_EQ(status("platform", "DELETE", "/v1/tenants/a"), 204);
  EXPECT_EQ(ask(request("GET", "/v1/things/a", {kOperator, kOperator})).status, 401);
  EXPECT_EQ(ask(request("GET", "/v1/things/a", {"Authorization: Basic operator"})).status, 401);
}

TEST_F(ServerTest, TellsAStrangerNothing) {
  server.start();
  const Answer answer = ask(request("GET", "/v1/things/a", {"Authorization: Bearer nobody"}));
  EXPECT_EQ(answer.headers.get("WWW-Authenticate"), "Bearer");
  EXPECT_EQ(answer.body.find("slk_secret"), std::string::npos);
  EXPECT_EQ(answer.body.find("unknown_key"), std::string::npos);
}

TEST_F(ServerTest, AuditsWritesAndRefusalsOnly) {
  server.start();
  ask(request("GET", "/v1/things/a", {kOperator}));
  ask(request("POST", "/v1/things", {kOperator, kJson}, "{}"));
  ask(request("POST", "/v1/things", {kOperator, kJson}, R"({"fail":1})"));
  ask(request("POST", "/v1/things", {kOperator, "Content-Type: text/plain"}, "{}"));
  ask(request("GET", "/v1/things/a", {"Authorization: Bearer nobody"}));
  ask(request("DELETE", "/v1/tenants/b", {kOperator}));
  std::vector<std::string> seen;
  for (const AuditEntry& entry : server.audit.entries()) {
    seen.push_back(entry.action + " " + std::string(to_string(entry.outcome)) + " " +
                   std::to_string(entry.status) + " " + entry.reason);
    EXPECT_EQ(entry.peer_ip, "127.0.0.1");
    EXPECT_EQ(entry.trace_id.size(), 32U);
  }
  EXPECT_EQ(seen, (std::vector<std::string>{
                      "thing.create done 201 ", "thing.create failed 409 already_exists",
                      "thing.create failed 415 unsupported_media_type",
                      "GET /v1/things/{id} refused 401 unknown_key",
                      "DELETE /v1/tenants/{id} refused 403 permission_denied"}));
}

TEST_F(ServerTest, KnowsWhatAPathCanDo) {
  server.start();
  EXPECT_EQ(ask(request("GET", "/nothing")).status, 404);
  const Answer refused = ask(request("DELETE", "/v1/things"));
  EXPECT_EQ(refused.status, 405);
  EXPECT_EQ(refused.headers.get("Allow"), "POST, OPTIONS");
  const Answer options = ask(request("OPTIONS", "/open"));
  EXPECT_EQ(options.status, 204);
  EXPECT_EQ(options.headers.get("Allow"), "GET, HEAD, OPTIONS");
  EXPECT_EQ(ask(request("OPTIONS", "*")).status, 204);
  EXPECT_EQ(ask(request("GET", "/v1/things/a%2Fb", {kOperator})).status, 400);
}

TEST_F(ServerTest, AnswersHeadWithoutABody) {
  server.start();
  RawClient client(server.address);
  client.send(request("HEAD", "/open"));
  const Answer head = client.read(true);
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.headers.get("Content-Length"), "5");
  EXPECT_EQ(client.ask(request("GET", "/open")).body, "hello");
}

TEST_F(ServerTest, NegotiatesMediaTypes) {
  server.start();
  EXPECT_EQ(ask(request("GET", "/open", {"Accept: application/json"})).status, 406);
  EXPECT_EQ(ask(request("POST", "/v1/things", {kOperator}, "{}")).status, 415);
  EXPECT_EQ(
      ask(request("POST", "/v1/things", {kOperator, "Content-Type: text/plain"}, "{}")).status,
      415);
  EXPECT_EQ(
      ask(request("POST", "/v1/things", {kOperator, kJson, "Content-Encoding: gzip"}, "{}")).status,
      415);
  EXPECT_EQ(ask(request("POST", "/v1/things", {kOperator, kJson})).status, 400);
  EXPECT_EQ(ask(request("GET", "/open", {}, "body")).status, 400);
}

TEST_F(ServerTest, WantsThePreconditionWhereTheRouteDoes) {
  server.start();
  EXPECT_EQ(ask(request("PUT", "/v1/things/a", {kOperator, kJson}, "{}")).status, 428);
  EXPECT_EQ(
      ask(request("PUT", "/v1/things/a", {kOperator, kJson, "If-Match: \"v1\""}, "{}")).status,
      200);
}

TEST_F(ServerTest, TellsADryRunFromARealOne) {
  server.start();
  EXPECT_EQ(ask(request("POST", "/v1/things?dry_run=true", {kOperator, kJson}, "{}")).body,
            R"({"dry":true})");
  EXPECT_EQ(ask(request("POST", "/v1/things?dry_run=1", {kOperator, kJson}, "{}")).status, 400);
  EXPECT_EQ(
      ask(request("POST", "/v1/things?dry_run=true&dry_run=true", {kOperator, kJson}, "{}")).status,
      400);
  EXPECT_TRUE(server.audit.entries().at(0).is_dry_run);
}

TEST_F(ServerTest, CarriesOutAKeyedPostOnce) {
  server.start();
  const std::string keyed =
      request("POST", "/v1/things", {kOperator, kJson, "Idempotency-Key: k1"}, "{}");
  const Answer first = ask(keyed);
  const Answer second = ask(keyed);
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(second.status, 201);
  EXPECT_EQ(second.body, first.body);
  EXPECT_EQ(second.headers.get("Location"), "/v1/things/1");
  EXPECT_EQ(second.headers.get("Idempotency-Replayed"), "true");
  EXPECT_EQ(
      ask(request("POST", "/v1/things", {kOperator, kJson, "Idempotency-Key: k1"}, "{ }")).status,
      422);
}

TEST_F(ServerTest, ForgetsTheKeyOfAPostThatFailed) {
  server.start();
  const std::string keyed =
      request("POST", "/v1/things", {kOperator, kJson, "Idempotency-Key: k1"}, R"({"fail":1})");
  EXPECT_EQ(ask(keyed).status, 409);
  EXPECT_EQ(ask(keyed).status, 409);
  EXPECT_EQ(calls, 2);
}

TEST_F(ServerTest, RefusesAKeyThatWouldNotProtect) {
  server.has_store = false;
  server.start();
  EXPECT_EQ(
      ask(request("POST", "/v1/things", {kOperator, kJson, "Idempotency-Key: k1"}, "{}")).status,
      400);
  EXPECT_EQ(ask(request("PUT", "/v1/things/a",
                        {kOperator, kJson, "If-Match: *", "Idempotency-Key: k"}, "{}"))
                .status,
            400);
  EXPECT_EQ(calls, 0);
}

TEST_F(ServerTest, RefusesAKeyWhereTheAnswerIsNotKept) {
  server.start();
  const Answer refused =
      ask(request("POST", "/v1/secrets", {kOperator, "Idempotency-Key: k1"}, ""));
  EXPECT_EQ(refused.status, 400);
  EXPECT_EQ(nlohmann::json::parse(refused.body)["errors"][0]["parameter"], "Idempotency-Key");
  EXPECT_EQ(calls, 0);
  EXPECT_EQ(ask(request("POST", "/v1/secrets", {kOperator}, "")).status, 204);
}

TEST_F(ServerTest, SurvivesAHandlerThatThrows) {
  server.start();
  const Answer answer = ask(request("POST", "/v1/things", {kOperator, kJson}, R"({"throw":1})"));
  EXPECT_EQ(answer.status, 500);
  EXPECT_EQ(answer.body.find("secret"), std::string::npos);
  EXPECT_EQ(ask(request("GET", "/open")).status, 200);
}

TEST_F(ServerTest, LimitsTheRateOfACallerAndOfAnAddress) {
  server.config.rate_per_second = 0.001;
  server.config.rate_burst = 2;
  server.config.anonymous_rate_per_second = 0.001;
  server.config.anonymous_rate_burst = 3;
  server.start();
  const std::string known = request("GET", "/v1/things/a", {kOperator});
  EXPECT_EQ(ask(known).status, 200);
  EXPECT_EQ(ask(known).status, 200);
  const Answer limited = ask(known);
  EXPECT_EQ(limited.status, 429);
  EXPECT_TRUE(limited.headers.get("Retry-After"));
  EXPECT_EQ(ask(request("GET", "/v1/things/a", {"Authorization: Bearer viewer"})).status, 200);

  EXPECT_EQ(ask(request("GET", "/open")).status, 200);
  EXPECT_EQ(ask(request("GET", "/v1/things/a")).status, 401);
  EXPECT_EQ(ask(request("GET", "/nothing")).status, 404);
  EXPECT_EQ(ask(request("GET", "/open")).status, 429);
  // A guess is no longer told that it was wrong, and who shares the guesser's address works on.
  EXPECT_EQ(ask(request("GET", "/v1/things/a", {"Authorization: Bearer guess"})).status, 429);
  EXPECT_EQ(ask(request("GET", "/v1/things/a", {"Authorization: Bearer admin"})).status, 200);
}

TEST_F(ServerTest, KeepsCallersOfOneNameApart) {
  // Two keys that an admin gave the same name.
  const std::string first = "Authorization: Bearer operator~key-1";
  const std::string second = "Authorization: Bearer operator~key-2";
  const auto post = [&](const std::string& key) {
    return ask(request("POST", "/v1/things", {key, kJson, "Idempotency-Key: k"}, "{}"));
  };
  server.config.rate_per_second = 0.001;
  server.config.rate_burst = 2;
  server.start();
  EXPECT_EQ(post(first).status, 201);
  const Answer other = post(second);
  EXPECT_EQ(other.status, 201);
  EXPECT_FALSE(other.headers.get("Idempotency-Replayed"));
  EXPECT_EQ(calls, 2);
  EXPECT_EQ(post(first).headers.get("Idempotency-Replayed"), "true");
  EXPECT_EQ(post(first).status, 429);
  EXPECT_EQ(post(second).status, 201);  // its own bucket
}

TEST_F(ServerTest, RefusesBodiesBeyondTheLimit) {
  server.config.max_body = Bytes{8};
  server.start();
  EXPECT_EQ(ask(request("POST", "/v1/things", {kOperator, kJson}, R"({"a": 1})")).status, 201);
  EXPECT_EQ(ask(request("POST", "/v1/things", {kOperator, kJson}, R"({"a":  1})")).status, 413);
  const Answer chunked =
      ask(request("POST", "/v1/things", {kOperator, kJson, "Transfer-Encoding: chunked"}) +
          "9\r\n{\"a\":  1}\r\n0\r\n\r\n");
  EXPECT_EQ(chunked.status, 413);
  EXPECT_EQ(chunked.headers.get("Connection"), "close");
  EXPECT_EQ(calls, 1);
}

TEST_F(ServerTest, ReadsChunkedBodies) {
  server.start();
  EXPECT_EQ(ask(request("POST", "/v1/things", {kOperator, kJson, "Transfer-Encoding: chunked"}) +
                "1\r\n{\r\n1\r\n}\r\n0\r\n\r\n")
                .status,
            201);
}

TEST_F(ServerTest, AsksForTheBodyOnlyOnceItWillBeRead) {
  server.start();
  RawClient client(server.address);
  client.send(request("POST", "/v1/things",
                      {kOperator, kJson, "Expect: 100-continue", "Content-Length: 2"}));
  EXPECT_EQ(client.read().status, 100);
  EXPECT_EQ(client.ask("{}").status, 201);
  EXPECT_EQ(ask(request("POST", "/v1/things", {kJson, "Expect: 100-continue", "Content-Length: 2"}))
                .status,
            401);
}

TEST_F(ServerTest, StreamsUploadsByTheLine) {
  server.start();
  std::string lines;
  for (int i = 0; i < 50'000; ++i) lines += "{\"n\": " + std::to_string(i) + "}\n";
  EXPECT_EQ(
      ask(request("POST", "/v1/upload", {kOperator, "Content-Type: application/x-ndjson"}, lines))
          .body,
      R"({"lines":50000})");
  EXPECT_EQ(ask(request("POST", "/v1/upload", {kOperator, "Content-Type: application/x-ndjson"},
                        std::string(65, 'x')))
                .status,
            400);
}

TEST_F(ServerTest, StreamsAnswersAndCutsTheBrokenOnes) {
  server.start();
  const Answer whole = ask(request("GET", "/v1/stream"));
  EXPECT_TRUE(whole.is_whole);
  EXPECT_EQ(whole.body.size(), 1'000'000U);
  const Answer broken = ask(request("GET", "/v1/broken"));
  EXPECT_EQ(broken.status, 200);
  EXPECT_FALSE(broken.is_whole);
}

TEST_F(ServerTest, NeverSendsAHeaderThatSplitsTheAnswer) {
  server.router.get("/split", Access::open(), [](const Request& request) -> Result<Response> {
    return Response::no_content().with_header("Location", "/a\r\nSet-Cookie: " + request.target);
  });
  server.start();
  const Answer answer = ask(request("GET", "/split"));
  EXPECT_EQ(answer.status, 500);
  EXPECT_FALSE(answer.headers.get("Set-Cookie"));
}

TEST_F(ServerTest, ClosesConnectionsAfterTheirShareOfRequests) {
  server.config.max_requests_per_connection = 2;
  server.start();
  RawClient client(server.address);
  EXPECT_FALSE(client.ask(request("GET", "/open")).headers.get("Connection"));
  EXPECT_EQ(client.ask(request("GET", "/open")).headers.get("Connection"), "close");
  EXPECT_TRUE(client.is_ended());
}

TEST_F(ServerTest, TellsClientsToGoWhileDraining) {
  server.start();
  RawClient client(server.address);
  EXPECT_FALSE(client.ask(request("GET", "/open")).headers.get("Connection"));
  server.server().begin_drain();
  EXPECT_EQ(client.ask(request("GET", "/open")).headers.get("Connection"), "close");
}

TEST_F(ServerTest, CountsWhatItDoes) {
  server.start();
  ask(request("GET", "/open"));
  ask(request("GET", "/v1/things/a"));
  server.stop();
  const std::string scraped = server.registry.scrape();
  EXPECT_NE(
      scraped.find(R"(sluice_http_requests_total{method="GET",route="/open",status="2xx"} 1)"),
      std::string::npos)
      << scraped;
  EXPECT_NE(scraped.find(R"(sluice_http_refused_total{reason="unauthenticated"} 1)"),
            std::string::npos);
  EXPECT_NE(scraped.find("sluice_http_connections 0"), std::string::npos);
  EXPECT_NE(scraped.find("sluice_http_requests_in_flight 0"), std::string::npos);
}

/// A handler that waits until it is let go.
class Gate {
 public:
  void pass() {
    std::unique_lock lock(mutex_);
    ++waiting_;
    changed_.notify_all();
    changed_.wait(lock, [&] { return is_open_; });
  }
  void wait_for(int count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return waiting_ >= count; });
  }
  void open() {
    std::lock_guard lock(mutex_);
    is_open_ = true;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int waiting_ = 0;
  bool is_open_ = false;
};

TEST_F(ServerTest, FinishesWhatIsInHandWhenItStops) {
  Gate gate;
  server.router.get("/slow", Access::open(), [&](const Request&) -> Result<Response> {
    gate.pass();
    return Response::json({{"done", true}});
  });
  server.start();
  RawClient busy(server.address);
  RawClient idle(server.address);
  EXPECT_EQ(idle.ask(request("GET", "/open")).status, 200);
  busy.send(request("GET", "/slow"));
  gate.wait_for(1);
  std::jthread stopper([&] { server.server().stop(); });
  EXPECT_TRUE(idle.is_ended());  // stop() has begun
  gate.open();
  const Answer answer = busy.read();
  EXPECT_EQ(answer.body, R"({"done":true})");
  EXPECT_EQ(answer.headers.get("Connection"), "close");
}

TEST_F(ServerTest, RefusesRequestsThatNoWorkerWillTakeSoon) {
  Gate gate;
  server.router.get("/slow", Access::open(), [&](const Request&) -> Result<Response> {
    gate.pass();
    return Response::no_content();
  });
  server.config.threads = 1;
  server.config.max_waiting = 1;
  server.start();
  RawClient first(server.address);
  first.send(request("GET", "/slow"));
  gate.wait_for(1);
  RawClient second(server.address);
  second.send(request("GET", "/slow"));
  while (server.registry.scrape().find("sluice_http_requests_waiting 1") == std::string::npos) {
    std::this_thread::yield();
  }
  RawClient third(server.address);
  const Answer refused = third.ask(request("GET", "/slow"));
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(refused.headers.get("Retry-After"), "1");
  gate.open();
  EXPECT_EQ(first.read().status, 204);
  EXPECT_EQ(second.read().status, 204);
}

TEST(Server, RefusesPlaintextOffLoopback) {
  TestServer server;
  server.config.listen = "0.0.0.0:0";
  SystemClock clock;
  SystemRandom random;
  Server made(server.config, Router(), clock, random,
              Logger("t", LogLevel::kError, clock, std::make_shared<NullSink>()), server.registry);
  EXPECT_FALSE(made.start());
}

TEST(ServerDeathTest, WantsAnAuthenticatorForClosedRoutes) {
  const auto make = [] {
    SystemClock clock;
    SystemRandom random;
    Registry registry;
    Router router;
    router.get("/", Access::role(auth::Role::kViewer), echo);
    Server server(Config(), std::move(router), clock, random,
                  Logger("t", LogLevel::kError, clock, std::make_shared<NullSink>()), registry);
  };
  EXPECT_DEATH(make(), "BUG");
}

}  // namespace
}  // namespace sluice::http::testing
