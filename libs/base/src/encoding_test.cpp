#include <sluice/base/encoding.h>

#include <random>
#include <set>
#include <string>

#include <gtest/gtest.h>

namespace sluice {
namespace {

TEST(Hex, IsWrittenInLowerCaseAndReadInBoth) {
  EXPECT_EQ(to_hex(std::string_view("\x00\x7F\xFF", 3)), "007fff");
  EXPECT_EQ(from_hex("007FfF"), std::string("\x00\x7F\xFF", 3));
  EXPECT_EQ(from_hex(""), "");
}

TEST(Hex, RefusesOtherTexts) {
  for (const char* text : {"0", "0g", "0x", " 00", "00 "}) EXPECT_FALSE(from_hex(text)) << text;
}

TEST(Base64url, KnowsTheVectorsOfRfc4648) {
  const std::pair<const char*, const char*> vectors[] = {
      {"", ""},           {"f", "Zg"},          {"fo", "Zm8"},         {"foo", "Zm9v"},
      {"foob", "Zm9vYg"}, {"fooba", "Zm9vYmE"}, {"foobar", "Zm9vYmFy"}};
  for (const auto& [bytes, text] : vectors) {
    EXPECT_EQ(to_base64url(bytes), text);
    EXPECT_EQ(from_base64url(text), bytes);
  }
  EXPECT_EQ(to_base64url("\xFB\xFF"), "-_8");
}

TEST(Base64url, RefusesPaddingBlanksTheOtherAlphabetAndOddEndings) {
  for (const char* text :
       {"Zg==", "Zm8=", "Z", "Zm9vY", "Z g", "Zm9\n", "+_8", "-/8", "Zh", "Zm9"}) {
    EXPECT_FALSE(from_base64url(text)) << text;
  }
}

TEST(Base64url, OneValueHasOneText) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  std::set<std::string> values;
  std::size_t accepted = 0;
  for (char first : kDigits) {
    for (char second : kDigits) {
      if (const auto value = from_base64url(std::string{first, second})) {
        values.insert(*value);
        ++accepted;
      }
    }
  }
  EXPECT_EQ(accepted, 256U);
  EXPECT_EQ(values.size(), 256U);
}

TEST(Encoding, AnyBytesComeBack) {
  std::mt19937 random(5);
  for (int round = 0; round < 2'000; ++round) {
    std::string bytes(random() % 100, ' ');
    for (char& c : bytes) c = static_cast<char>(random() % 256);
    EXPECT_EQ(from_hex(to_hex(bytes)), bytes);
    EXPECT_EQ(from_base64url(to_base64url(bytes)), bytes);
  }
}

TEST(ConstantTime, ComparesWholly) {
  EXPECT_TRUE(equal_constant_time("", ""));
  EXPECT_TRUE(equal_constant_time("secret", "secret"));
  EXPECT_FALSE(equal_constant_time("secret", "secreT"));
  EXPECT_FALSE(equal_constant_time("Secret", "secret"));
  EXPECT_FALSE(equal_constant_time("secret", "secre"));
  EXPECT_FALSE(equal_constant_time("", "s"));
  // A difference in one bit of the highest byte is not lost on the way.
  EXPECT_FALSE(equal_constant_time("\x80", std::string_view("\0", 1)));
}

}  // namespace
}  // namespace sluice
