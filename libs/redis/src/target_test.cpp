#include "target.h"

#include <gtest/gtest.h>

namespace sluice::redis {
namespace {

TEST(Target, ReadsOneServer) {
  const auto target = Target::parse("redis://localhost:6379/");
  ASSERT_TRUE(target);
  EXPECT_EQ(target->nodes, (std::vector<Node>{{"localhost", 6379}}));
  EXPECT_FALSE(target->is_tls);
  EXPECT_EQ(target->user, "");
}

TEST(Target, ReadsUserTlsAndSeveralNodes) {
  const auto target = Target::parse("rediss://fleet@a:1,b:2,[::1]:3");
  ASSERT_TRUE(target);
  EXPECT_EQ(target->nodes, (std::vector<Node>{{"a", 1}, {"b", 2}, {"::1", 3}}));
  EXPECT_TRUE(target->is_tls);
  EXPECT_EQ(target->user, "fleet");
}

TEST(Target, RefusesAPasswordAndWhatIsNoUrl) {
  for (const char* url : {"redis://user:secret@a:1", "redis://:secret@a:1", "http://a:1", "a:1", "",
                          "redis://", "redis://a", "redis://a:1,", "redis://:1"}) {
    EXPECT_FALSE(Target::parse(url)) << url;
  }
}

}  // namespace
}  // namespace sluice::redis
