// Clients that mean harm, or behave as if they did.
#include "head.h"
#include "test_server.h"

#include <gtest/gtest.h>

namespace sluice::http::testing {
namespace {

using namespace std::chrono_literals;

class HostileTest : public ::testing::Test {
 protected:
  HostileTest() {
    server.router.get("/open", Access::open(),
                      [](const Request&) -> Result<Response> { return Response::text("hello"); },
                      {.produces = {"text/plain"}});
    server.router.post(
        "/upload", Access::open(),
        [this](const Request& request) -> Result<Response> {
          auto read = request.body_reader->read([](std::string_view) -> Result<> { return {}; });
          if (!read) {
            std::lock_guard lock(mutex);
            upload_error = read.error();
            failed.notify_all();
            return fail(read.error());
          }
          return Response::text("uploaded");
        },
        {.consumes = {"text/plain"}, .produces = {"text/plain"}, .is_upload = true});
    server.router.get("/huge", Access::open(),
                      [this](const Request&) -> Result<Response> {
                        return Response::streamed(
                            "text/plain", [this](BodyWriter& writer) -> Result<> {
                              Result<> written;
                              while ((written = writer.write(std::string(64 * 1024, 'x')))) {
                              }
                              std::lock_guard lock(mutex);
                              upload_error = written.error();
                              failed.notify_all();
                              return written;
                            });
                      },
                      {.produces = {"text/plain"}});
  }

  ErrorCode wait_for_error() {
    std::unique_lock lock(mutex);
    failed.wait(lock, [&] { return upload_error.has_value(); });
    return upload_error->code();
  }

  bool is_alive() { return server.ask(request("GET", "/open")).status == 200; }

