#include "core/stream/sequence_window.h"

#include <gtest/gtest.h>

namespace sluice::validator {
namespace {

constexpr auto kFresh = WindowVerdict::kFresh;
constexpr auto kSeen = WindowVerdict::kSeen;
constexpr auto kUnknown = WindowVerdict::kUnknown;

class WindowTest : public testing::Test {
 protected:
  /// A message as a healthy device numbers it: its time goes with its number.
  WindowVerdict take(std::uint64_t sequence) { return take(sequence, time_of(sequence)); }
  WindowVerdict take(std::uint64_t sequence, std::optional<std::int64_t> time) {
    return window.take(sequence, time,
                       sequence * 1'000'003 + static_cast<std::uint64_t>(time.value_or(7)));
  }
  static std::int64_t time_of(std::uint64_t sequence) {
    return static_cast<std::int64_t>(sequence) * 10'000;
  }

  SequenceWindow window{512};
};

TEST_F(WindowTest, KnowsNothingOfTheVeryFirst) { EXPECT_EQ(take(100), kUnknown); }

TEST_F(WindowTest, FindsRisingNumbersFreshAndTheirCopiesSeen) {
  take(100);
  for (std::uint64_t i = 101; i < 460; ++i) EXPECT_EQ(take(i), kFresh) << i;
  for (std::uint64_t i = 100; i < 460; ++i) EXPECT_EQ(take(i), kSeen) << i;
}

TEST_F(WindowTest, FindsAnOvertakenMessageFreshAndItsCopySeen) {
  take(100);
  take(103);
  EXPECT_EQ(take(101), kFresh);
  EXPECT_EQ(take(102), kFresh);
  EXPECT_EQ(take(101), kSeen);
}

TEST_F(WindowTest, CannotTellWhatWasBeforeItBegan) {
  take(100);
  EXPECT_EQ(take(90), kUnknown);
  EXPECT_EQ(take(90), kSeen);
}

TEST_F(WindowTest, CannotTellWhatIsOutOfReach) {
  take(100);
  take(100 + 512);
  EXPECT_EQ(take(100), kUnknown);
}

TEST_F(WindowTest, ReachesExactlyItsSize) {
  take(100);
  take(101);
  take(101 + 511);
  EXPECT_EQ(take(101), kSeen);
}

TEST_F(WindowTest, BeginsAnEpochWhenTheNumberGoesBackAndTimeGoesOn) {
  for (std::uint64_t i = 100; i < 200; ++i) take(i);
  const std::int64_t later = time_of(200);
  EXPECT_EQ(take(0, later), kFresh);
  EXPECT_EQ(window.epochs(), 1U);
  for (std::uint64_t i = 1; i < 250; ++i) {
    EXPECT_EQ(take(i, later + time_of(i)), kFresh) << i;  // over the numbers of the old epoch
  }
}

TEST_F(WindowTest, BeginsAnEpochForARestartWithinReach) {
  for (std::uint64_t i = 0; i < 20; ++i) take(i);
  EXPECT_EQ(take(0, time_of(21)), kFresh);
  EXPECT_EQ(take(1, time_of(22)), kFresh);
  EXPECT_EQ(window.epochs(), 1U);
}

TEST_F(WindowTest, NeverTakesAStoredMessageOfTheLastEpochForACopy) {
  for (std::uint64_t i = 1000; i < 1010; ++i) take(i);
  for (std::uint64_t i = 0; i < 300; ++i) take(i, time_of(1010 + i));
  for (std::uint64_t i = 0; i < 300; ++i) {
    EXPECT_NE(take(i, time_of(500) + static_cast<std::int64_t>(i)), kSeen) << i;
  }
  // And it did not cost the current epoch's knowledge.
  EXPECT_EQ(take(299, time_of(1010 + 299)), kSeen);
}

TEST_F(WindowTest, DoesNotFollowAFarNumberOfAnEarlierTime) {
  take(5000);
  take(0, time_of(6000));
  take(1, time_of(6001));
  EXPECT_EQ(take(5001), kUnknown);
  EXPECT_EQ(window.highest(), 1U);
  EXPECT_EQ(take(1, time_of(6001)), kSeen);
}

TEST_F(WindowTest, StandsTheEndsOfTheRange) {
  EXPECT_EQ(take(UINT64_MAX, 5), kUnknown);
  EXPECT_EQ(take(0, 6), kFresh);
  EXPECT_EQ(take(UINT64_MAX, 7), kFresh);
  EXPECT_EQ(take(UINT64_MAX, 7), kSeen);
  EXPECT_EQ(take(UINT64_MAX - 1, 6), kFresh);
  EXPECT_EQ(take(UINT64_MAX - 1, 6), kSeen);
}

TEST_F(WindowTest, WithoutTimesARestartIsUnknownOnceAndThenFollowed) {
  take(1000, std::nullopt);
  EXPECT_EQ(take(1001, std::nullopt), kFresh);
  EXPECT_EQ(take(0, std::nullopt), kUnknown);
  EXPECT_EQ(take(1, std::nullopt), kFresh);
}

TEST_F(WindowTest, ComesBackFromItsBytes) {
  for (std::uint64_t i = 700; i < 1500; i += 3) take(i);
  std::string bytes;
  window.serialise(bytes);
  SequenceWindow other(512);
  std::string_view rest = bytes;
  ASSERT_TRUE(other.restore(rest));
  EXPECT_TRUE(rest.empty());
  std::string again;
  other.serialise(again);
  EXPECT_EQ(again, bytes);
}

TEST_F(WindowTest, KeepsTheNewestWhenItsSizeIsChanged) {
  for (std::uint64_t i = 700; i < 1300; ++i) take(i);
  std::string bytes;
  window.serialise(bytes);
  for (const std::size_t size : {64U, 1024U}) {
    window = SequenceWindow(size);
    std::string_view rest = bytes;
    ASSERT_TRUE(window.restore(rest));
    EXPECT_EQ(take(1299), kSeen);
    EXPECT_EQ(take(1299 - 63), kSeen);
    EXPECT_EQ(take(1300), kFresh);
  }
}

TEST_F(WindowTest, RefusesEveryBeginningOfItsBytes) {
  for (std::uint64_t i = 700; i < 800; ++i) take(i);
  std::string bytes;
  window.serialise(bytes);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    std::string_view rest = std::string_view(bytes).substr(0, size);
    EXPECT_FALSE(window.restore(rest)) << size;
  }
}

}  // namespace
}  // namespace sluice::validator
