// Tests of the parts that decide without any I/O.
#include "chunked.h"
#include "media_type.h"
#include "rate_limiter.h"
#include "target.h"

#include <sluice/http/body_reader.h>
#include <sluice/http/page.h>
#include <sluice/http/problem.h>
#include <sluice/http/query_reader.h>
#include <sluice/http/request.h>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace sluice::http {
namespace {

using namespace std::chrono_literals;

TEST(Problem, TellsReasonTraceAndEachFault) {
  const Error error = Error(ErrorCode::kInvalidArgument, "the body has faults")
                          .with_fault("/name", "must not be empty")
                          .with_fault("page_size", "too large")
                          .with_reason("odd");
  const Response response = problem(error, "abc");
  EXPECT_EQ(response.status, 400);
  EXPECT_EQ(response.content_type, kProblemType);
  EXPECT_EQ(nlohmann::json::parse(response.body), nlohmann::json::parse(R"({
      "type": "/problems/odd", "title": "Bad Request", "status": 400, "detail": "the body has faults",
      "reason": "odd", "trace_id": "abc", "errors": [
        {"pointer": "/name", "detail": "must not be empty"},
        {"parameter": "page_size", "detail": "too large"}]})"));
}

TEST(Problem, TellsNothingOfTheInside) {
  for (const ErrorCode code :
       {ErrorCode::kInternal, ErrorCode::kUnauthenticated, ErrorCode::kUnavailable}) {
    const Error error =
        Error(code, "SELECT secret").with_fault("secret", "secret").with_reason("secret");
    EXPECT_EQ(problem(error, "t").body.find("secret"), std::string::npos);
  }
  EXPECT_EQ(problem(Error(ErrorCode::kUnauthenticated, ""), "").headers.get("WWW-Authenticate"),
            "Bearer");
}

TEST(Problem, SurvivesTextThatIsNoUtf8) {
  EXPECT_EQ(problem(Error(ErrorCode::kNotFound, "\xff"), "").status, 404);
}

Request with_query(std::vector<std::pair<std::string, std::string>> query) {
  Request request;
  request.route = "/v1/devices";
  request.query = std::move(query);
  return request;
}

TEST(QueryReader, TellsAllFaultsAtOnce) {
  const Request request = with_query(
      {{"a", "1"}, {"a", "2"}, {"n", "x"}, {"b", "yes"}, {"who", "?"}, {"dry_run", "true"}});
  QueryReader query(request);
  EXPECT_EQ(query.text("a"), std::nullopt);
  EXPECT_EQ(query.integer("n", {.min = 0, .max = 9}), std::nullopt);
  EXPECT_EQ(query.boolean("b"), std::nullopt);
  const auto finished = query.finish();
  ASSERT_FALSE(finished);
  std::vector<std::string> fields;
  for (const FieldFault& fault : finished.error().faults()) fields.push_back(fault.field);
  EXPECT_EQ(fields, (std::vector<std::string>{"a", "n", "b", "who"}));
}

TEST(Page, GoesOnWhereTheLastPageEnded) {
  const Request first = with_query({{"page_size", "10"}, {"state", "active"}});
  const std::string token = page_token(first, {"name", "id"});
  const Request second = with_query({{"state", "active"}, {"page_token", token}});
  QueryReader query(second);
  query.text("state");
  EXPECT_EQ(read_page(query, second, 2).after, (std::vector<std::string>{"name", "id"}));
  EXPECT_TRUE(query.finish());
}

TEST(Page, RefusesTokensOfOtherListsAndForeignTexts) {
  const std::string token = page_token(with_query({{"state", "active"}}), {"a"});
  const auto is_refused = [](std::string given, std::size_t keys) {
    const Request request = with_query({{"page_token", std::move(given)}});
    QueryReader query(request);
    const bool is_empty = read_page(query, request, keys).after.empty();
    return !query.finish() && is_empty;
  };
  EXPECT_TRUE(is_refused(token, 1));  // made with a filter
  EXPECT_FALSE(is_refused(page_token(with_query({}), {"a"}), 1));
  EXPECT_TRUE(is_refused(page_token(with_query({}), {"a"}), 2));
  EXPECT_TRUE(is_refused("AAAA", 1));
  EXPECT_TRUE(is_refused("not base64!", 1));
}

TEST(MediaType, KnowsTypesWithoutCaseAndNoCharsetButUtf8) {
  const std::vector<std::string> json{"application/json"};
  EXPECT_TRUE(is_media_type_one_of("Application/JSON; charset=\"UTF-8\"", json));
  EXPECT_FALSE(is_media_type_one_of("application/json; charset=latin1", json));
  EXPECT_FALSE(is_media_type_one_of("application/jsonx", json));
  EXPECT_FALSE(is_media_type_one_of("", json));
}

TEST(Accept, LetsTheClosestRangeDecide) {
  const std::vector<std::string> json{"application/json"};
  EXPECT_TRUE(is_acceptable("text/html, application/*;q=0.5", json));
  EXPECT_TRUE(is_acceptable("*/*", json));
  EXPECT_FALSE(is_acceptable("text/html", json));
  EXPECT_FALSE(is_acceptable("*/*, application/json;q=0.0", json));
  EXPECT_TRUE(is_acceptable("", json));
}

TEST(Target, DecodesOnceAndRefusesControlCharacters) {
  EXPECT_EQ(percent_decode("a%2541"), "a%41");
  EXPECT_EQ(percent_decode("%4"), std::nullopt);
  EXPECT_EQ(percent_decode("%zz"), std::nullopt);
  EXPECT_EQ(parse_query("a=b+c&d=%26").value()[0].second, "b c");
  EXPECT_FALSE(parse_query("a=%00"));
  EXPECT_FALSE(parse_query("a=%ff"));
}

std::pair<std::string, bool> decode(std::string_view text, std::size_t step) {
  ChunkedDecoder decoder;
  std::string out;
  while (!text.empty() && !decoder.is_done()) {
    const auto used = decoder.feed(text.substr(0, step), [&](std::string_view piece) -> Result<> {
      out += piece;
      return {};
    });
    if (!used) return {"refused", false};
    text.remove_prefix(*used);
  }
  return {out, decoder.is_done()};
}

TEST(ChunkedDecoder, GivesTheSameHoweverTheBytesCome) {
  for (const std::size_t step : {1U, 2U, 3U, 100U}) {
    EXPECT_EQ(decode("3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\nnext", step),
              std::pair(std::string("abc0123456789"), true));
  }
}

TEST(ChunkedDecoder, RefusesWhatProxiesReadInDifferentWays) {
  for (const char* text :
       {"3;x=y\r\nabc\r\n0\r\n\r\n", "3\nabc\n0\n\n", "0x3\r\nabc\r\n", " 3\r\nabc\r\n", "-3\r\n",
        "\r\n", "3\r\nabcd\r\n", "0\r\nTrailer: x\r\n\r\n", "fffffffffffffffff\r\n"}) {
    EXPECT_EQ(decode(text, 100).first, "refused") << text;
  }
}

class TextBody final : public BodyReader {
 public:
  TextBody(std::string text, std::size_t step) : text_(std::move(text)), step_(step) {}
  Result<> read(const Piece& piece) override {
    for (std::size_t at = 0; at < text_.size(); at += step_) {
      SLUICE_TRY(piece(std::string_view(text_).substr(at, step_)));
    }
    return {};
  }
  std::optional<std::uint64_t> size() const override { return text_.size(); }

