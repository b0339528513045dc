#include "core/stream/device_state.h"

#include <string>
#include <vector>

#include <sluice/base/planted_bug.h>

#include <gtest/gtest.h>

namespace sluice::validator {
namespace {

constexpr std::int64_t kNow = 1'800'000'000'000;

/// Two devices' room, and more devices than that.
class DeviceEvictionTest : public ::testing::Test {
 protected:
  SampleJudgement say(const std::string& device, std::uint64_t sequence, std::int64_t at_ms) {
    extracted.clear();
    extracted.samples.push_back(
        {.device_time_ms = at_ms, .sequence = sequence, .reading_count = 1});
    extracted.readings.push_back({.metric = "temp", .number = 21.5});
    states.judge({.device_key = device, .received_at_ms = at_ms}, extracted, judgement);
    return judgement.samples.at(0);
  }
  std::vector<std::string> drained(std::size_t max = 100) {
    std::vector<std::string> keys;
    states.drain_dirty(max, [&](std::string_view key, std::string_view bytes) {
      keys.emplace_back(key);
      EXPECT_FALSE(bytes.empty());
    });
    return keys;
  }
  std::vector<std::string> gone(std::size_t max = 100) {
    std::vector<std::string> keys;
    states.drain_gone(max, [&](std::string_view key) { keys.emplace_back(key); });
    return keys;
  }
  std::vector<std::string> forgotten(std::int64_t since_ms, std::size_t max = 100) {
    std::vector<std::string> keys;
    states.forget_silent(since_ms, max, [&](std::string_view key) { keys.emplace_back(key); });
    return keys;
  }

  static StreamSettings small() {
    StreamSettings settings;
    settings.max_devices = 2;
    return settings;
  }
  SeenFilter filter{100'000};
  DeviceStates states{small(), filter};
  Extracted extracted{};
  Judgement judgement{};
};

TEST_F(DeviceEvictionTest, AStateThatGivesWayBeforeItWasToldIsTold) {
  say("a", 1, kNow);
  say("b", 1, kNow);
  say("c", 1, kNow);
  EXPECT_EQ(states.size(), 2U);
  EXPECT_EQ(states.evicted(), 1U);
  EXPECT_EQ(drained(), (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ(states.dirty(), 0U);
}

TEST_F(DeviceEvictionTest, OfAStateThatWasToldAndGaveWayIsToldThatItIsGone) {
  say("a", 1, kNow);
  drained();
  say("b", 1, kNow);
  EXPECT_TRUE(gone().empty());
  say("c", 1, kNow);
  EXPECT_FALSE(states.serialise("a").has_value());
  EXPECT_EQ(gone(), std::vector<std::string>{"a"});
  EXPECT_TRUE(gone().empty()) << "once";
  EXPECT_EQ(states.evicted(), 0U);
}

TEST_F(DeviceEvictionTest, AStateThatIsToldAfterItGaveWayIsGoneAtTheNextTime) {
  say("a", 1, kNow);
  say("b", 1, kNow);
  say("c", 1, kNow);
  EXPECT_TRUE(gone().empty());
  drained();
  EXPECT_EQ(gone(), std::vector<std::string>{"a"});
}

TEST_F(DeviceEvictionTest, ADeviceThatIsHereAgainIsNotGone) {
  say("a", 1, kNow);
  drained();
  say("b", 1, kNow);
  say("c", 1, kNow);
  say("a", 2, kNow);
  EXPECT_EQ(drained(), (std::vector<std::string>{"b", "c", "a"}));
  EXPECT_EQ(gone(), std::vector<std::string>{"b"});
}

TEST_F(DeviceEvictionTest, ReadingBackMoreDevicesThanHaveRoomTellsTheRestAsGone) {
  say("a", 1, kNow);
  const std::string bytes = states.serialise("a").value();
  states.forget("a");
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(states.restore(std::to_string(i), bytes).has_value());
  EXPECT_EQ(states.evicted(), 2U) << "bounded by the room for devices";
  EXPECT_EQ(gone(), (std::vector<std::string>{"0", "1"}));
  ASSERT_TRUE(states.restore("a", bytes).has_value());
  ASSERT_TRUE(states.restore("8", bytes).has_value());
  EXPECT_EQ(gone(), std::vector<std::string>{"9"}) << "8 gave way and came back";
}

TEST_F(DeviceEvictionTest, ADeviceThatComesBackBeforeItsStateWasToldGoesOnWithIt) {
  for (std::uint64_t i = 0; i < 50; ++i) say("a", i, kNow + static_cast<std::int64_t>(i) * 1000);
  say("b", 1, kNow);
  say("c", 1, kNow);
  EXPECT_TRUE(say("a", 20, kNow + 20'000).is_replay) << "its window went with it";
  EXPECT_EQ(states.evicted(), 1U) << "that of the one which gave way to it";
}

TEST_F(DeviceEvictionTest, APlantedLossOfSuchAStateIsSeen) {
  const ScopedPlantedBug bug("validator_evicts_unsaved_states");
  say("a", 1, kNow);
  say("b", 1, kNow);
  say("c", 1, kNow);
  EXPECT_EQ(drained(), (std::vector<std::string>{"b", "c"}));
}

TEST_F(DeviceEvictionTest, TheLongSilentAreForgottenAndTold) {
  say("a", 1, kNow);
  say("b", 1, kNow + 5'000);
  EXPECT_TRUE(forgotten(kNow).empty());
  EXPECT_EQ(forgotten(kNow + 1), std::vector<std::string>{"a"});
  EXPECT_EQ(states.size(), 1U);
  EXPECT_EQ(drained(), std::vector<std::string>{"b"});
  say("b", 2, kNow + 60'000);
  EXPECT_TRUE(forgotten(kNow + 50'000).empty()) << "heard of again";
}

TEST_F(DeviceEvictionTest, ARestoredDeviceIsSilentSinceItsStateSays) {
  say("a", 1, kNow);
  const std::string state = states.serialise("a").value();
  states.forget("a");
  ASSERT_TRUE(states.restore("a", state, kNow - 1'000).has_value());
  ASSERT_TRUE(states.restore("b", state).has_value());
  EXPECT_EQ(forgotten(kNow), std::vector<std::string>{"a"});
  EXPECT_TRUE(forgotten(INT64_MAX - 1).empty()) << "nobody knows since when b is silent";
}

TEST_F(DeviceEvictionTest, ForgetsNoMoreAtOnceThanIsAskedFor) {
  say("a", 1, kNow);
  say("b", 1, kNow);
  EXPECT_EQ(forgotten(kNow + 1, 1).size(), 1U);
  EXPECT_EQ(forgotten(kNow + 1, 1).size(), 1U);
  EXPECT_EQ(states.size(), 0U);
}

}  // namespace
}  // namespace sluice::validator
