#include <sluice/http_semantics/field_text.h>

#include <gtest/gtest.h>

namespace sluice::http {
namespace {

TEST(FieldText, IsComparedWithoutTheCaseOfAsciiLettersAlone) {
  EXPECT_TRUE(equal_ignoring_case("", ""));
  EXPECT_TRUE(equal_ignoring_case("Upgrade-1", "uPGRADE-1"));
  EXPECT_FALSE(equal_ignoring_case("upgrade", "upgrades"));
  EXPECT_FALSE(equal_ignoring_case("@[", "`{"));
  EXPECT_FALSE(equal_ignoring_case("\xC4", "\xE4"));
}

TEST(FieldText, LosesBlanksAndTabsAroundItAndNothingElse) {
  EXPECT_EQ(trim(" \ta b\t "), "a b");
  EXPECT_EQ(trim("\r\na\r\n"), "\r\na\r\n");
  EXPECT_EQ(trim(" \t"), "");
  EXPECT_EQ(trim(""), "");
}

}  // namespace
}  // namespace sluice::http
