#include "core/strangers.h"

#include <cstdint>
#include <optional>

#include <sluice/testing/sim_clock.h>

#include <gtest/gtest.h>

namespace sluice::front {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kHome = 0x0A00'0001;
constexpr std::uint64_t kElsewhere = 0x0A00'0002;

class StrangersTest : public ::testing::Test {
 protected:
  Strangers::Stranger& come(std::uint64_t group) {
    return *strangers.add({.fd = next_fd++, .group = group}, clock.mono());
  }
  Strangers::Stranger& come_and_speak(std::uint64_t group) {
    Strangers::Stranger& stranger = come(group);
    strangers.heard(stranger, clock.mono());
    return stranger;
  }
  /// As many groups, of one each.
  void crowd_from_everywhere(std::uint64_t count) {
    for (std::uint64_t group = 1; group <= count; ++group) come_and_speak(group << 32);
  }
  std::optional<int> who_gives_way(std::uint64_t group) {
    const auto* const loser =
        strangers.who_gives_way(group, clock.mono(), [this](const Strangers::Stranger& one) {
          ++questions;
          return one.fd == heard_by_kernel ? Strangers::kPatience - 1ms : Strangers::kPatience;
        });
    return loser == nullptr ? std::nullopt : std::optional(loser->fd);
  }

  testing::SimClock clock;
  Strangers strangers;
  int next_fd = 0;
  int heard_by_kernel = -1;
  int questions = 0;  // to the kernel
};

TEST_F(StrangersTest, NobodyGivesWayWhileTheySpeak) {
  EXPECT_EQ(who_gives_way(kHome), std::nullopt);
  crowd_from_everywhere(100);
  clock.advance(1s);
  EXPECT_EQ(who_gives_way(kElsewhere), std::nullopt);
}

TEST_F(StrangersTest, WhoSaidNothingGivesWayFirst) {
  crowd_from_everywhere(20);
  const int silent = come(kHome).fd;
  come(kElsewhere);
  EXPECT_EQ(who_gives_way(kHome), std::nullopt) << "its first bytes may be on their way";
  clock.advance(Strangers::kFirstWord);
  EXPECT_EQ(who_gives_way(kHome), silent);
}

TEST_F(StrangersTest, ThenWhoWasNotHeardForLongest) {
  Strangers::Stranger& first = come_and_speak(1);
  const int second = come_and_speak(2).fd;
  crowd_from_everywhere(20);
  clock.advance(Strangers::kPatience - 1ms);
  strangers.heard(first, clock.mono());
  EXPECT_EQ(who_gives_way(kHome), std::nullopt);
  clock.advance(1ms);
  EXPECT_EQ(who_gives_way(kHome), second);
}

TEST_F(StrangersTest, WhomTheKernelHeardIsNotQuiet) {
  heard_by_kernel = come_and_speak(1).fd;
  EXPECT_EQ(who_gives_way(kHome), std::nullopt);
  EXPECT_EQ(questions, 0) << "a system call each";
  clock.advance(Strangers::kPatience);
  EXPECT_EQ(who_gives_way(kHome), std::nullopt);
  EXPECT_EQ(who_gives_way(kHome), std::nullopt);
  EXPECT_EQ(questions, 1);
  clock.advance(Strangers::kPatience);
  const int quiet = come_and_speak(2).fd;
  clock.advance(Strangers::kPatience);
  EXPECT_EQ(who_gives_way(kHome), quiet);
}

TEST_F(StrangersTest, ACrowdGivesWayToOthersEvenIfItSpeaks) {
  crowd_from_everywhere(75);
  const int oldest = come_and_speak(kHome).fd;
  for (int i = 0; i < 24; ++i) come_and_speak(kHome);
  EXPECT_EQ(who_gives_way(kElsewhere), oldest);
  EXPECT_EQ(who_gives_way(kHome), std::nullopt) << "one of its own would undo what is begun";
  crowd_from_everywhere(1);
  EXPECT_EQ(who_gives_way(kElsewhere), std::nullopt) << "less than a quarter is no crowd";
}

TEST_F(StrangersTest, AreCountedWhereTheyComeFrom) {
  Strangers::Stranger& behind_balancer = come_and_speak(kElsewhere);
  for (int i = 0; i < 10; ++i) come_and_speak(kElsewhere);
  strangers.move_to(behind_balancer, "192.0.2.1", kHome);
  EXPECT_EQ(behind_balancer.address, "192.0.2.1");
  EXPECT_EQ(who_gives_way(kHome), 1);
}

TEST_F(StrangersTest, WhoLeavesIsForgotten) {
  Strangers::Stranger& silent = come(kHome);
  Strangers::Stranger& speaker = come_and_speak(kHome);
  const auto moved = strangers.remove(speaker);
  EXPECT_EQ(strangers.size(), 1U);
  strangers.remove(silent);
  EXPECT_EQ(strangers.size(), 0U);
  clock.advance(1min);
  EXPECT_EQ(who_gives_way(kElsewhere), std::nullopt);
  strangers.add(moved, clock.mono());  // to another loop
  EXPECT_EQ(who_gives_way(kHome), std::nullopt);
  clock.advance(Strangers::kPatience);
  EXPECT_EQ(who_gives_way(kHome), moved.fd);
}

}  // namespace
}  // namespace sluice::front