 private:
  std::string text_;
  std::size_t step_;
};

std::vector<std::string> lines_of(const std::string& text, std::size_t max_line, std::size_t step) {
  TextBody body(text, step);
  std::vector<std::string> out;
  const auto read =
      read_lines(body, max_line, [&](std::string_view line, std::uint64_t number) -> Result<> {
        out.push_back(std::to_string(number) + ":" + std::string(line));
        return {};
      });
  if (!read) out.push_back(read.error().message());
  return out;
}

TEST(ReadLines, GivesEachLineWithItsNumberHoweverTheBytesCome) {
  for (std::size_t step = 1; step < 12; ++step) {
    EXPECT_EQ(lines_of("ab\n\r\n\ncd\r\nef", 2, step),
              (std::vector<std::string>{"1:ab", "4:cd", "5:ef"}))
        << step;
  }
}

TEST(ReadLines, RefusesALongLineWithoutHoldingIt) {
  for (std::size_t step = 1; step < 12; ++step) {
    EXPECT_EQ(lines_of("ab\nabc\n", 2, step),
              (std::vector<std::string>{"1:ab", "line 2 is longer than 2 bytes"}))
        << step;
    EXPECT_EQ(lines_of("ab\rc\n", 2, step),
              (std::vector<std::string>{"line 1 is longer than 2 bytes"}))
        << step;
  }
}

class SetClock final : public Clock {
 public:
  WallTime wall() const override { return {}; }
  MonoTime mono() const override { return now; }
  MonoTime now{1h};
};

TEST(RateLimiter, GivesABurstThenTheRate) {
  SetClock clock;
  RateLimiter limiter(2, 3, clock);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(limiter.take("a"), std::nullopt);
  EXPECT_EQ(limiter.take("a"), 1s);
  EXPECT_EQ(limiter.take("b"), std::nullopt);
  clock.now += 500ms;
  EXPECT_EQ(limiter.take("a"), std::nullopt);
  EXPECT_EQ(limiter.take("a"), 1s);
}

TEST(RateLimiter, LimitsAFloodOfKeysByItself) {
  SetClock clock;
  RateLimiter limiter(1, 1, clock);
  for (std::size_t i = 0; i < kMaxRateKeys; ++i)
    ASSERT_EQ(limiter.take("k" + std::to_string(i)), std::nullopt);
  EXPECT_EQ(limiter.take("new one"), std::nullopt);  // the shared bucket's only token
  EXPECT_NE(limiter.take("new two"), std::nullopt);
  clock.now += 2s;  // the old buckets are full again, and are forgotten
  EXPECT_EQ(limiter.take("new two"), std::nullopt);
  EXPECT_EQ(limiter.take("new three"), std::nullopt);
}

TEST(RateLimiter, CountsANetworkOfIpv6AsOne) {
  EXPECT_EQ(rate_key_of_ip("2001:db8::1"), rate_key_of_ip("2001:db8::ffff:1"));
  EXPECT_NE(rate_key_of_ip("2001:db8::1"), rate_key_of_ip("2001:db8:0:1::1"));
  EXPECT_NE(rate_key_of_ip("10.0.0.1"), rate_key_of_ip("10.0.0.2"));
}

}  // namespace
}  // namespace sluice::http
