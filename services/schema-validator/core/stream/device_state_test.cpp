#include "core/stream/device_state.h"

#include "testing/fleet.h"

#include <cmath>
#include <map>

#include <gtest/gtest.h>

namespace sluice::validator {
namespace {

constexpr std::int64_t kNow = 1'800'000'000'000;

/// One device that says its number, its time and a temperature.
class DeviceStatesTest : public testing::Test {
 protected:
  SampleJudgement say(std::optional<std::uint64_t> sequence, std::optional<std::int64_t> time_ms,
                      double value = 21.5) {
    extracted.clear();
    extracted.samples.push_back(
        {.device_time_ms = time_ms, .sequence = sequence, .reading_count = 1});
    extracted.readings.push_back({.metric = "temp", .number = value});
    return judge();
  }
  SampleJudgement judge() {
    message.device_key = key;
    message.received_at_ms = now_ms;
    states.judge(message, extracted, judgement);
    return judgement.samples.at(0);
  }
  /// A number each 10 s.
  std::int64_t time_of(std::uint64_t sequence) const {
    return kNow + static_cast<std::int64_t>(sequence) * 10'000;
  }
  SampleJudgement say_live(std::uint64_t sequence) {
    now_ms = time_of(sequence);
    return say(sequence, time_of(sequence), 20 + static_cast<double>(sequence % 3));
  }
  SampleJudgement say_again(std::uint64_t sequence) {
    return say(sequence, time_of(sequence), 20 + static_cast<double>(sequence % 3));
  }

