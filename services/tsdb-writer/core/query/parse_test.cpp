#include "core/query/parse.h"

#include <gtest/gtest.h>

namespace sluice::tsdb {
namespace {

using namespace std::chrono_literals;

TEST(QueryParse, ReadsTimesOfBothKinds) {
  EXPECT_EQ(parse_time("1767225600000").value(), parse_time("2026-01-01T00:00:00Z").value());
  EXPECT_EQ(parse_time("-1").value().time_since_epoch(), -1ms);
  for (const char* wrong : {"", "yesterday", "1e12", "9223372036854775807", "-9223372036854775808",
                            "99999999999999999999", "2026-01-01", "0x10", " 1", "1 "}) {
    EXPECT_FALSE(parse_time(wrong)) << wrong;
  }
}

TEST(QueryParse, ReadsAndSpellsSpans) {
  EXPECT_EQ(parse_span("90s").value(), 90s);
  EXPECT_EQ(parse_span("1h30m").value(), 90min);
  EXPECT_EQ(parse_span("1w").value(), 24h * 7);
  EXPECT_EQ(parse_span("5m1ms").value(), 5min + 1ms);
  for (const char* wrong : {"", "0s", "5", "m", "-5m", "1m1h", "1m1m", "5 m", "1.5h", "101y",
                            "9223372036854775807s", "99999999999999999999d", "1hour"}) {
    EXPECT_FALSE(parse_span(wrong)) << wrong;
  }
  for (const char* text : {"1s", "1m", "15m", "1h30m", "1d", "30d", "1d1ms"}) {
    EXPECT_EQ(format_span(parse_span(text).value()), text);
  }
}

TEST(QueryParse, ReadsResolutions) {
  EXPECT_TRUE(parse_resolution("raw")->is_raw());
  EXPECT_EQ(parse_resolution("auto")->kind, Resolution::Kind::kAuto);
  EXPECT_EQ(parse_resolution("15m")->width, 15min);
  EXPECT_FALSE(parse_resolution("500ms"));
  EXPECT_FALSE(parse_resolution("15"));
}

TEST(QueryParse, NamesComeBack) {
  for (std::size_t i = 0; i < kAggregateCount; ++i) {
    const auto aggregate = static_cast<Aggregate>(i);
    EXPECT_EQ(parse_aggregate(to_string(aggregate)).value(), aggregate);
  }
  EXPECT_FALSE(parse_aggregate("mean"));
  EXPECT_EQ(split_list("a,,b"), (std::vector<std::string>{"a", "", "b"}));
}

}  // namespace
}  // namespace sluice::tsdb
