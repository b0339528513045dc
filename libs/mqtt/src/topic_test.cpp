#include <sluice/mqtt/topic.h>

#include <string>

#include <gtest/gtest.h>

namespace sluice::mqtt {
namespace {

TEST(Topic, RefusesWildcardsEmptinessAndWhatIsTooLongOrDeep) {
  EXPECT_TRUE(is_valid_topic("a"));
  EXPECT_TRUE(is_valid_topic("/a//b/"));
  EXPECT_FALSE(is_valid_topic(""));
  EXPECT_FALSE(is_valid_topic("a/+/b"));
  EXPECT_FALSE(is_valid_topic("a#"));
  EXPECT_TRUE(is_valid_topic(std::string(kMaxTopicSize, 'a')));
  EXPECT_FALSE(is_valid_topic(std::string(kMaxTopicSize + 1, 'a')));
  EXPECT_TRUE(is_valid_topic(std::string(kMaxTopicLevels - 1, '/')));
  EXPECT_FALSE(is_valid_topic(std::string(kMaxTopicLevels, '/')));
}

TEST(Topic, IsAsLongAndAsDeepAsTheLimitsSay) {
  EXPECT_TRUE(is_valid_topic(std::string(65'535, 'a'), kWidestTopics));
  EXPECT_TRUE(is_valid_topic(std::string(200, '/'), kWidestTopics));
  EXPECT_FALSE(is_valid_topic(std::string(201, '/'), kWidestTopics));
  EXPECT_FALSE(is_valid_filter("a/b/#", {.max_levels = 2}));
  EXPECT_FALSE(parse_shared("$share/g/" + std::string(kMaxTopicLevels, '/')));
  EXPECT_TRUE(parse_shared("$share/g/" + std::string(kMaxTopicLevels, '/'), kWidestTopics));
}

TEST(Filter, TakesWildcardsOnlyAsWholeLevelsAndHashOnlyLast) {
  for (const char* good : {"#", "+", "a/#", "+/+", "/+", "a/+/b/#", "a"}) {
    EXPECT_TRUE(is_valid_filter(good)) << good;
  }
  for (const char* bad : {"", "a#", "a/#/b", "#/a", "a+", "+a", "a/b+/c", "##"}) {
    EXPECT_FALSE(is_valid_filter(bad)) << bad;
  }
}

// The examples of [MQTT5-4.7.1] and [MQTT5-4.7.2].
TEST(Matching, FollowsTheSpecificationsExamples) {
  const auto yes = [](const char* filter, const char* topic) {
    EXPECT_TRUE(matches(filter, topic)) << filter << " " << topic;
  };
  const auto no = [](const char* filter, const char* topic) {
    EXPECT_FALSE(matches(filter, topic)) << filter << " " << topic;
  };
  yes("sport/tennis/player1/#", "sport/tennis/player1");
  yes("sport/tennis/player1/#", "sport/tennis/player1/ranking");
  yes("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon");
  yes("sport/#", "sport");
  yes("#", "a/b/c");
  yes("sport/tennis/+", "sport/tennis/player1");
  no("sport/tennis/+", "sport/tennis/player1/ranking");
  no("sport/+", "sport");
  yes("sport/+", "sport/");
  yes("+/+", "/finance");
  yes("/+", "/finance");
  no("+", "/finance");
  no("#", "$SYS/clients");
  no("+/monitor/Clients", "$SYS/monitor/Clients");
  yes("$SYS/#", "$SYS/clients");
  yes("$SYS/monitor/+", "$SYS/monitor/Clients");
  no("ACCOUNTS", "Accounts");
  no("a/b", "a/b/c");
  no("a/b/c", "a/b");
  no("a/b/#", "a/bc");
}

TEST(SharedFilter, IsTakenApartOrRefused) {
  const auto shared = parse_shared("$share/workers/a/+/b");
  ASSERT_TRUE(shared);
  EXPECT_EQ(shared->group, "workers");
  EXPECT_EQ(shared->filter, "a/+/b");
  for (const char* bad : {"$share", "$share/", "$share//a", "$share/g", "$share/g/", "$share/g+/a",
                          "$share/g#/a", "$share/g/a#", "share/g/a"}) {
    EXPECT_FALSE(parse_shared(bad)) << bad;
  }
  EXPECT_TRUE(is_shared("$share"));
  EXPECT_TRUE(is_shared("$share/g/a"));
  EXPECT_FALSE(is_shared("$shared/g/a"));
}

}  // namespace
}  // namespace sluice::mqtt
