#include "json_line.h"

#include <cmath>
#include <limits>
#include <random>
#include <string>

#include <sluice/base/utf8.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace sluice::log_detail {
namespace {

constexpr std::size_t kNoLimit = std::numeric_limits<std::size_t>::max();

std::string escaped(std::string_view text, std::size_t limit = kNoLimit) {
  std::string out;
  append_json_string(out, text, limit);
  return out;
}

std::string value(LogField::Value v) {
  std::string out;
  append_json_value(out, v);
  return out;
}

TEST(JsonLine, EscapesWhatJsonDemands) {
  EXPECT_EQ(escaped("plain"), R"("plain")");
  EXPECT_EQ(escaped(R"(a"b\c)"), R"("a\"b\\c")");
  EXPECT_EQ(escaped("a\nb\rc\td"), R"("a\nb\rc\td")");
  EXPECT_EQ(escaped(std::string_view("\0\x01\x1F\x7F", 4)), R"("\u0000\u0001\u001f\u007f")");
  EXPECT_EQ(escaped("\x1B[31mred"), R"("\u001b[31mred")");  // a terminal must not be steered
  EXPECT_EQ(escaped(""), R"("")");
}

TEST(JsonLine, NoLineOfALogCanBeForged) {
  for (int c = 0; c < 256; ++c) {
    const std::string out = escaped(std::string(1, static_cast<char>(c)));
    EXPECT_EQ(out.find('\n'), std::string::npos) << c;
    EXPECT_EQ(out.find('\r'), std::string::npos) << c;
  }
}

TEST(JsonLine, KeepsWellFormedUtf8) { EXPECT_EQ(escaped("Zürich 東京 🚰"), "\"Zürich 東京 🚰\""); }

TEST(JsonLine, EachByteThatIsNotUtf8BecomesAReplacementCharacter) {
  EXPECT_EQ(escaped("a\xFF\xC3"), "\"a\uFFFD\uFFFD\"");
  EXPECT_EQ(escaped("\xC0\xAF"), "\"\uFFFD\uFFFD\"");                      // overlong
  EXPECT_EQ(escaped("\xED\xA0\x80"), "\"\uFFFD\uFFFD\uFFFD\"");            // a surrogate
  EXPECT_EQ(escaped("\xF4\x90\x80\x80"), "\"\uFFFD\uFFFD\uFFFD\uFFFD\"");  // past U+10FFFF
}

TEST(JsonLine, CutsAtACharacterAndSaysSo) {
  EXPECT_EQ(escaped("abcdef", 6), "\"abcdef\"");
  EXPECT_EQ(escaped("abcdefg", 6), "\"abcdef…\"");
  EXPECT_EQ(escaped("abcdeü", 6), "\"abcde…\"");  // ü would end at byte 7
  EXPECT_EQ(escaped("abcd\n\n\n", 6), "\"abcd\\n\\n…\"");
  EXPECT_EQ(escaped("x", 0), "\"…\"");
}

TEST(JsonLine, AnyBytesGiveOneValidJsonText) {
  std::mt19937 random(20'260'101);
  for (int round = 0; round < 20'000; ++round) {
    std::string text(random() % 40, ' ');
    for (char& c : text) c = static_cast<char>(random() % 256);
    const auto parsed = nlohmann::json::parse(escaped(text));  // throws when it is not valid
    EXPECT_EQ(parsed.get<std::string>(), replace_invalid_utf8(text));
    const std::size_t limit = random() % 40;
    const auto cut = nlohmann::json::parse(escaped(text, limit)).get<std::string>();
    EXPECT_TRUE(is_valid_utf8(cut));
  }
}

TEST(JsonLine, WritesNumbersExactly) {
  EXPECT_EQ(value(std::numeric_limits<std::int64_t>::min()), "-9223372036854775808");
  EXPECT_EQ(value(std::numeric_limits<std::uint64_t>::max()), "18446744073709551615");
  EXPECT_EQ(value(0.1), "0.1");
  EXPECT_EQ(value(1e300), "1e+300");
  EXPECT_EQ(value(true), "true");
  EXPECT_EQ(value(false), "false");
}

TEST(JsonLine, NumbersThatJsonLacksAreTexts) {
  EXPECT_EQ(value(std::numeric_limits<double>::infinity()), R"("Infinity")");
  EXPECT_EQ(value(-std::numeric_limits<double>::infinity()), R"("-Infinity")");
  EXPECT_EQ(value(std::nan("")), R"("NaN")");
}

TEST(JsonLine, AnyDoubleIsReadBackAsItself) {
  std::mt19937_64 random(3);
  for (int round = 0; round < 20'000; ++round) {
    const double number = std::bit_cast<double>(random());
    if (!std::isfinite(number)) continue;
    EXPECT_EQ(nlohmann::json::parse(value(number)).get<double>(), number);
  }
}

}  // namespace
}  // namespace sluice::log_detail
