// The client against servers that do as they please.
#include <sluice/http/client.h>

#include "canned_server.h"

#include <atomic>
#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace sluice::http::testing {
namespace {

using namespace std::chrono_literals;

/// Sends `bytes` again and again, a little each time, for as long as somebody is there.
CannedServer::Behaviour drip(std::string first, std::string bytes) {
  return [first = std::move(first), bytes = std::move(bytes)](const CannedPeer& peer) {
    peer.send(first);
    while (peer.is_there_after(5ms) && peer.send(bytes)) {
    }
  };
}

Result<ClientResponse> answer_to(const std::string& bytes, ClientConfig config = {}) {
  const CannedServer server(bytes);
  return Client(std::move(config)).get(server.url());
}

TEST(Client, ReadsBodiesOfEveryFraming) {
  EXPECT_EQ(answer_to("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab")->body, "ab");
  EXPECT_EQ(
      answer_to("HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n")->body,
      "ab");
  EXPECT_EQ(answer_to("HTTP/1.0 200 OK\r\n\r\nab")->body, "ab");
  EXPECT_EQ(
      answer_to("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
          ->status,
      404);
}

TEST(Client, TakesNoBrokenAnswerForAWholeOne) {
  for (const char* bytes :
       {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n",
        "HTTP/1.1 200 OK\r\nConte", "nonsense\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\n\r\n", ""}) {
    const auto answer = answer_to(bytes);
    ASSERT_FALSE(answer) << bytes;
    EXPECT_EQ(answer.error().code(), ErrorCode::kUnavailable) << bytes;
  }
}

TEST(Client, BoundsTheAnswer) {
  for (const char* bytes :
       {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", "HTTP/1.1 200 OK\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"}) {
    EXPECT_EQ(answer_to(bytes, {.max_response = Bytes{2}}).error().code(),
              ErrorCode::kResourceExhausted)
        << bytes;
    EXPECT_EQ(answer_to(bytes, {.max_response = Bytes{3}})->body, "abc") << bytes;
  }
}

TEST(Client, BoundsAnAnswerThatNeverEnds) {
  const CannedServer server([](const CannedPeer& peer) {
    peer.send("HTTP/1.1 200 OK\r\n\r\n");
    while (peer.send(std::string(10'000, 'x'))) {
    }
  });
  EXPECT_EQ(Client({.timeout = 60s}).get(server.url()).error().code(),
            ErrorCode::kResourceExhausted);
}

TEST(Client, BoundsTheTimeHoweverSteadilyAnAnswerDrips) {
  for (const auto& [first, bytes] : std::vector<std::pair<std::string, std::string>>{
           {"", ""},
           {"", "H"},
           {"HTTP/1.1 200 OK\r\nX: ", "y"},
           {"HTTP/1.1 200 OK\r\n", "X: y\n"},
           {"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", "x"},
           {"HTTP/1.1 200 OK\r\n\r\n", "x"}}) {
    const CannedServer server(drip(first, bytes));
    EXPECT_EQ(Client({.timeout = 100ms}).get(server.url()).error().code(),
              ErrorCode::kDeadlineExceeded)
        << first;
  }
}

TEST(Client, BoundsTheTimeOfAHandshake) {
  // An endless TLS handshake message, byte by byte, each in time for the wait it ends.
  for (const std::string& first : {std::string(), std::string("\x16\x03\x03\x40\x00\x02", 6)}) {
    const CannedServer server(drip(first, first.empty() ? "" : "x"));
    const auto late = Client({.timeout = 100ms}).get("https://" + server.authority + "/");
    EXPECT_EQ(late.error().code(), ErrorCode::kDeadlineExceeded);
  }
}

/// More than fits into a socket's buffers, so that the client has to wait while it writes.
ClientRequest large_request(std::string url) {
  return {
      .method = "POST", .url = std::move(url), .headers = {}, .body = std::string(16 << 20, 'x')};
}

TEST(Client, NoticesAServerThatLeaves) {
  const CannedServer server([](const CannedPeer&) {});
  EXPECT_EQ(Client({.timeout = 60s}).send(large_request(server.url())).error().code(),
            ErrorCode::kUnavailable);
}

TEST(Client, BoundsTheTimeOfARequestThatNobodyReads) {
  std::atomic<bool> is_over = false;  // told, as the client's end is behind all it has sent
  const CannedServer server([&](const CannedPeer& peer) {
    while (!is_over) static_cast<void>(peer.is_there_after(5ms));
  });
  EXPECT_EQ(Client({.timeout = 100ms}).send(large_request(server.url())).error().code(),
            ErrorCode::kDeadlineExceeded);
  is_over = true;
}

TEST(Client, SurvivesTheLongestStatusLine) {
  const std::string head = "\r\nContent-Length: 2\r\n\r\nab";
  EXPECT_EQ(answer_to("HTTP/1.1 200 " + std::string(32'000, 'x') + head)->body, "ab");
  EXPECT_FALSE(answer_to("HTTP/1.1 200 " + std::string(100'000, 'x') + head));
}

TEST(Client, FollowsNoRedirects) {
  const CannedServer target("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  const auto answer = answer_to("HTTP/1.1 302 Found\r\nLocation: " + target.url() +
                                "\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(answer->status, 302);
  EXPECT_EQ(answer->headers.get("location"), target.url());
  EXPECT_EQ(target.connections, 0);
}

TEST(Client, UnpacksNothing) {
  // What looks packed comes as it is: a small answer cannot become a large one.
  EXPECT_EQ(
      answer_to("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nab")->body,
      "ab");
}

TEST(Client, KnowsAnswersWithoutABody) {
  const CannedServer head_only("HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n");
  const auto head = Client().send({.method = "HEAD", .url = head_only.url()});
  ASSERT_TRUE(head) << head.error().message();
  EXPECT_EQ(head->headers.get("Content-Length"), "9999999");
  EXPECT_EQ(answer_to("HTTP/1.1 204 No Content\r\nX: y\r\n\r\n")->headers.get("X"), "y");
  EXPECT_EQ(answer_to("HTTP/1.1 304 Not Modified\r\nContent-Length: 9999999\r\n\r\n")->status, 304);
}

TEST(Client, RefusesWhatItMustNotSend) {
  const Client client;
  for (const char* url :
       {"ftp://a/", "http://", "http://a b/", "http://user:pw@a/", "http://a/ b", "http://a:99x/",
        "http://a:0/", "http://a:65536/", "http://a/\r\n", "http://a/#b"}) {
    EXPECT_EQ(client.get(url).error().code(), ErrorCode::kInvalidArgument) << url;
  }
  // Plaintext off loopback.
  for (const char* url :
       {"http://192.0.2.1/", "http://127.example.org/", "http://[2001:db8::1]/"}) {
    EXPECT_EQ(client.get(url).error().code(), ErrorCode::kInvalidArgument) << url;
  }
  EXPECT_EQ(
      client.send({.url = "http://127.0.0.1:1/", .headers = {{"X", "a\r\nY: b"}}}).error().code(),
      ErrorCode::kInvalidArgument);
}

TEST(Client, SaysWhenNobodyIsThere) {
  std::string url;
  {
    const CannedServer gone("x");
    url = gone.url();
  }
  EXPECT_EQ(Client().get(url).error().code(), ErrorCode::kUnavailable);
}

}  // namespace
}  // namespace sluice::http::testing