  std::mutex mutex;
  std::condition_variable failed;
  std::optional<Error> upload_error;
  TestServer server;
};

TEST_F(HostileTest, IdleAndSlowConnectionsCostNoWorker) {
  server.config.threads = 1;
  server.start();
  std::vector<std::unique_ptr<RawClient>> crowd;
  for (int i = 0; i < 200; ++i) {
    crowd.push_back(std::make_unique<RawClient>(server.address));
    // A third says nothing, a third half a head, a third keeps an answered connection open.
    if (i % 3 == 1) crowd.back()->send("GET /open HTTP/1.1\r\nHost: te");
    if (i % 3 == 2) {
      EXPECT_EQ(crowd.back()->ask(request("GET", "/open")).status, 200);
    }
  }
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(is_alive());
  // None of them was given up for it.
  EXPECT_EQ(crowd[1]->ask("st\r\n\r\n").status, 200);
  EXPECT_EQ(crowd[2]->ask(request("GET", "/open")).status, 200);
}

TEST_F(HostileTest, AHeadMustComeInTimeHoweverSteadilyItDrips) {
  server.config.head_timeout = 200ms;
  server.start();
  RawClient client(server.address);
  client.send("GET /open HTTP/1.1\r\nHost: test\r\n");
  while (!client.has_something_within(10ms)) client.send("X: y\r\n");
  EXPECT_EQ(client.read().status, 408);
  EXPECT_TRUE(client.is_ended());
}

TEST_F(HostileTest, EndsConnectionsThatSayNothing) {
  server.config.head_timeout = 100ms;
  server.config.idle_timeout = 100ms;
  server.start();
  RawClient silent(server.address);
  EXPECT_TRUE(silent.is_ended());
  RawClient idle(server.address);
  EXPECT_EQ(idle.ask(request("GET", "/open")).status, 200);
  EXPECT_TRUE(idle.is_ended());
}

TEST_F(HostileTest, BodiesMustComeInTimeHoweverSteadilyTheyDrip) {
  server.config.upload_timeout = 200ms;
  server.start();
  RawClient client(server.address);
  client.send(request("POST", "/upload", {"Content-Type: text/plain", "Content-Length: 1000000"}));
  while (!client.has_something_within(10ms)) client.send("x");
  EXPECT_EQ(client.read().status, 408);
}

TEST_F(HostileTest, GivesUpABodyThatStops) {
  server.config.io_timeout = 100ms;
  server.start();
  RawClient client(server.address);
  EXPECT_EQ(
      client
          .ask(request("POST", "/upload", {"Content-Type: text/plain", "Content-Length: 10"}) +
               "abc")
          .status,
      408);
}

TEST_F(HostileTest, NoticesAnUploaderThatLeaves) {
  server.start();
  RawClient client(server.address);
  client.send(request("POST", "/upload", {"Content-Type: text/plain", "Content-Length: 1000"}) +
              "abc");
  client.leave();
  EXPECT_EQ(wait_for_error(), ErrorCode::kCancelled);
  EXPECT_TRUE(is_alive());
}

TEST_F(HostileTest, HoldsTheHandlerBackWhileAReaderIsSlowAndGivesUp) {
  server.config.io_timeout = 200ms;
  server.start();
  RawClient client(server.address);
  client.send(request("GET", "/huge"));  // and never reads
  EXPECT_EQ(wait_for_error(), ErrorCode::kDeadlineExceeded);
  EXPECT_TRUE(is_alive());
}

TEST_F(HostileTest, NoticesAReaderThatLeaves) {
  server.start();
  RawClient client(server.address);
  client.send(request("GET", "/huge"));
  client.leave();
  EXPECT_EQ(wait_for_error(), ErrorCode::kCancelled);
}

TEST_F(HostileTest, AmbiguousRequestsEndTheirConnection) {
  server.start();
  const std::string smuggled = request("GET", "/open");
  for (const std::string head :
       {"POST /upload HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nContent-Length: "
        "3\r\nContent-Length: 0\r\n\r\nabc",
        "POST /upload HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nContent-Length: "
        "3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /upload HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nTransfer-Encoding: "
        "xchunked\r\n\r\n0\r\n\r\n",
        "POST /upload HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nTransfer-Encoding: "
        "chunked\r\n\r\n0;x\r\n\r\n",
        "POST /upload HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nTransfer-Encoding: "
        "chunked\r\n\r\n1\n\r\na\r\n0\r\n\r\n",
        "GET /open HTTP/1.1\nHost: a\n\n", "GET /open HTTP/1.1\r\nHost: a\r\n folded: x\r\n\r\n",
        "\r\n"}) {
    RawClient client(server.address);
    const Answer answer = client.ask(head + smuggled);
    EXPECT_EQ(answer.status, 400) << head;
    EXPECT_TRUE(client.is_ended()) << head;  // nothing behind it was taken for a request
  }
}

TEST_F(HostileTest, HugeHeadsAreRefusedBeforeTheyEnd) {
  server.start();
  const auto status = [&](const std::string& bytes) {
    RawClient client(server.address);
    return client.ask(bytes).status;
  };
  EXPECT_EQ(status("GET /" + std::string(kMaxHeadSize, 'a')), 414);
  EXPECT_EQ(status("GET /" + std::string(kMaxTargetSize, 'a') + " HTTP/1.1\r\nHost: a\r\n\r\n"),
            414);
  EXPECT_EQ(status("GET / HTTP/1.1\r\nX: " + std::string(kMaxHeadSize, 'a')), 431);
  std::string many = "GET /open HTTP/1.1\r\nHost: a\r\n";
  for (std::size_t i = 0; i < kMaxHeaderCount; ++i) many += "X: y\r\n";
  EXPECT_EQ(status(many + "\r\n"), 431);
  EXPECT_TRUE(is_alive());
}

TEST_F(HostileTest, AnswersPipelinedRequestsInTheirOrder) {
  server.start();
  RawClient client(server.address);
  std::string bytes;
  for (int i = 0; i < 20; ++i) {
    bytes += request("GET", "/open");
    bytes += request("POST", "/upload", {"Content-Type: text/plain"}, "abc");
    bytes +=
        request("POST", "/upload", {"Content-Type: text/plain", "Transfer-Encoding: chunked"}) +
        "3\r\nabc\r\n0\r\n\r\n";
  }
  client.send(bytes);
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(client.read().body, "hello");
    EXPECT_EQ(client.read().body, "uploaded");
    EXPECT_EQ(client.read().body, "uploaded");
  }
}

TEST_F(HostileTest, BeyondTheLimitTheIdlestConnectionMakesRoom) {
  server.config.max_connections = 2;
  server.start();
  RawClient first(server.address);
  EXPECT_EQ(first.ask(request("GET", "/open")).status, 200);
  RawClient second(server.address);
  EXPECT_EQ(second.ask(request("GET", "/open")).status, 200);
  RawClient third(server.address);
  EXPECT_EQ(third.ask(request("GET", "/open")).status, 200);
  EXPECT_TRUE(first.is_ended());
  EXPECT_EQ(second.ask(request("GET", "/open")).status, 200);
}

TEST_F(HostileTest, OneAddressCannotTakeAllConnections) {
  server.config.max_connections = 4;
  server.config.max_connections_per_address = 2;
  server.start();
  RawClient silent(server.address);
  RawClient leaving(server.address);
  EXPECT_TRUE(RawClient(server.address).is_ended());
  // The peer sees the end before the server has counted it.
  while (server.registry.scrape().find(
             "sluice_http_connections_closed_total{reason=\"address_limit\"} 1") ==
         std::string::npos) {
  }
  RawClient neighbour(server.address, "127.0.0.2");
  EXPECT_EQ(neighbour.ask(request("GET", "/open")).status, 200);
  // A place that was left is free again, as soon as the server has noticed.
  leaving.leave();
  while (RawClient(server.address).ask(request("GET", "/open")).status != 200) {
  }
}

TEST_F(HostileTest, ARefusedUploadStillGetsItsAnswer) {
  server.config.max_upload = Bytes{1024};
  server.start();
  RawClient client(server.address);
  // More than fits into the socket's buffers, so that the sender is still at it when it is refused.
  const std::string bytes =
      request("POST", "/upload", {"Content-Type: text/plain"}, std::string(500'000, 'x'));
  EXPECT_EQ(client.ask(bytes).status, 413);
}

TEST_F(HostileTest, StopCutsWhoeverDoesNotFinish) {
  server.config.drain_timeout = 100ms;
  server.start();
  RawClient client(server.address);
  client.send(request("POST", "/upload",
                      {"Content-Type: text/plain", "Content-Length: 10", "Expect: 100-continue"}));
  EXPECT_EQ(client.read().status, 100);  // now a worker waits for the body
  server.server().stop();
  EXPECT_EQ(wait_for_error(), ErrorCode::kCancelled);
  EXPECT_TRUE(client.is_ended());
}

}  // namespace
}  // namespace sluice::http::testing
