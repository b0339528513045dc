#include "core/etag.h"

#include <gtest/gtest.h>

namespace sluice::registry {
namespace {

bool may_write(const Preconditions& preconditions, std::optional<std::int64_t> revision) {
  return check_preconditions(preconditions, revision).has_value();
}

TEST(Etag, IfMatchHoldsForTheNamedRevisionOnly) {
  EXPECT_TRUE(may_write({.if_match = "\"7\"", .if_none_match = ""}, 7));
  EXPECT_TRUE(may_write({.if_match = "\"3\" , \"7\"", .if_none_match = ""}, 7));
  EXPECT_TRUE(may_write({.if_match = "*", .if_none_match = ""}, 7));
  EXPECT_FALSE(may_write({.if_match = "\"8\"", .if_none_match = ""}, 7));
  EXPECT_FALSE(may_write({.if_match = "W/\"7\"", .if_none_match = ""}, 7));
  EXPECT_FALSE(may_write({.if_match = "7", .if_none_match = ""}, 7));
  EXPECT_FALSE(may_write({.if_match = "*", .if_none_match = ""}, std::nullopt));
}

TEST(Etag, IfNoneMatchStarHoldsForWhatDoesNotExist) {
  EXPECT_TRUE(may_write({.if_match = "", .if_none_match = "*"}, std::nullopt));
  EXPECT_FALSE(may_write({.if_match = "", .if_none_match = "*"}, 7));
}

TEST(Etag, AReaderWithThePresentRevisionNeedsNoBody) {
  EXPECT_TRUE(is_unchanged({.if_match = "", .if_none_match = "\"7\""}, 7));
  EXPECT_FALSE(is_unchanged({.if_match = "", .if_none_match = "\"6\""}, 7));
  EXPECT_FALSE(is_unchanged({}, 7));
}

}  // namespace
}  // namespace sluice::registry
