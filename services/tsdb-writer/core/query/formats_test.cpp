#include "core/query/formats.h"

#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <random>
#include <string>
#include <string_view>

#include <sluice/json/json.h>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace sluice::tsdb {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// An answer of two series, written in one format.
std::string written(const FormatOptions& options, AnswerSize& size) {
  std::string out;
  const auto sink = make_format(
      options,
      [&](std::string_view piece) -> Result<> {
        out += piece;
        return {};
      },
      size);
  EXPECT_TRUE(sink->begin({.from = WallTime(std::chrono::milliseconds(1'000)),
                           .to = WallTime(std::chrono::milliseconds(2'000)),
                           .resolution = "1s",
                           .tiers = {"raw"},
                           .columns = {"first", "count"}}));
  SeriesHead head{.device = "d,1",
                  .fleet = "no\"rth",
                  .device_type = "",
                  .metric = "m",
                  .unit = "°C",
                  .type = "double",
                  .tier = "raw"};
  EXPECT_TRUE(sink->begin_series(head));
  EXPECT_TRUE(sink->point(1'000, std::vector<Value>{0.1, std::int64_t{9'007'199'254'740'993}}));
  EXPECT_TRUE(sink->point(1'500, std::vector<Value>{kInfinity, Value()}));
  EXPECT_TRUE(sink->end_series(1'600));
  head.device = "d2";
  EXPECT_TRUE(sink->begin_series(head));
  EXPECT_TRUE(sink->point(1'000, std::vector<Value>{std::string("a\nb"), true}));
  EXPECT_TRUE(sink->end_series(std::nullopt));
  EXPECT_TRUE(sink->end());
  EXPECT_EQ(size.points, 3U);
  EXPECT_EQ(size.bytes, out.size());
  return out;
}

std::string written(Format format, bool with_iso_times = false) {
  AnswerSize size;
  return written({.format = format, .with_iso_times = with_iso_times}, size);
}

TEST(Formats, SayInTheHeadSinceWhenValuesAreKept) {
  for (const Format format : {Format::kJson, Format::kNdjson, Format::kColumnar}) {
    std::string out;
    AnswerSize size;
    const auto keep = [&](std::string_view piece) -> Result<> {
      out += piece;
      return {};
    };
    const auto sink = make_format({.format = format}, keep, size);
    EXPECT_TRUE(sink->begin({.from = WallTime(std::chrono::milliseconds(1'000)),
                             .to = WallTime(std::chrono::milliseconds(2'000)),
                             .available_from = WallTime(std::chrono::milliseconds(1'500)),
                             .resolution = "raw"}));
    EXPECT_TRUE(sink->end());
    EXPECT_NE(out.find("\"to\":2000,\"available_from\":1500,"), std::string::npos) << out;
  }
}

TEST(Formats, WriteJson) {
  EXPECT_EQ(written(Format::kJson),
            "{\"from\":1000,\"to\":2000,\"resolution\":\"1s\",\"tiers\":[\"raw\"],"
            "\"columns\":[\"time\",\"first\",\"count\"],\"series\":["
            "{\"metric\":\"m\",\"device\":\"d,1\",\"fleet\":\"no\\\"rth\",\"device_type\":\"\","
            "\"unit\":\"°C\",\"type\":\"double\",\"tier\":\"raw\","
            "\"points\":[[1000,0.1,9007199254740993],[1500,\"Infinity\",null]],\"next_from\":1600},"
            "{\"metric\":\"m\",\"device\":\"d2\",\"fleet\":\"no\\\"rth\",\"device_type\":\"\","
            "\"unit\":\"°C\",\"type\":\"double\",\"tier\":\"raw\","
            "\"points\":[[1000,\"a\\u000ab\",true]]}]}\n");
}

TEST(Formats, WriteEveryDecimalAsTheShortestTextThatIsIt) {
  const auto check = [](double value) {
    std::array<char, 32> text;
    const auto end = std::to_chars(text.data(), text.data() + text.size(), value).ptr;
    std::string written;
    append_double(written, value);
    EXPECT_EQ(written, std::string_view(text.data(), end));
  };
  for (std::int64_t k = 0; k < 100'100'000; k += k < 20'000 ? 1 : 7'919) {
    for (const double scale : {1.0, 10.0, 100.0, 1'000.0, 10'000.0}) {
      check(static_cast<double>(k) / scale);
      check(-static_cast<double>(k) / scale);
      // A neighbour that is no such decimal.
      check(std::nextafter(static_cast<double>(k) / scale, kInfinity));
    }
  }
  check(99'999.999);
  check(std::numeric_limits<double>::denorm_min());
}

TEST(Formats, WriteTheAttributesOfAGroup) {
  const auto in = [](Format format) {
    AnswerSize size;
    std::string out;
    const auto sink = make_format(
        {.format = format},
        [&](std::string_view piece) -> Result<> {
          out += piece;
          return {};
        },
        size);
    EXPECT_TRUE(sink->begin({.resolution = "1h", .columns = {"avg"}, .attributes = {"site"}}));
    EXPECT_TRUE(sink->begin_series(SeriesHead{.device = {},
                                              .fleet = {},
                                              .device_type = {},
                                              .metric = "m",
                                              .unit = {},
                                              .type = "double",
                                              .tier = "1h",
                                              .attributes = {"a\"b"}}));
    EXPECT_TRUE(sink->point(0, std::vector<Value>{1.5}));
    EXPECT_TRUE(sink->end_series(std::nullopt));
    EXPECT_TRUE(sink->end());
    return out;
  };
  for (const Format format : {Format::kJson, Format::kNdjson, Format::kColumnar}) {
    EXPECT_TRUE(in(format).contains("\"metric\":\"m\",\"attributes\":{\"site\":\"a\\\"b\"}"))
        << in(format);
  }
  EXPECT_EQ(in(Format::kCsv),
            "device,fleet,device_type,metric,attribute.site,time,avg\r\n"
            ",,,m,\"a\"\"b\",0,1.5\r\n");
}

TEST(Formats, WriteCsv) {
  EXPECT_EQ(written(Format::kCsv, true),
            "device,fleet,device_type,metric,time,first,count\r\n"
            "\"d,1\",\"no\"\"rth\",,m,1970-01-01T00:00:01.000Z,0.1,9007199254740993\r\n"
            "\"d,1\",\"no\"\"rth\",,m,1970-01-01T00:00:01.500Z,Infinity,\r\n"
            "d2,\"no\"\"rth\",,m,1970-01-01T00:00:01.000Z,\"a\nb\",true\r\n");
}

TEST(Formats, WriteLinesThatAreJsonEach) {
  const std::string text = written(Format::kNdjson);
  std::vector<nlohmann::json> lines;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = text.find('\n', at);
    lines.push_back(parse_json(text.substr(at, end - at)).value());
    at = end + 1;
  }
  ASSERT_EQ(lines.size(), 4U);
  EXPECT_EQ(lines[0]["count"], 9'007'199'254'740'993);
  EXPECT_EQ(lines[2]["device"], "d2");
  EXPECT_EQ(lines[3]["end"], true);
  EXPECT_EQ(lines[3]["cut"][0]["device"], "d,1");
  EXPECT_EQ(lines[3]["cut"][0]["next_from"], 1'600);
}

TEST(Formats, WriteColumns) {
  const auto answer = parse_json(written(Format::kColumnar, true)).value();
  const auto& block = answer["series"][0]["blocks"][0];
  EXPECT_EQ(block["time"][0], "1970-01-01T00:00:01.000Z");
  EXPECT_EQ(block["first"], nlohmann::json::parse(R"([0.1,"Infinity"])"));
  EXPECT_EQ(block["count"][0], 9'007'199'254'740'993);
}

TEST(Formats, DoublesComeBackToTheBit) {
  std::mt19937_64 random(5);
  for (int i = 0; i < 20'000; ++i) {
    const double value = std::bit_cast<double>(random());
    if (!std::isfinite(value)) continue;
    std::string text;
    append_double(text, value);
    EXPECT_EQ(std::bit_cast<std::uint64_t>(std::strtod(text.c_str(), nullptr)),
              std::bit_cast<std::uint64_t>(value))
        << text;
  }
}

TEST(Formats, SendPiecesOfBoundedSize) {
  for (const Format format : {Format::kJson, Format::kCsv, Format::kNdjson, Format::kColumnar}) {
    AnswerSize size;
    std::size_t largest = 0;
    const auto sink = make_format(
        {.format = format},
        [&](std::string_view piece) -> Result<> {
          largest = std::max(largest, piece.size());
          return {};
        },
        size);
    ASSERT_TRUE(sink->begin({.columns = {"value"}}));
    ASSERT_TRUE(sink->begin_series({}));
    const Value value = 1.0 / 3;
    for (int i = 0; i < 200'000; ++i) ASSERT_TRUE(sink->point(i, {&value, 1}));
    ASSERT_TRUE(sink->end_series(std::nullopt));
    ASSERT_TRUE(sink->end());
    EXPECT_GT(size.bytes, 2'000'000U);
    EXPECT_LT(largest, 200'000U) << to_string(format);
  }
}

TEST(Formats, EndWhenTheReaderIsGone) {
  AnswerSize size;
  const auto sink =
      make_format({}, [](std::string_view) { return fail(ErrorCode::kUnavailable, "gone"); }, size);
  ASSERT_TRUE(sink->begin({.columns = {"value"}}));
  ASSERT_TRUE(sink->begin_series({}));
  const Value value = 1.0;
  Result<> told;
  int points = 0;
  while (told && ++points < 1'000'000) told = sink->point(points, {&value, 1});
  EXPECT_FALSE(told);
  EXPECT_LT(points, 10'000);
}

}  // namespace
}  // namespace sluice::tsdb