  StreamSettings settings{};
  SeenFilter filter{100'000};
  DeviceStates states{settings, filter};
  MessageContext message{};
  Extracted extracted{};
  Judgement judgement{};
  std::string key = "acme/boiler-1";
  std::int64_t now_ms = kNow;
};

TEST_F(DeviceStatesTest, PassesAHealthyDeviceWithoutARemark) {
  for (std::uint64_t i = 0; i < 1000; ++i) {
    const SampleJudgement sample = say_live(i);
    EXPECT_FALSE(sample.is_replay);
    EXPECT_EQ(sample.quality, 0U) << i;
    EXPECT_EQ(sample.event_time_ms, time_of(i));
  }
}

TEST_F(DeviceStatesTest, SuppressesAReplayedHourEntirely) {
  filter.saturate();
  for (std::uint64_t i = 0; i < 720; ++i) EXPECT_FALSE(say_live(i).is_replay);
  for (std::uint64_t i = 360; i < 720; ++i) EXPECT_TRUE(say_again(i).is_replay) << i;
}

TEST_F(DeviceStatesTest, RecognisesASampleThatIsReplayedInAnotherArray) {
  for (std::uint64_t i = 0; i < 10; ++i) say_live(i);
  extracted.clear();
  for (std::uint32_t i = 0; i < 3; ++i) {
    extracted.samples.push_back({.device_time_ms = time_of(8 + i),
                                 .sequence = 8 + i,
                                 .first_reading = i,
                                 .reading_count = 1});
    extracted.readings.push_back({.metric = "temp", .number = 20.0 + (8 + i) % 3});
  }
  judge();
  EXPECT_TRUE(judgement.samples[0].is_replay);
  EXPECT_TRUE(judgement.samples[1].is_replay);
  EXPECT_FALSE(judgement.samples[2].is_replay);
  EXPECT_EQ(judgement.replays, 2U);
}

TEST_F(DeviceStatesTest, PassesAnotherContentUnderASeenNumberWithARemark) {
  for (std::uint64_t i = 0; i < 10; ++i) say_live(i);
  filter.saturate();
  const SampleJudgement sample = say(5, time_of(5), 99);
  EXPECT_FALSE(sample.is_replay);
  EXPECT_EQ(sample.quality, kMaybeDuplicate);
}

TEST_F(DeviceStatesTest, NeverDropsWithoutATimeThatProvesIt) {
  filter.saturate();
  for (const std::optional<std::int64_t> time :
       {std::optional<std::int64_t>(), std::optional(kNow - 864'000'000)}) {
    for (int restart = 0; restart < 3; ++restart) {
      for (std::uint64_t i = 0; i < 10; ++i) EXPECT_FALSE(say(i, time).is_replay);
    }
  }
  EXPECT_TRUE((judgement.samples[0].quality & kMaybeDuplicate) != 0);
}

TEST_F(DeviceStatesTest, LetsMessagesWithoutANumberPassHoweverEqual) {
  for (int i = 0; i < 5; ++i) {
    const SampleJudgement sample = say(std::nullopt, kNow);
    EXPECT_FALSE(sample.is_replay);
    EXPECT_EQ(sample.quality & kMaybeDuplicate, 0U);
  }
  EXPECT_EQ(filter.inserted(), 0U);
}

TEST_F(DeviceStatesTest, UsesTheEnvelopesNumberForThoseWithoutOne) {
  message.sequence = 7;
  EXPECT_FALSE(say(std::nullopt, kNow).is_replay);
  EXPECT_TRUE(say(std::nullopt, kNow).is_replay);
  EXPECT_EQ(judgement.samples[0].sequence, 7U);
}

TEST_F(DeviceStatesTest, TakesOneNumberForSeveralSamplesAsTheMessages) {
  message.sequence = 7;
  const auto say_three = [&](double last) {
    extracted.clear();
    for (std::uint32_t i = 0; i < 3; ++i) {
      extracted.samples.push_back(
          {.device_time_ms = kNow + i, .first_reading = i, .reading_count = 1});
      extracted.readings.push_back({.metric = "temp", .number = i < 2 ? 1 : last});
    }
    judge();
    return judgement.replays;
  };
  EXPECT_EQ(say_three(1), 0U);
  EXPECT_EQ(say_three(1), 3U);
  EXPECT_EQ(say_three(2), 0U);
}

TEST_F(DeviceStatesTest, NeverTakesARedriveForAReplay) {
  say_live(1);
  message.is_redrive = true;
  const SampleJudgement sample = say_again(1);
  EXPECT_FALSE(sample.is_replay);
  EXPECT_EQ(sample.quality, 0U);
}

TEST_F(DeviceStatesTest, KeepsDevicesApart) {
  say_live(1);
  key = "acme/boiler-2";
  EXPECT_FALSE(say_again(1).is_replay);
  EXPECT_EQ(states.size(), 2U);
}

TEST_F(DeviceStatesTest, SaysMaybeWhereOnlyTheFilterRemembers) {
  for (std::uint64_t i = 0; i < 10; ++i) say_live(i);
  states.forget(key);
  const SampleJudgement sample = say_again(4);
  EXPECT_FALSE(sample.is_replay);
  EXPECT_EQ(sample.quality, kMaybeDuplicate);
}

TEST_F(DeviceStatesTest, DoesNotTakeAnEmptyFilterForAProof) {
  for (std::uint64_t i = 0; i < 100; ++i) say_live(i);
  const std::string bytes = states.serialise(key).value();
  SeenFilter cold(1'000);
  DeviceStates successor(settings, cold);
  ASSERT_TRUE(successor.restore(key, bytes).has_value());
  extracted.clear();
  extracted.samples.push_back({.device_time_ms = time_of(50), .sequence = 50, .reading_count = 1});
  extracted.readings.push_back({.metric = "temp", .number = 20.0 + 50 % 3});
  successor.judge({.device_key = key, .received_at_ms = now_ms}, extracted, judgement);
  EXPECT_TRUE(judgement.samples[0].is_replay);
}

TEST_F(DeviceStatesTest, FlagsAStepAndKeepsTheMessage) {
  for (std::uint64_t i = 0; i < 50; ++i)
    say(i, time_of(i) - time_of(50) + kNow, 25 + 0.1 * std::sin(i));
  say(51, kNow + 1, 5000);
  EXPECT_EQ(extracted.readings[0].quality, kOutlier);
  EXPECT_FALSE(judgement.rejection);
  EXPECT_EQ(judgement.outliers[static_cast<std::size_t>(OutlierKind::kSpread)], 1U);
}

TEST_F(DeviceStatesTest, QuarantinesAStepWhereThePolicySaysSo) {
  OutlierRules rules;
  rules.set("temp", {.action = OutlierAction::kQuarantine});
  message.outliers = &rules;
  for (std::uint64_t i = 0; i < 50; ++i)
    say(i, time_of(i) - time_of(50) + kNow, 25 + 0.1 * std::sin(i));
  say(51, kNow + 1, 5000);
  ASSERT_TRUE(judgement.rejection);
  EXPECT_EQ(judgement.rejection->reason, RejectReason::kOutlier);
  EXPECT_EQ(judgement.rejection->detail, "5000 of metric temp fails the check \"spread\"");
  EXPECT_EQ(judgement.rejected_reading, 0U);
}

TEST_F(DeviceStatesTest, PassesMetricsBeyondTheBoundUnjudged) {
  extracted.samples.push_back({.reading_count = 100});
  std::vector<std::string> names;
  for (int i = 0; i < 100; ++i) names.push_back("metric-" + std::to_string(i));
  for (std::uint32_t i = 0; i < 100; ++i)
    extracted.readings.push_back({.metric = names[i], .metric_id = i});
  judge();
  EXPECT_EQ(judgement.unjudged_readings, 100 - settings.max_metrics);
}

TEST_F(DeviceStatesTest, TellsTheOffsetOfADevicesClockFromItsLiveMessages) {
  for (int i = 0; i < 20; ++i) say(std::nullopt, now_ms += 1000, 1);
  message.buffered = true;
  say(std::nullopt, now_ms + 250'000, 1);
  EXPECT_EQ(judgement.clock_offset_ms, 0);
  EXPECT_EQ(states.clock_offset_ms(key), 0);
  EXPECT_TRUE(judgement.samples[0].buffered);
}

TEST_F(DeviceStatesTest, StandsTimesThatNoIngestWrites) {
  for (const std::int64_t received : {INT64_MIN, INT64_MAX, std::int64_t{-1}, kNow}) {
    now_ms = received;
    for (const std::int64_t time : {INT64_MIN, INT64_MAX, kNow}) {
      EXPECT_FALSE(say(1, time).is_replay) << received << ' ' << time;
    }
    states.forget(key);
  }
}

TEST_F(DeviceStatesTest, GivesThePlaceOfTheLongestSilentToANewDevice) {
  settings.max_devices = 100;
  DeviceStates few(settings, filter);
  extracted.samples.push_back({});
  for (int i = 0; i < 1000; ++i) {
    few.judge({.device_key = "a/constant", .received_at_ms = kNow}, extracted, judgement);
    const std::string name = "a/" + std::to_string(i);
    few.judge({.device_key = name, .received_at_ms = kNow}, extracted, judgement);
  }
  EXPECT_EQ(few.size(), 100U);
  EXPECT_EQ(few.evictions(), 901U);
  EXPECT_EQ(few.drain_dirty(901, [](auto, auto) {}), 901U) << "those that gave way, first";
  EXPECT_EQ(few.dirty(), 100U);
  EXPECT_TRUE(few.serialise("a/constant"));
  EXPECT_TRUE(few.serialise("a/901"));
  EXPECT_FALSE(few.serialise("a/900"));
  EXPECT_LE(few.memory_bytes(), 100 * DeviceStates::max_device_bytes(settings));
}

TEST_F(DeviceStatesTest, TellsEachChangedDeviceOnceInTheOrderOfTheChanges) {
  for (const char* name : {"c", "a", "b", "a"}) {
    key = name;
    say(std::nullopt, kNow);
  }
  std::vector<std::string> told;
  const auto note = [&](std::string_view one, std::string_view bytes) {
    EXPECT_EQ(states.serialise(one), bytes);
    told.emplace_back(one);
  };
  EXPECT_EQ(states.drain_dirty(2, note), 2U);
  EXPECT_EQ(states.drain_dirty(10, note), 1U);
  EXPECT_EQ(told, (std::vector<std::string>{"c", "a", "b"}));
  EXPECT_EQ(states.drain_dirty(10, note), 0U);
}

TEST_F(DeviceStatesTest, KeepsADeviceWithNumbersInTheMemoryThatTheReadmeSays) {
  settings.max_metrics = 8;
  EXPECT_LE(sizeof(SequenceWindow) + settings.window_size * 4, 2'200U);
  EXPECT_LE(DeviceStates::max_device_bytes(settings), 2'800U);
}

TEST(DeviceStatesFormat, GoesOnAfterARestoreAsIfNothingHadHappened) {
  SeenFilter filter(100'000);
  SeenFilter second_filter(100'000);
  const StreamSettings settings;
  auto states = std::make_unique<DeviceStates>(settings, filter);
  DeviceStates control(settings, second_filter);
  Fleet fleet(20, 4711);
  Extracted extracted;
  Judgement judgement;
  Judgement expected;
  for (int i = 0; i < 20'000; ++i) {
    if (i % 1'000 == 999) {  // handed over
      auto successor = std::make_unique<DeviceStates>(settings, filter);
      states->drain_dirty(SIZE_MAX, [&](std::string_view key, std::string_view bytes) {
        ASSERT_TRUE(successor->restore(key, bytes).has_value());
        EXPECT_EQ(successor->serialise(key), bytes);
      });
      states = std::move(successor);
    }
    const Fleet::Message message = fleet.next();
    const MessageContext context{.device_key = fleet.key(message.device),
                                 .received_at_ms = message.received_at_ms};
    fill(message, extracted);
    states->judge(context, extracted, judgement);
    fill(message, extracted);
    control.judge(context, extracted, expected);
    EXPECT_EQ(judgement.samples[0].event_time_ms, expected.samples[0].event_time_ms);
    EXPECT_EQ(judgement.samples[0].is_replay, expected.samples[0].is_replay);
    EXPECT_EQ(judgement.outliers, expected.outliers);
    EXPECT_EQ(judgement.clock_offset_ms, expected.clock_offset_ms);
    // Since when the state knows is not handed over: the successor proves less, and never more.
    EXPECT_EQ(expected.samples[0].quality & ~judgement.samples[0].quality, 0U);
  }
}

TEST(DeviceStatesFormat, RefusesEveryBeginningAndEveryOtherVersion) {
  SeenFilter filter(1'024);
  DeviceStates states({}, filter);
  Fleet fleet(1, 1);
  Extracted extracted;
  Judgement judgement;
  for (int i = 0; i < 100; ++i) {
    fill(fleet.next(), extracted);
    states.judge({.device_key = "k", .received_at_ms = kNow}, extracted, judgement);
  }
  std::string bytes = states.serialise("k").value();
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(states.restore("k", std::string_view(bytes).substr(0, size)).has_value()) << size;
  }
  EXPECT_FALSE(states.restore("k", bytes + '\0').has_value());
  EXPECT_TRUE(states.restore("k", bytes).has_value());
  bytes[0] = 2;
  const auto other = states.restore("k", bytes);
  ASSERT_FALSE(other.has_value());
  EXPECT_EQ(other.error().code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(states.size(), 0U);
}

TEST(DeviceStatesFormat, StandsBytesThatWereDamaged) {
  SeenFilter filter(1'024);
  DeviceStates states({}, filter);
  Fleet fleet(1, 1);
  Extracted extracted;
  Judgement judgement;
  for (int i = 0; i < 100; ++i) {
    fill(fleet.next(), extracted);
    states.judge({.device_key = "k", .received_at_ms = kNow}, extracted, judgement);
  }
  const std::string good = states.serialise("k").value();
  std::size_t accepted = 0;
  for (std::size_t i = 0; i < good.size(); ++i) {
    std::string bytes = good;
    bytes[i] = static_cast<char>(static_cast<unsigned char>(bytes[i]) ^ (1U << (i % 8)));
    if (!states.restore("k", bytes).has_value()) continue;
    ++accepted;
    EXPECT_EQ(states.serialise("k"), bytes);  // what is believed is what was said
    for (int j = 0; j < 3; ++j) {
      fill(fleet.next(), extracted);
      states.judge({.device_key = "k", .received_at_ms = kNow}, extracted, judgement);
    }
  }
  EXPECT_GT(accepted, 0U);
}

TEST(DeviceStatesFormat, IsDeterministic) {
  std::map<std::string, std::string> runs[2];
  for (auto& run : runs) {
    SeenFilter filter(1'024);
    DeviceStates states({}, filter);
    Fleet fleet(10, 99);
    Extracted extracted;
    Judgement judgement;
    for (int i = 0; i < 5'000; ++i) {
      const Fleet::Message message = fleet.next();
      fill(message, extracted);
      states.judge(
          {.device_key = fleet.key(message.device), .received_at_ms = message.received_at_ms},
          extracted, judgement);
    }
    states.drain_dirty(
        SIZE_MAX, [&](std::string_view key, std::string_view bytes) { run.emplace(key, bytes); });
  }
  EXPECT_EQ(runs[0], runs[1]);
}

// The long form, ten million messages, is schema_validator_stream_bench.
TEST(DeviceStatesFleet, LosesNoFreshMessageUnderAFilterThatAlwaysSaysMaybe) {
  SeenFilter filter(1'000'000, INT64_MAX / 2);
  filter.saturate();
  DeviceStates states({}, filter);
  Fleet fleet(50, 20'270'115);
  Extracted extracted;
  Judgement judgement;
  std::uint64_t lost = 0;
  std::uint64_t remarks = 0;
  std::uint64_t buffered = 0;
  for (int i = 0; i < 150'000; ++i) {
    const Fleet::Message message = fleet.next();
    fill(message, extracted);
    states.judge(
        {.device_key = fleet.key(message.device), .received_at_ms = message.received_at_ms},
        extracted, judgement);
    lost += judgement.replays;
    remarks += judgement.maybe_duplicates;
    buffered += message.buffered ? 1 : 0;
  }
  EXPECT_EQ(lost, 0U);
  EXPECT_GT(buffered, 1'000U);
  EXPECT_GT(remarks, 100U);     // the hard cases were there
  EXPECT_LT(remarks, 15'000U);  // and most of it was proven all the same
}

}  // namespace
}  // namespace sluice::validator
