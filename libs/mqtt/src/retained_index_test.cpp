#include <sluice/mqtt/retained_index.h>

#include "testing_random.h"

#include <map>
#include <set>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::mqtt {
namespace {

using Stored = RetainedIndex::Stored;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

MessagePtr message(std::string topic, std::string payload = "x") {
  return std::make_shared<Message>(
      Message{.topic = std::move(topic), .payload = std::move(payload)});
}

class RetainedIndexTest : public testing::Test {
 protected:
  Stored set(const std::string& topic, const std::string& payload = "x") {
    return index.set(topic, message(topic, payload), 10);
  }
  std::vector<std::string> topics_of(std::string_view filter) {
    std::vector<std::string> found;
    RetainedCursor cursor(index, filter);
    while (cursor.next(3, [&](const MessagePtr& one) { found.push_back(one->topic); })) {
    }
    return found;
  }

  TestRandom random{1};
  RetainedIndex index{{}, random};
};

TEST_F(RetainedIndexTest, KeepsTheLastMessageOfEachTopic) {
  EXPECT_EQ(set("a/b", "1"), Stored::kNew);
  EXPECT_EQ(set("a/b", "2"), Stored::kReplaced);
  EXPECT_EQ(index.find("a/b")->payload, "2");
  EXPECT_EQ(index.find("a"), nullptr);
  EXPECT_EQ(index.size(), 1U);
  EXPECT_FALSE(index.clear("a"));
  EXPECT_TRUE(index.clear("a/b"));
  EXPECT_FALSE(index.clear("a/b"));
  EXPECT_EQ(index.find("a/b"), nullptr);
  EXPECT_EQ(set("a/+"), Stored::kInvalid);
}

TEST_F(RetainedIndexTest, FindsAllThatMatch) {
  for (const char* topic :
       {"sport", "sport/tennis", "sport/tennis/final", "news", "$SYS/up", "/x"}) {
    set(topic);
  }
  EXPECT_THAT(topics_of("sport/#"),
              UnorderedElementsAre("sport", "sport/tennis", "sport/tennis/final"));
  EXPECT_THAT(topics_of("+"), UnorderedElementsAre("sport", "news"));
  EXPECT_THAT(topics_of("+/+"), UnorderedElementsAre("sport/tennis", "/x"));
  EXPECT_THAT(topics_of("#"),
              UnorderedElementsAre("sport", "sport/tennis", "sport/tennis/final", "news", "/x"));
  EXPECT_THAT(topics_of("$SYS/#"), ElementsAre("$SYS/up"));
  EXPECT_THAT(topics_of("sport/tennis"), ElementsAre("sport/tennis"));
  EXPECT_THAT(topics_of("sport/+/final"), ElementsAre("sport/tennis/final"));
  EXPECT_THAT(topics_of("nothing/+"), IsEmpty());
  EXPECT_THAT(topics_of("a#"), IsEmpty()) << "no filter";
}

TEST_F(RetainedIndexTest, RefusesWhatIsOverItsLimitsAndKeepsWhatWasThere) {
  RetainedIndex small({.max_messages = 2, .max_bytes = 100}, random);
  EXPECT_EQ(small.set("a", message("a"), 60), Stored::kNew);
  EXPECT_EQ(small.set("b", message("b"), 41), Stored::kFull);
  EXPECT_EQ(small.set("b", message("b"), 40), Stored::kNew);
  EXPECT_EQ(small.set("c", message("c"), 0), Stored::kFull) << "a message too many";
  EXPECT_EQ(small.set("a", message("a", "2"), 61), Stored::kFull);
  EXPECT_EQ(small.find("a")->payload, "x");
  EXPECT_EQ(small.set("a", message("a", "2"), 10), Stored::kReplaced);
  EXPECT_EQ(small.bytes(), 50U);
  EXPECT_EQ(small.set("a", message("a"), ~std::size_t{0}), Stored::kFull);
  small.clear("b");
  EXPECT_EQ(small.bytes(), 10U);
  EXPECT_EQ(small.set("c", message("c"), 90), Stored::kNew);
}

TEST_F(RetainedIndexTest, ACursorTakesNoMoreStepsThanAllowed) {
  for (int i = 0; i < 1000; ++i) set("device/" + std::to_string(i) + "/state");
  RetainedCursor cursor(index, "#");
  std::size_t found = 0;
  std::size_t calls = 0;
  bool has_more = true;
  while (has_more) {
    std::size_t now = 0;
    has_more = cursor.next(10, [&](const MessagePtr&) { ++now; });
    ASSERT_LE(now, 10U);
    found += now;
    ++calls;
  }
  EXPECT_EQ(found, 1000U);
  EXPECT_EQ(calls, 201U) << "2002 nodes, ten at a time";
  EXPECT_TRUE(cursor.done());
  EXPECT_FALSE(cursor.next(10, [](const MessagePtr&) { FAIL(); }));
}

TEST_F(RetainedIndexTest, HiddenTopicsOfTheServerCostStepsToo) {
  for (int i = 0; i < 100; ++i) set("$" + std::to_string(i));
  RetainedCursor cursor(index, "#");
  EXPECT_TRUE(cursor.next(50, [](const MessagePtr&) { FAIL(); }));
  EXPECT_FALSE(cursor.next(52, [](const MessagePtr&) { FAIL(); }));
}

TEST_F(RetainedIndexTest, ACursorStandsWhatIsRemovedUnderIt) {
  for (int i = 0; i < 20; ++i) set("a/b/" + std::to_string(i));
  RetainedCursor cursor(index, "a/#");
  cursor.next(5, [](const MessagePtr&) {});
  for (int i = 0; i < 20; ++i) index.clear("a/b/" + std::to_string(i));
  EXPECT_EQ(index.size(), 0U);
  while (cursor.next(1, [](const MessagePtr&) { FAIL(); })) {
  }
  set("z");
  EXPECT_THAT(topics_of("#"), ElementsAre("z"));
}

TEST_F(RetainedIndexTest, ACursorCanBeMovedAndLeftInTheMiddle) {
  for (int i = 0; i < 20; ++i) set("a/" + std::to_string(i));
  const std::size_t base = RetainedIndex({}, random).memory_bytes();
  {
    RetainedCursor first(index, "a/+");
    EXPECT_TRUE(first.next(5, [](const MessagePtr&) {}));
    RetainedCursor second(std::move(first));
    EXPECT_TRUE(second.next(5, [](const MessagePtr&) {}));
    second = RetainedCursor(index, "#");
    EXPECT_TRUE(second.next(5, [](const MessagePtr&) {}));
    for (int i = 0; i < 20; ++i) index.clear("a/" + std::to_string(i));
  }
  EXPECT_EQ(index.memory_bytes(), base);
}

TEST_F(RetainedIndexTest, SweepsInBoundedStepsAllTheWayAround) {
  for (int i = 0; i < 100; ++i) set(std::to_string(i), i % 2 == 0 ? "old" : "new");
  std::size_t removed = 0;
  for (std::size_t step = 0; step < 2 * index.places(); step += 7) {
    std::size_t looked_at = 0;
    removed += index.sweep(7, [&](const Message& one) {
      ++looked_at;
      return one.payload == "old";
    });
    ASSERT_LE(looked_at, 7U);
  }
  EXPECT_EQ(removed, 50U);
  EXPECT_EQ(index.size(), 50U);
  EXPECT_EQ(index.find("2"), nullptr);
  EXPECT_NE(index.find("3"), nullptr);
  EXPECT_EQ(index.bytes(), 500U);
}

TEST_F(RetainedIndexTest, UsesMemoryAgainAndGivesItBackWhenEmpty) {
  const std::size_t base = index.memory_bytes();
  // Other texts in each round, of the same length.
  const auto topic = [](int round, int number) {
    return "device/" + std::to_string(round * 10'000 + number + 10'000) + "/a state of some length";
  };
  set("stays");
  std::size_t full = 0;
  for (int round = 0; round < 4; ++round) {
    for (int i = 0; i < 3000; ++i) set(topic(round, i));
    if (round <= 1) full = index.memory_bytes();  // the lists of free places came with round 1
    EXPECT_LE(index.memory_bytes(), full) << "round " << round;
    for (int i = 0; i < 3000; ++i) ASSERT_TRUE(index.clear(topic(round, i)));
  }
  EXPECT_GT(index.memory_bytes(), base);
  index.clear("stays");
  EXPECT_EQ(index.memory_bytes(), base);
}

TEST(RetainedIndexProperty, AgreesWithAListAndMatches) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    TestRandom random(seed);
    RetainedIndex index({}, random);
    std::map<std::string, std::string> model;
    for (int step = 0; step < 800; ++step) {
      const std::string topic = random_topic(random);
      if (random.below(10) < (step < 400 ? 7U : 3U)) {
        const std::string payload = std::to_string(step);
        const bool is_new = model.insert_or_assign(topic, payload).second;
        ASSERT_EQ(index.set(topic, message(topic, payload), 1),
                  is_new ? Stored::kNew : Stored::kReplaced);
      } else {
        ASSERT_EQ(index.clear(topic), model.erase(topic) == 1);
      }
      const std::string filter = random_filter(random);
      std::map<std::string, std::string> expected;
      for (const auto& [stored, payload] : model) {
        if (matches(filter, stored)) expected.emplace(stored, payload);
      }
      std::map<std::string, std::string> found;
      RetainedCursor cursor(index, filter);
      while (cursor.next(1 + random.below(5), [&](const MessagePtr& one) {
        EXPECT_TRUE(found.emplace(one->topic, one->payload).second) << "came twice";
      })) {
      }
      ASSERT_EQ(found, expected) << "seed " << seed << " step " << step << " filter " << filter;
      ASSERT_EQ(index.bytes(), model.size());
    }
  }
}

