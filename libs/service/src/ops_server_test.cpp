#include "ops_server.h"

#include "raw_client.h"

#include <atomic>
#include <format>
#include <list>
#include <string>
#include <thread>
#include <vector>

#include <sluice/base/clock.h>
#include <sluice/metrics/metrics.h>
#include <sluice/testing/eventually.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::service {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr std::string_view kRequest = "GET /livez HTTP/1.1\r\n\r\n";

/// A server that answers with the path it was asked for.
struct Fixture {
  explicit Fixture(OpsServer::Options options = {.listen = "127.0.0.1:0"}) {
    auto started =
        OpsServer::start(std::move(options), clock, registry, [this](const OpsRequest& request) {
          return request.path == "/big" ? plain(200, big) : plain(200, "path " + request.path);
        });
    server = *std::move(started);
  }
  std::string address() const { return server->address(); }
  double dropped(std::string_view reason) {
    return static_cast<double>(
        registry
            .counter("sluice_ops_connections_dropped_total",
                     "Connections of the ops port closed before their answer.",
                     {{"reason", std::string(reason)}})
            .value());
  }

  SystemClock clock;
  Registry registry;
  const std::string big = std::string(8 << 20, 'x');  // more than the kernel's buffers hold
  std::unique_ptr<OpsServer> server;
};

TEST(OpsServer, AnswersAndCloses) {
  const Fixture fixture;
  EXPECT_THAT(fixture.address(), StartsWith("127.0.0.1:"));
  const std::string answer = ask(fixture.address(), kRequest);
  EXPECT_EQ(status_of(answer), 200);
  EXPECT_EQ(body_of(answer), "path /livez\n");
}

TEST(OpsServer, TakesARequestInAnyPieces) {
  const Fixture fixture;
  RawClient client(fixture.address());
  for (char c : kRequest) ASSERT_TRUE(client.send(std::string_view(&c, 1)));
  EXPECT_EQ(status_of(client.receive_all()), 200);
}

TEST(OpsServer, ABodyDoesNotCostTheAnswer) {
  const Fixture fixture;
  const std::string request = std::format(
      "POST /drain HTTP/1.1\r\nContent-Length: 100000\r\n\r\n{}", std::string(100'000, 'x'));
  EXPECT_EQ(status_of(ask(fixture.address(), request)), 200);
}

TEST(OpsServer, SendsAnswersLargerThanTheSocketTakes) {
  Fixture fixture;
  const std::string answer = ask(fixture.address(), "GET /big HTTP/1.1\r\n\r\n");
  EXPECT_EQ(body_of(answer).size(), fixture.big.size() + 1);
}

TEST(OpsServer, RefusesHeadsThatAreTooLarge) {
  const Fixture fixture;
  const std::string head =
      std::format("GET / HTTP/1.1\r\nA: {}\r\n\r\n", std::string(kMaxHeadSize, 'x'));
  EXPECT_EQ(status_of(ask(fixture.address(), head)), 431);
  // Without an end in sight, too.
  EXPECT_EQ(status_of(ask(fixture.address(), std::string(100 * kMaxHeadSize, 'x'))), 431);
}

TEST(OpsServer, RefusesWhatIsNotHttp) {
  const Fixture fixture;
  EXPECT_EQ(status_of(ask(fixture.address(), "\x16\x03\x01 hello\r\n\r\n")), 400);
}

TEST(OpsServer, GivesUpOnAPeerThatSendsNothing) {
  Fixture fixture({.listen = "127.0.0.1:0", .deadline = std::chrono::milliseconds(50)});
  RawClient client(fixture.address());
  client.send("GET /livez HT");
  EXPECT_EQ(client.receive_all(), "");
  EXPECT_EQ(fixture.dropped("timeout"), 1);
}

TEST(OpsServer, GivesUpOnAPeerThatDoesNotRead) {
  Fixture fixture({.listen = "127.0.0.1:0", .deadline = std::chrono::milliseconds(50)});
  RawClient client(fixture.address());
  client.send("GET /big HTTP/1.1\r\n\r\n");
  // The deadline passes without anything being read; then the rest is cut off.
  ASSERT_TRUE(testing::eventually([&] { return fixture.dropped("timeout") == 1; }));
  EXPECT_LT(client.receive_all().size(), fixture.big.size());
}

TEST(OpsServer, IdleConnectionsCannotKeepAProbeOut) {
  Fixture fixture({.listen = "127.0.0.1:0", .max_connections = 4});
  std::list<RawClient> idle;
  for (int i = 0; i < 20; ++i) idle.emplace_back(fixture.address());
  EXPECT_EQ(status_of(ask(fixture.address(), kRequest)), 200);
  EXPECT_EQ(idle.front().receive_all(), "");
  EXPECT_EQ(fixture.dropped("full"), 17);
}

TEST(OpsServer, ServesManyAtOnce) {
  Fixture fixture;
  std::atomic<int> good = 0;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 8; ++i) {
      threads.emplace_back([&] {
        for (int j = 0; j < 50; ++j) {
          if (status_of(ask(fixture.address(), kRequest)) == 200) ++good;
        }
      });
    }
  }
  EXPECT_EQ(good, 400);
  EXPECT_THAT(fixture.registry.scrape(),
              HasSubstr("sluice_ops_requests_total{path=\"/livez\",status=\"200\"} 400"));
}

TEST(OpsServer, EndsWithConnectionsOpen) {
  auto fixture = std::make_unique<Fixture>();
  RawClient client(fixture->address());
  client.send("GET ");
  fixture.reset();
  EXPECT_EQ(client.receive_all(), "");
}

TEST(OpsServer, SaysWhyItCannotListen) {
  const Fixture fixture;
  SystemClock clock;
  Registry registry;
  const auto second = OpsServer::start({.listen = fixture.address()}, clock, registry,
                                       [](const OpsRequest&) { return plain(200, ""); });
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code(), ErrorCode::kUnavailable);
  EXPECT_THAT(second.error().message(), HasSubstr(fixture.address()));
  EXPECT_THAT(second.error().message(), EndsWith("Address already in use"));
}

}  // namespace
}  // namespace sluice::service
