#include <sluice/http_semantics/preconditions.h>

#include <gtest/gtest.h>

namespace sluice::http {
namespace {

Preconditions if_match(std::string_view value) {
  return Preconditions::parse(value, std::nullopt).value();
}

Preconditions if_none_match(std::string_view value) {
  return Preconditions::parse(std::nullopt, value).value();
}

TEST(Preconditions, IfMatchHoldsForANamedRevisionOnly) {
  EXPECT_TRUE(if_match("\"7\"").check_write(7));
  EXPECT_TRUE(if_match("\"3\" ,\t\"7\"").check_write(7));
  EXPECT_TRUE(if_match("*").check_write(7));
  EXPECT_FALSE(if_match("\"8\"").check_write(7));
  EXPECT_FALSE(if_match("\"07\"").check_write(7));
  EXPECT_FALSE(if_match("W/\"7\"").check_write(7));
  EXPECT_FALSE(if_match("\"7\"").check_write(std::nullopt));
  EXPECT_FALSE(if_match("*").check_write(std::nullopt));
}

TEST(Preconditions, IfNoneMatchHoldsForWhatIsNotThere) {
  EXPECT_TRUE(if_none_match("*").is_create_only());
  EXPECT_TRUE(if_none_match("*").check_write(std::nullopt));
  EXPECT_FALSE(if_none_match("*").check_write(7));
  EXPECT_TRUE(if_none_match("\"6\"").check_write(7));
  EXPECT_FALSE(if_none_match("\"7\"").check_write(7));
}

TEST(Preconditions, RefusalsAnswer412) {
  const auto refused = if_match("\"8\"").check_write(7);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::kFailedPrecondition);
  EXPECT_EQ(refused.error().reason(), "precondition_failed");
}

TEST(Preconditions, AReaderWithThePresentRevisionNeedsNoBody) {
  EXPECT_TRUE(if_none_match("\"6\", W/\"7\"").is_not_modified(7));
  EXPECT_TRUE(if_none_match("*").is_not_modified(7));
  EXPECT_FALSE(if_none_match("\"6\"").is_not_modified(7));
  EXPECT_FALSE(Preconditions().is_not_modified(7));
}

TEST(Preconditions, NoneHoldAlways) {
  EXPECT_TRUE(Preconditions().check_write(7));
  EXPECT_TRUE(Preconditions().check_write(std::nullopt));
}

TEST(Preconditions, TakesNothingMalformedForNoCondition) {
  for (const char* value : {"", "7", "\"7", "\"7\" \"8\"", "*, \"7\"", "\"7\",", "W\"7\""}) {
    const auto parsed = Preconditions::parse(value, std::nullopt);
    ASSERT_FALSE(parsed) << value;
    EXPECT_EQ(parsed.error().faults().at(0).field, "If-Match");
    EXPECT_FALSE(Preconditions::parse(std::nullopt, value)) << value;
  }
}

}  // namespace
}  // namespace sluice::http
