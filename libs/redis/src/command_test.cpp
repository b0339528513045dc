#include <sluice/redis/command.h>

#include <string>

#include <gtest/gtest.h>

namespace sluice::redis {
namespace {

TEST(Slot, FollowsTheClusterSpecification) {
  EXPECT_EQ(slot_of("123456789"), 12739);  // the check value of CRC-16/XMODEM, 0x31C3
  EXPECT_EQ(slot_of(""), 0);
  EXPECT_EQ(slot_of("foo"), 12182);
}

TEST(Slot, HashesOnlyTheTagOfAKeyThatHasOne) {
  EXPECT_EQ(slot_of("{user1000}.following"), slot_of("{user1000}.followers"));
  EXPECT_EQ(slot_of("{user1000}.following"), slot_of("user1000"));
  EXPECT_EQ(slot_of("foo{{bar}}zap"), slot_of("{bar"));
  EXPECT_EQ(slot_of("foo{bar}{zap}"), slot_of("bar"));
}

TEST(Slot, IgnoresAnEmptyOrUnfinishedTag) {
  EXPECT_NE(slot_of("foo{}{bar}"), slot_of("bar"));
  EXPECT_NE(slot_of("foo{bar"), slot_of("bar"));
}

TEST(Command, WritesAnyBytes) {
  const std::string value("a\0\r\nb", 5);
  const Command command = Command::on_key("k", {"SET", "k", value});
  EXPECT_EQ(command.wire(), std::string("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\na\0\r\nb\r\n", 31));
  EXPECT_EQ(command.slot(), slot_of("k"));
}

TEST(Command, WithoutAKeyHasNoSlot) {
  EXPECT_EQ(Command::anywhere({"PING"}).slot(), -1);
  EXPECT_EQ(Command::anywhere({"PING"}).wire(), "*1\r\n$4\r\nPING\r\n");
}

}  // namespace
}  // namespace sluice::redis
