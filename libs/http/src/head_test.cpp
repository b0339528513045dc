#include "head.h"

#include <sluice/http/problem.h>

#include <gtest/gtest.h>

namespace sluice::http {
namespace {

std::string get_with(std::string_view lines) {
  return "GET / HTTP/1.1\r\nHost: a\r\n" + std::string(lines) + "\r\n";
}

std::string reason_of(std::string_view head) {
  auto parsed = parse_request_head(head);
  return parsed ? "accepted" : parsed.error().reason();
}

void check_refused(std::string_view head) {
  EXPECT_EQ(reason_of(head), "malformed_request") << head;
}

TEST(RequestHead, ReadsWhatIsThere) {
  const auto head = parse_request_head(
      "POST /v1/a?b=c HTTP/1.1\r\nHost: a:80\r\nX-Y:  z \r\nContent-Length: 5\r\nConnection: "
      "Keep-Alive, "
      "Close\r\n\r\n");
  ASSERT_TRUE(head);
  EXPECT_EQ(head->method, "POST");
  EXPECT_EQ(head->path(), "/v1/a");
  EXPECT_EQ(head->query(), "b=c");
  EXPECT_EQ(head->headers.get("x-y"), "z");
  EXPECT_EQ(head->framing.content_length, 5U);
  EXPECT_TRUE(head->wants_close);
}

TEST(RequestHead, RefusesEverythingThatTwoProgramsCouldReadDifferently) {
  check_refused(get_with("Content-Length: 5\r\nContent-Length: 5\r\n"));
  check_refused(get_with("Content-Length: 5, 5\r\n"));
  check_refused(get_with("Content-Length: +5\r\n"));
  check_refused(get_with("Content-Length: -0\r\n"));
  check_refused(get_with("Content-Length: 0x5\r\n"));
  check_refused(get_with("Content-Length: 5 5\r\n"));
  check_refused(get_with("Content-Length:\r\n"));
  check_refused(get_with("Content-Length: 99999999999999999999\r\n"));
  check_refused(get_with("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"));
  check_refused(get_with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"));
  check_refused(get_with("Transfer-Encoding: gzip, chunked\r\n"));
  check_refused(get_with("Transfer-Encoding: identity\r\n"));
  check_refused(
      get_with("Transfer-Encoding: \x0b"
               "chunked\r\n"));
  check_refused(get_with("Transfer-Encoding : chunked\r\n"));
  check_refused(get_with("X: a\r\n b\r\n"));
  check_refused(get_with("X: a\r\n\tb\r\n"));
  check_refused(get_with("X: a\nY: b\r\n"));
  check_refused(get_with("X: a\rY: b\r\n"));
  check_refused(get_with(std::string_view("X: a\0b\r\n", 8)));
  check_refused(get_with("no colon\r\n"));
  check_refused(get_with(": empty name\r\n"));
  check_refused(get_with("X\xc3\xa4: a\r\n"));
  check_refused(get_with("Host: b\r\n"));
  check_refused("GET / HTTP/1.1\r\n\r\n");
  check_refused("GET / HTTP/1.1\r\nHost: a@b\r\n\r\n");
  check_refused("GET / HTTP/1.1\nHost: a\n\n");
  check_refused("\r\n");
  check_refused("GET  / HTTP/1.1\r\nHost: a\r\n\r\n");
  check_refused("GET / HTTP/1.1 \r\nHost: a\r\n\r\n");
  check_refused("GET\t/\tHTTP/1.1\r\nHost: a\r\n\r\n");
  check_refused("G(T / HTTP/1.1\r\nHost: a\r\n\r\n");
  check_refused("GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n");
  check_refused("GET * HTTP/1.1\r\nHost: a\r\n\r\n");
  check_refused("GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n");
  check_refused("GET /\xc3\xa4 HTTP/1.1\r\nHost: a\r\n\r\n");
  check_refused("GET / HTTPS/1.1\r\nHost: a\r\n\r\n");
}

TEST(RequestHead, NamesTheLimitThatWasMet) {
  EXPECT_EQ(reason_of("GET / HTTP/1.0\r\nHost: a\r\n\r\n"), reason::kVersionNotSupported);
  EXPECT_EQ(reason_of("GET / HTTP/2.0\r\nHost: a\r\n\r\n"), reason::kVersionNotSupported);
  EXPECT_EQ(reason_of(get_with("Expect: tea\r\n")), reason::kExpectationFailed);
  const std::string target = "/" + std::string(kMaxTargetSize - 1, 'a');
  EXPECT_EQ(reason_of("GET " + target + " HTTP/1.1\r\nHost: a\r\n\r\n"), "accepted");
  EXPECT_EQ(reason_of("GET " + target + "a HTTP/1.1\r\nHost: a\r\n\r\n"), reason::kTargetTooLong);
  std::string many;
  for (std::size_t i = 1; i < kMaxHeaderCount; ++i) many += "X: y\r\n";
  EXPECT_EQ(reason_of(get_with(many)), "accepted");
  EXPECT_EQ(reason_of(get_with(many + "X: y\r\n")), reason::kHeadTooLarge);
}

TEST(FindHeadEnd, FindsTheEndHoweverTheBytesCome) {
  const std::string head = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
  std::size_t scanned = 0;
  for (std::size_t size = 1; size < head.size(); ++size) {
    EXPECT_EQ(find_head_end(head.substr(0, size), scanned), 0U) << size;
  }
  EXPECT_EQ(find_head_end(head + "body\n", scanned), head.size());
}

TEST(FindHeadEnd, EndsAtABareLineFeedSoThatItIsRefusedAtOnce) {
  std::size_t scanned = 0;
  EXPECT_EQ(find_head_end("GET / HTTP/1.1\nHost", scanned), 15U);
}

}  // namespace
}  // namespace sluice::http
