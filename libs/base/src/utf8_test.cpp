#include <sluice/base/utf8.h>

#include <cstdint>
#include <string>

#include <gtest/gtest.h>

namespace sluice {
namespace {

std::string encode(std::uint32_t point) {
  const auto byte = [](std::uint32_t value) { return static_cast<char>(value); };
  if (point < 0x80) return {byte(point)};
  if (point < 0x800) return {byte(0xC0 | point >> 6), byte(0x80 | (point & 0x3F))};
  if (point < 0x10000) {
    return {byte(0xE0 | point >> 12), byte(0x80 | (point >> 6 & 0x3F)),
            byte(0x80 | (point & 0x3F))};
  }
  return {byte(0xF0 | point >> 18), byte(0x80 | (point >> 12 & 0x3F)),
          byte(0x80 | (point >> 6 & 0x3F)), byte(0x80 | (point & 0x3F))};
}

TEST(Utf8, EveryScalarValueAndNothingElseIsWellFormed) {
  for (std::uint32_t point = 0; point <= 0x11'0000; ++point) {
    const bool is_scalar = point < 0xD800 || (point > 0xDFFF && point <= 0x10'FFFF);
    const std::string text = encode(point);
    ASSERT_EQ(is_valid_utf8(text), is_scalar) << point;
    ASSERT_EQ(utf8_sequence_size(text), is_scalar ? text.size() : 0U) << point;
  }
}

TEST(Utf8, LongerFormsOfAShortCharacterAreRefused) {
  for (const char* text :
       {"\xC0\x80", "\xC1\xBF", "\xE0\x80\x80", "\xE0\x9F\xBF", "\xF0\x80\x80\x80",
        "\xF0\x8F\xBF\xBF", "\xF8\x88\x80\x80\x80", "\xFE", "\xFF"}) {
    EXPECT_FALSE(is_valid_utf8(text)) << text;
  }
}

TEST(Utf8, CutSequencesAreRefused) {
  for (const char* text :
       {"\xC3", "\xE6\x9D", "\xF0\x9F\x9A", "\x80", "a\xC3", "\xC3(", "\xE6\x9D("}) {
    EXPECT_FALSE(is_valid_utf8(text)) << text;
  }
}

// Eight bytes are looked at together while they are ASCII: every place in such a group must be
// seen.
TEST(Utf8, OneWrongByteIsSeenAtEveryPlaceOfALongText) {
  for (std::size_t size = 1; size <= 40; ++size) {
    const std::string good(size, 'a');
    ASSERT_TRUE(is_valid_utf8(good));
    for (std::size_t at = 0; at < size; ++at) {
      for (const char bad : {'\x80', '\xBF', '\xC3', '\xFF'}) {
        std::string text = good;
        text[at] = bad;
        ASSERT_FALSE(is_valid_utf8(text)) << size << " " << at;
      }
      for (const char* inserted : {"\xC3\xBC", "\xE6\x9D\xB1", "\xF0\x9F\x9A\x80"}) {
        std::string text = good;
        text.insert(at, inserted);
        ASSERT_TRUE(is_valid_utf8(text)) << size << " " << at;
        text.pop_back();
        text.back() = '\xC3';
        ASSERT_FALSE(is_valid_utf8(text)) << size << " " << at;
      }
    }
  }
}

TEST(Utf8, ReplacesByteByByteAndKeepsTheRest) {
  EXPECT_EQ(replace_invalid_utf8("Zürich \xFF 東\xE6\x9D"), "Zürich \uFFFD 東\uFFFD\uFFFD");
  EXPECT_EQ(replace_invalid_utf8(""), "");
  EXPECT_EQ(replace_invalid_utf8(std::string_view("a\0b", 3)), std::string("a\0b", 3));
}

TEST(Utf8, WhatIsReplacedIsValid) {
  for (std::uint32_t pair = 0; pair < 0x1'0000; ++pair) {
    const std::string text = {static_cast<char>(pair >> 8), static_cast<char>(pair & 0xFF)};
    ASSERT_TRUE(is_valid_utf8(replace_invalid_utf8(text))) << pair;
  }
}

}  // namespace
}  // namespace sluice
