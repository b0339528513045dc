// Devices whose clock nobody can believe. What they say anew may be, byte by byte, what they said
// before their last restart, so nothing of it may be taken for a copy: see README.md.
#include "core/stream/device_state.h"

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <sluice/base/planted_bug.h>
#include <sluice/testing/sim_random.h>

#include <gtest/gtest.h>

namespace sluice::validator {
namespace {

constexpr std::int64_t kNow = 1'800'000'000'000;
constexpr std::int64_t kPeriodMs = 10'000;
constexpr std::int64_t kYear2000 = 946'684'800'000;

enum class Clocks : std::uint8_t {
  kNone,     // tells no time
  kZero,     // always 0
  kPowerOn,  // counts from a date of the factory's whenever it is switched on
  kSaved,    // goes on, with its counter, where it was last saved
};
constexpr std::array kClocks{Clocks::kNone, Clocks::kZero, Clocks::kPowerOn, Clocks::kSaved};

struct Said {
  std::uint64_t sequence = 0;
  std::optional<std::int64_t> time_ms{};
  double value = 0;
};

/// One device that says a new thing each period, restarts whenever it likes and may store what it
/// says for a while, over restarts as well.
class DeadClockDevice {
 public:
  DeadClockDevice(Clocks clock, Random& random) : clock_(clock), random_(random) {}

  /// What is delivered in this period, all of it said once.
  std::vector<Said> next() {
    if (random_.below(20) == 0) restart();
    if (random_.below(50) == 0) is_offline_ = !is_offline_;
    if (random_.below(40) == 0) saved_ = sequence_;
    stored_.push_back(say());
    std::vector<Said> out;
    if (is_offline_) return out;
    // The newest first now and then, as devices do that empty a queue beside their live messages.
    if (random_.below(4) == 0) {
      out.push_back(stored_.back());
      stored_.pop_back();
    }
    out.insert(out.end(), stored_.begin(), stored_.end());
    stored_.clear();
    return out;
  }

 private:
  void restart() { sequence_ = clock_ == Clocks::kSaved ? saved_ : 0; }
  Said say() {
    Said said{.sequence = sequence_++, .value = 20.0 + static_cast<double>(random_.below(3))};
    if (clock_ == Clocks::kZero) said.time_ms = 0;
    // Clock and counter live and die together, so one follows from the other.
    if (clock_ == Clocks::kPowerOn || clock_ == Clocks::kSaved) {
      said.time_ms = kYear2000 + static_cast<std::int64_t>(said.sequence) * kPeriodMs;
    }
    return said;
  }

  const Clocks clock_;
  Random& random_;
  std::uint64_t sequence_ = 0;
  std::uint64_t saved_ = 0;
  bool is_offline_ = false;
  std::deque<Said> stored_{};
};

class DeadClockTest : public ::testing::Test {
 protected:
  DeadClockTest() { filter.saturate(); }

  void judge(const std::string& key, const Said& said, std::int64_t received_at_ms) {
    extracted.clear();
    extracted.samples.push_back(
        {.device_time_ms = said.time_ms, .sequence = said.sequence, .reading_count = 1});
    extracted.readings.push_back({.metric = "temp", .number = said.value});
    states->judge({.device_key = key, .received_at_ms = received_at_ms}, extracted, judgement);
  }
  /// The partition goes to another owner.
  void hand_over() {
    auto next = std::make_unique<DeviceStates>(StreamSettings{}, filter);
    for (const std::string& key : keys) {
      const auto bytes = states->serialise(key);
      if (!bytes) continue;
      ASSERT_TRUE(next->restore(key, *bytes).has_value());
    }
    states = std::move(next);
  }

  struct Count {
    std::uint64_t said = 0;
    std::uint64_t dropped = 0;
  };
  /// Four hours of forty devices of a kind, every message of which is new.
  Count run(Clocks clock) {
    std::vector<DeadClockDevice> devices;
    for (int i = 0; i < 40; ++i) {
      devices.emplace_back(clock, random);
      keys.push_back("acme/dead-" + std::to_string(i));
    }
    Count count;
    for (std::int64_t now = kNow; now < kNow + 1'500 * kPeriodMs; now += kPeriodMs) {
      if (random.below(200) == 0) hand_over();
      for (std::size_t i = 0; i < devices.size(); ++i) {
        for (const Said& said : devices[i].next()) {
          judge(keys[i], said, now);
          ++count.said;
          count.dropped += judgement.replays;
        }
      }
    }
    return count;
  }

  sluice::testing::SimRandom random{20'270'121};
  SeenFilter filter{100'000, INT64_MAX / 2};
  std::unique_ptr<DeviceStates> states = std::make_unique<DeviceStates>(StreamSettings{}, filter);
  std::vector<std::string> keys;
  Extracted extracted{};
  Judgement judgement{};
};

class DeadClocks : public DeadClockTest, public ::testing::WithParamInterface<Clocks> {};

TEST_P(DeadClocks, LoseNothingHoweverTheyRestart) {
  const Count count = run(GetParam());
  EXPECT_GT(count.said, 50'000U);
  EXPECT_EQ(count.dropped, 0U);
}

TEST_P(DeadClocks, WouldLoseMessagesIfEqualTimesWereBelieved) {
  const ScopedPlantedBug bug("validator_believes_any_time");
  const Count count = run(GetParam());
  EXPECT_GT(count.dropped, count.said / 100) << "of " << count.said;
}

TEST_P(DeadClocks, KeepWhatIsSentAgainWithARemark) {
  DeadClockDevice device(GetParam(), random);
  filter = SeenFilter(100'000);  // an honest one: it has the copy
  std::int64_t now = kNow;
  Said said;
  for (int i = 0; i < 50; now += kPeriodMs) {
    for (const Said& one : device.next()) {
      judge("acme/dead", said = one, now);
      ++i;
    }
  }
  judge("acme/dead", said, now + 3'000);
  EXPECT_FALSE(judgement.samples[0].is_replay);
  EXPECT_EQ(judgement.samples[0].quality & kMaybeDuplicate, kMaybeDuplicate);
}

INSTANTIATE_TEST_SUITE_P(AllKinds, DeadClocks, ::testing::ValuesIn(kClocks));

}  // namespace
}  // namespace sluice::validator
