#include <sluice/log/logger.h>

#include <limits>
#include <memory>
#include <string>
#include <vector>

#include <sluice/base/clock.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace sluice {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class FixedClock final : public Clock {
 public:
  WallTime wall() const override { return WallTime(std::chrono::milliseconds(1'767'225'600'123)); }
  MonoTime mono() const override { return {}; }
};

class KeptLines final : public LogSink {
 public:
  void write(std::string_view line) override { lines.emplace_back(line); }
  std::vector<std::string> lines;
};

struct Fixture {
  explicit Fixture(LogLevel level = LogLevel::kDebug)
      : log("device-registry", level, clock, sink) {}
  json only_line() const {
    EXPECT_EQ(sink->lines.size(), 1U);
    return json::parse(sink->lines.at(0));
  }
  FixedClock clock;
  std::shared_ptr<KeptLines> sink = std::make_shared<KeptLines>();
  Logger log;
};

TEST(Logger, WritesOneObjectALine) {
  const Fixture fixture;
  fixture.log.info("import_done", {{"rows", 12}, {"tenant", "acme"}, {"ok", true}, {"ratio", 0.5}});
  EXPECT_THAT(
      fixture.sink->lines,
      ElementsAre(R"({"ts":"2026-01-01T00:00:00.123Z","level":"info","service":"device-registry",)"
                  R"("event":"import_done","rows":12,"tenant":"acme","ok":true,"ratio":0.5})"));
}

TEST(Logger, LeavesOutWhatIsBelowItsLevel) {
  const Fixture fixture(LogLevel::kWarning);
  fixture.log.debug("a");
  fixture.log.info("b");
  EXPECT_THAT(fixture.sink->lines, IsEmpty());
  fixture.log.warning("c");
  fixture.log.error("d");
  EXPECT_EQ(fixture.sink->lines.size(), 2U);
  EXPECT_FALSE(fixture.log.is_enabled(LogLevel::kInfo));
  EXPECT_TRUE(fixture.log.is_enabled(LogLevel::kError));
}

TEST(Logger, CarriesTheTrace) {
  const Fixture fixture;
  const auto trace = TraceContext::parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
  fixture.log.with_trace(*trace).info("x");
  EXPECT_EQ(fixture.only_line()["trace_id"], "0af7651916cd43dd8448eb211c80319c");
}

TEST(Logger, ErrorsGiveCodeMessageAndReason) {
  const Fixture fixture;
  const Error error =
      Error(ErrorCode::kUnavailable, "connect: \"refused\"\n").with_reason("no_route");
  fixture.log.error("open_failed", error, {{"attempt", 3}});
  const json line = fixture.only_line();
  EXPECT_EQ(line["error_code"], "unavailable");
  EXPECT_EQ(line["error"], "connect: \"refused\"\n");
  EXPECT_EQ(line["reason"], "no_route");
  EXPECT_EQ(line["attempt"], 3);
}

TEST(Logger, HostileValuesStayInsideTheirField) {
  const Fixture fixture;
  const std::string evil = "x\",\"level\":\"error\"}\n{\"event\":\"forged\xFF";
  fixture.log.info("login", {{"user", evil}});
  const json line = fixture.only_line();
  EXPECT_EQ(line["level"], "info");
  EXPECT_THAT(line["user"].get<std::string>(), HasSubstr("forged"));
  EXPECT_EQ(fixture.sink->lines[0].find('\n'), std::string::npos);
}

TEST(Logger, CutsLongValues) {
  const Fixture fixture;
  fixture.log.info("x", {{"text", std::string(1'000'000, 'a')}});
  const std::string text = fixture.only_line()["text"].get<std::string>();
  EXPECT_EQ(text.size(), kMaxLogValueSize + 3);
  EXPECT_THAT(text, EndsWith("…"));
}

TEST(Logger, TakesEveryIntegerWhole) {
  const Fixture fixture;
  fixture.log.info("x", {{"least", std::numeric_limits<std::int64_t>::min()},
                         {"most", std::numeric_limits<std::uint64_t>::max()},
                         {"small", std::uint8_t{200}}});
  const json line = fixture.only_line();
  EXPECT_EQ(line["least"].get<std::int64_t>(), std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(line["most"].get<std::uint64_t>(), std::numeric_limits<std::uint64_t>::max());
  EXPECT_EQ(line["small"], 200);
}

TEST(LogLevel, HasOneSpelling) {
  for (LogLevel level : {LogLevel::kDebug, LogLevel::kInfo, LogLevel::kWarning, LogLevel::kError}) {
    EXPECT_EQ(parse_log_level(to_string(level)), level);
  }
  EXPECT_EQ(parse_log_level("INFO"), std::nullopt);
  EXPECT_EQ(parse_log_level(""), std::nullopt);
}

}  // namespace
}  // namespace sluice
