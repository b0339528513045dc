#include "ops_http.h"

#include <random>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::service {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

int refusal(std::string_view head) {
  const auto request = parse_head(head);
  return request ? 0 : request.error();
}

TEST(OpsHttp, ReadsARequest) {
  const auto request =
      parse_head("GET /metrics?a=b HTTP/1.1\r\nHost: localhost:8081\r\nX-Odd:\t a b \r\nEmpty:");
  ASSERT_TRUE(request);
  EXPECT_EQ(request->method, "GET");
  EXPECT_EQ(request->path, "/metrics");
  EXPECT_EQ(request->header("host"), "localhost:8081");
  EXPECT_EQ(request->header("x-odd"), "a b");
  EXPECT_EQ(request->header("empty"), "");
  EXPECT_EQ(request->header("absent"), std::nullopt);
}

TEST(OpsHttp, CountsRepeatedFields) {
  const auto request = parse_head("GET / HTTP/1.0\r\nA: 1\r\na: 2");
  ASSERT_TRUE(request);
  EXPECT_EQ(request->count("a"), 2U);
  EXPECT_EQ(request->header("a"), "1");
}

TEST(OpsHttp, RefusesWhatIsNoRequest) {
  for (const char* head :
       {"", "GET", "GET /", "GET  HTTP/1.1", " / HTTP/1.1", "G(T / HTTP/1.1", "GET x HTTP/1.1",
        "GET http://x/ HTTP/1.1", "GET /a b HTTP/1.1", "GET /\x01 HTTP/1.1", "GET / FTP/1.1",
        "GET / HTTP/1.1\r\nNoColon", "GET / HTTP/1.1\r\nBad Name: x", "GET / HTTP/1.1\r\n: x",
        "GET / HTTP/1.1\r\nA: x\r\n folded", "GET / HTTP/1.1\r\nA: x\ny",
        "GET / HTTP/1.1\r\nA : x"}) {
    EXPECT_EQ(refusal(head), 400) << head;
  }
  EXPECT_EQ(refusal(std::string_view("GET / HTTP/1.1\r\nA: x\0y", 22)), 400);
  EXPECT_EQ(refusal("GET / HTTP/2.0"), 505);
}

TEST(OpsHttp, BoundsTheNumberOfFields) {
  std::string head = "GET / HTTP/1.1";
  for (int i = 0; i < 64; ++i) head += "\r\nA: x";
  EXPECT_EQ(refusal(head), 0);
  EXPECT_EQ(refusal(head + "\r\nA: x"), 431);
}

TEST(OpsHttp, AnyBytesAreReadOrRefused) {
  constexpr std::string_view kAlphabet = "GET /HTP1.: \r\n\t\x01\xFFxyz";
  std::mt19937 random(7);
  for (int round = 0; round < 20'000; ++round) {
    std::string head(random() % 80, ' ');
    for (char& c : head) c = kAlphabet[random() % kAlphabet.size()];
    const auto request = parse_head(head);
    EXPECT_TRUE(request || request.error() >= 400);
  }
}

TEST(OpsHttp, AnswersEndTheConnection) {
  const std::string text = serialise(plain(404, "nothing"), false);
  EXPECT_THAT(text, StartsWith("HTTP/1.1 404 Not Found\r\n"));
  EXPECT_THAT(text, HasSubstr("Content-Length: 8\r\n"));
  EXPECT_THAT(text, HasSubstr("Connection: close\r\n"));
  EXPECT_THAT(text, EndsWith("\r\n\r\nnothing\n"));
}

TEST(OpsHttp, HeadGetsTheLengthAndNoBody) {
  const std::string text = serialise(plain(200, "nothing"), true);
  EXPECT_THAT(text, HasSubstr("Content-Length: 8\r\n"));
  EXPECT_THAT(text, EndsWith("\r\n\r\n"));
}

}  // namespace
}  // namespace sluice::service
