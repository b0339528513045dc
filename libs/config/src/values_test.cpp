#include "values.h"

#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::config_detail {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(Values, DurationsNeedAUnit) {
  EXPECT_EQ(read_duration("250ms").value(), 250ms);
  EXPECT_EQ(read_duration("5s").value(), 5s);
  EXPECT_EQ(read_duration("2m").value(), 2min);
  EXPECT_EQ(read_duration("24h").value(), 24h);
  EXPECT_EQ(read_duration("7d").value(), 168h);
  EXPECT_EQ(read_duration("0s").value(), 0ms);
  for (const char* text : {"", "5", "s", "-5s", "+5s", "5 s", "5S", "1.5s", "5sec", "1h30m",
                           "99999999999999999999s", "9223372036854775807d"}) {
    EXPECT_FALSE(read_duration(text)) << text;
  }
}

TEST(Values, SizesTakeBinaryUnits) {
  EXPECT_EQ(read_bytes("512").value(), Bytes{512});
  EXPECT_EQ(read_bytes("512B").value(), Bytes{512});
  EXPECT_EQ(read_bytes("16KiB").value(), 16_KiB);
  EXPECT_EQ(read_bytes("256MiB").value(), 256_MiB);
  EXPECT_EQ(read_bytes("1GiB").value(), 1024_MiB);
  for (const char* text : {"", "KiB", "1KB", "1k", "-1", "1.5MiB", "1 MiB", "16777216TiB"}) {
    EXPECT_FALSE(read_bytes(text)) << text;
  }
}

TEST(Values, NumbersAreReadWholeOrNotAtAll) {
  EXPECT_EQ(read_integer("-7").value(), -7);
  EXPECT_EQ(read_integer("9223372036854775807").value(), std::numeric_limits<std::int64_t>::max());
  for (const char* text : {"", " 1", "1 ", "1e3", "0x10", "1_000", "9223372036854775808", "+1"}) {
    EXPECT_FALSE(read_integer(text)) << text;
  }
  EXPECT_EQ(read_number("2.5").value(), 2.5);
  for (const char* text : {"", "nan", "inf", "-inf", "1,5", "1.5x", "1e999"}) {
    EXPECT_FALSE(read_number(text)) << text;
  }
}

TEST(Values, BooleansAreTrueAndFalseAlone) {
  EXPECT_EQ(read_boolean("true").value(), true);
  EXPECT_EQ(read_boolean("false").value(), false);
  for (const char* text : {"", "yes", "no", "1", "0", "True", "TRUE"}) {
    EXPECT_FALSE(read_boolean(text)) << text;
  }
}

TEST(Values, ListenAddressesAreHostAndPort) {
  for (const char* text :
       {"127.0.0.1:8081", "0.0.0.0:0", "[::1]:65535", "localhost:1", "[::]:80"}) {
    EXPECT_TRUE(check_listen_address(text)) << text;
  }
  for (const char* text : {"", ":80", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "::1:80",
                           "host:-1", "host:+1", "ho st:80", "host/:80", "[]:80", "a:b"}) {
    EXPECT_FALSE(check_listen_address(text)) << text;
  }
}

TEST(Values, ListsAreSplitAtCommas) {
  EXPECT_THAT(read_list(""), IsEmpty());
  EXPECT_THAT(read_list("a"), ElementsAre("a"));
  EXPECT_THAT(read_list("a, b ,c"), ElementsAre("a", "b", "c"));
  EXPECT_THAT(read_list("a,"), ElementsAre("a", ""));
  EXPECT_THAT(read_list(",a"), ElementsAre("", "a"));
  EXPECT_THAT(read_list("  "), ElementsAre(""));
}

TEST(Values, AreWrittenInTheLargestWholeUnit) {
  EXPECT_EQ(write(1500ms), "1500ms");
  EXPECT_EQ(write(std::chrono::milliseconds(90s)), "90s");
  EXPECT_EQ(write(std::chrono::milliseconds(48h)), "2d");
  EXPECT_EQ(write(0ms), "0s");
  EXPECT_EQ(write(Bytes{1536}), "1536B");
  EXPECT_EQ(write(2048_KiB), "2MiB");
  EXPECT_EQ(write(Bytes{0}), "0");
}

TEST(Values, WhatIsWrittenIsReadAgain) {
  for (std::int64_t n : {0, 1, 999, 1000, 60'000, 61'000, 86'400'000, 123'456'789}) {
    EXPECT_EQ(read_duration(write(std::chrono::milliseconds(n))).value().count(), n);
    EXPECT_EQ(read_bytes(write(Bytes{static_cast<std::uint64_t>(n)})).value().count,
              static_cast<std::uint64_t>(n));
    EXPECT_EQ(read_integer(write(n)).value(), n);
  }
  for (double n : {0.0, 0.1, 1e-9, 123456.789}) EXPECT_EQ(read_number(write(n)).value(), n);
}

TEST(Values, QuotesAreOneShortPrintableLine) {
  EXPECT_EQ(quote("a"), "\"a\"");
  EXPECT_EQ(quote("a\nb\x1B[31m"), "\"a?b?[31m\"");
  EXPECT_LT(quote(std::string(10'000, 'x')).size(), 100U);
}

TEST(Values, ClosestFindsSlipsAndDoesNotGuess) {
  const std::vector<std::string> names = {"kafka_brokers", "kafka_namespace", "log_level"};
  EXPECT_EQ(closest("kafka_borkers", names), "kafka_brokers");
  EXPECT_EQ(closest("loglevel", names), "log_level");
  EXPECT_EQ(closest("postgres_url", names), "");
  EXPECT_EQ(closest("x", names), "");
  EXPECT_EQ(closest(std::string(100'000, 'k'), names), "");
}

}  // namespace
}  // namespace sluice::config_detail
