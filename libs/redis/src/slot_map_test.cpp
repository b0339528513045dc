#include "slot_map.h"

#include <gtest/gtest.h>

namespace sluice::redis {
namespace {

Reply range(std::int64_t first, std::int64_t last, std::string host, std::int64_t port) {
  return Reply::of_array(
      {Reply::of_integer(first), Reply::of_integer(last),
       Reply::of_array({Reply::of_text(std::move(host)), Reply::of_integer(port)})});
}

const Node kAsked{"10.0.0.9", 7000};

TEST(SlotMap, KnowsWhichNodeServesASlot) {
  const auto map =
      SlotMap::parse(Reply::of_array({range(0, 100, "a", 1), range(101, 16383, "b", 2)}), kAsked);
  ASSERT_TRUE(map);
  EXPECT_EQ(map->node_of(100)->host, "a");
  EXPECT_EQ(map->node_of(101)->host, "b");
  EXPECT_EQ(map->nodes().size(), 2U);
}

TEST(SlotMap, HasNoNodeForASlotNobodyServes) {
  const auto map = SlotMap::parse(Reply::of_array({range(5, 5, "a", 1)}), kAsked);
  ASSERT_TRUE(map);
  EXPECT_EQ(map->node_of(4), nullptr);
  EXPECT_NE(map->node_of(5), nullptr);
}

TEST(SlotMap, TakesTheAskedHostWhereANodeDoesNotKnowItsName) {
  const auto map = SlotMap::parse(Reply::of_array({range(0, 0, "", 7001)}), kAsked);
  ASSERT_TRUE(map);
  EXPECT_EQ(*map->node_of(0), (Node{"10.0.0.9", 7001}));
}

TEST(SlotMap, RefusesAnswersThatCannotBe) {
  auto is_refused = [](Reply reply) { return !SlotMap::parse(reply, kAsked).has_value(); };
  EXPECT_TRUE(is_refused(Reply::nil()));
  EXPECT_TRUE(is_refused(Reply::of_array({})));
  EXPECT_TRUE(is_refused(Reply::of_array({Reply::of_integer(1)})));
  EXPECT_TRUE(is_refused(Reply::of_array({range(0, 16384, "a", 1)})));
  EXPECT_TRUE(is_refused(Reply::of_array({range(-1, 5, "a", 1)})));
  EXPECT_TRUE(is_refused(Reply::of_array({range(6, 5, "a", 1)})));
  EXPECT_TRUE(is_refused(Reply::of_array({range(0, 5, "a", 65536)})));
}

TEST(SlotMap, MovesOneSlot) {
  auto map = SlotMap::parse(Reply::of_array({range(0, 16383, "a", 1)}), kAsked);
  ASSERT_TRUE(map);
  map->assign(7, 7, {"b", 2});
  EXPECT_EQ(map->node_of(6)->host, "a");
  EXPECT_EQ(map->node_of(7)->host, "b");
  EXPECT_EQ(map->node_of(8)->host, "a");
}

TEST(Redirect, ReadsMovedAndAsk) {
  const auto moved = Redirect::parse("MOVED 3999 127.0.0.1:6381", kAsked);
  ASSERT_TRUE(moved);
  EXPECT_FALSE(moved->is_ask);
  EXPECT_EQ(moved->slot, 3999);
  EXPECT_EQ(moved->node, (Node{"127.0.0.1", 6381}));
  const auto ask = Redirect::parse("ASK 1 ::1:6381", kAsked);
  ASSERT_TRUE(ask);
  EXPECT_TRUE(ask->is_ask);
  EXPECT_EQ(ask->node.host, "::1");
}

TEST(Redirect, TakesTheAnsweringHostWhereNoneIsNamed) {
  EXPECT_EQ(Redirect::parse("MOVED 1 :7002", kAsked)->node, (Node{"10.0.0.9", 7002}));
}

TEST(Redirect, IsNotSeenInOtherErrors) {
  for (const char* text : {"ERR no", "MOVED", "MOVED 1", "MOVED x 1.1.1.1:1", "MOVED 16384 h:1",
                           "MOVED 1 host", "ASK 1 host:99999"}) {
    EXPECT_FALSE(Redirect::parse(text, kAsked)) << text;
  }
}

TEST(Node, ReadsBracketedAddresses) {
  EXPECT_EQ(*Node::parse("[::1]:6379"), (Node{"::1", 6379}));
  EXPECT_FALSE(Node::parse("localhost"));
  EXPECT_FALSE(Node::parse("localhost:"));
  EXPECT_FALSE(Node::parse("localhost:70000"));
}

}  // namespace
}  // namespace sluice::redis