// The promise to whoever changes the index while a cursor is on its way.
TEST(RetainedIndexProperty, WhatStaysComesOnceWhateverChangesMeanwhile) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    TestRandom random(seed);
    RetainedIndex index({}, random);
    std::set<std::string> there;
    for (int i = 0; i < 60; ++i) {
      const std::string topic = random_topic(random);
      index.set(topic, message(topic), 1);
      there.insert(topic);
    }
    const std::string filter = random_filter(random);
    std::set<std::string> touched;
    std::multiset<std::string> found;
    RetainedCursor cursor(index, filter);
    while (cursor.next(1 + random.below(3), [&](const MessagePtr& one) {
      EXPECT_EQ(index.find(one->topic), one) << "not as it is now";
      found.insert(one->topic);
    })) {
      for (std::uint64_t changes = random.below(6); changes > 0; --changes) {
        const std::string topic = random_topic(random);
        touched.insert(topic);
        if (random.below(3) == 0) {
          index.set(topic, message(topic), 1);
        } else {
          index.clear(topic);
        }
      }
    }
    for (const auto& topic : found) {
      ASSERT_EQ(found.count(topic), 1U) << "seed " << seed << " filter " << filter;
      ASSERT_TRUE(matches(filter, topic));
    }
    for (const auto& topic : there) {
      if (touched.contains(topic) || !matches(filter, topic)) continue;
      ASSERT_EQ(found.count(topic), 1U) << "seed " << seed << " filter " << filter << " " << topic;
    }
  }
}

}  // namespace
}  // namespace sluice::mqtt
