#include "reconciler.h"

#include <string>

#include <gtest/gtest.h>

namespace sluice::sim {
namespace {

constexpr std::uint32_t kDevice = 1;

/// A fleet of two, of which one has published and everything went well, record by record; each test
/// plants one fault.
class ReconcilerTest : public ::testing::Test {
 protected:
  ReconcilerTest()
      : fleet({.seed = 3, .qos_0_share = 0, .bad_share = 0.3, .repeated_share = 0.2},
              {Profile::kMeter, Profile::kSensor}, 1'790'000'000'000),
        ledger(2),
        reconciler(fleet, ledger) {
    for (std::uint32_t sequence = 0; sequence < kMessages; ++sequence) {
      ledger.published[kDevice].insert(sequence);
      ledger.acknowledged[kDevice].insert(sequence);
    }
  }

  static std::string id(std::uint32_t sequence, char copy = 'a') {
    std::string text = std::to_string(sequence);
    text.resize(15, '.');
    return text + copy;
  }
  bool is_bad(std::uint32_t sequence) const {
    return fleet.defect(kDevice, sequence) != Defect::kNone;
  }
  std::uint32_t first(bool bad) const {
    std::uint32_t sequence = 0;
    while (is_bad(sequence) != bad) ++sequence;
    return sequence;
  }

  void raw(std::uint32_t sequence, char copy = 'a') {
    reconciler.on_raw(kDevice, sequence, id(sequence, copy));
  }
  void valid(std::uint32_t sequence, char copy = 'a') {
    reconciler.on_valid(id(sequence, copy), 0, fleet.device_time_ms(kDevice, sequence));
  }
  void verdict(std::uint32_t sequence) {
    if (is_bad(sequence)) {
      reconciler.on_rejected(id(sequence), "malformed_payload");
    } else {
      valid(sequence);
    }
  }
  /// Everything, but for one message's record or verdict.
  void all_raw(std::int64_t without = -1) {
    for (std::uint32_t sequence = 0; sequence < kMessages; ++sequence) {
      if (sequence != without) raw(sequence);
    }
  }
  void all_verdicts(std::int64_t without = -1) {
    reconciler.close_raw();
    for (std::uint32_t sequence = 0; sequence < kMessages; ++sequence) {
      if (sequence != without) verdict(sequence);
    }
  }

  static constexpr std::uint32_t kMessages = 200;
  Fleet fleet;
  Ledger ledger;
  Reconciler reconciler;
};

TEST_F(ReconcilerTest, IsContentWhenEverythingIsThere) {
  all_raw();
  all_verdicts();
  EXPECT_TRUE(reconciler.is_judged());
  const Completeness sum = reconciler.sum_up(true);
  EXPECT_TRUE(sum.is_complete());
  EXPECT_TRUE(sum.examples.empty());
  EXPECT_EQ(sum.in_raw, kMessages);
  EXPECT_EQ(sum.in_valid + sum.in_rejected.at("malformed_payload"), kMessages);
  EXPECT_EQ(sum.raw_duplicated, 0U);
}

TEST_F(ReconcilerTest, FindsOneAcknowledgedMessageThatRawDoesNotHave) {
  all_raw(17);
  const Completeness sum = reconciler.sum_up(false);
  EXPECT_EQ(sum.missing_in_raw, 1U);
  EXPECT_FALSE(sum.is_complete());
  ASSERT_EQ(sum.examples.size(), 1U);
  EXPECT_TRUE(sum.examples[0].contains("message 17 of device 1")) << sum.examples[0];
}

TEST_F(ReconcilerTest, WhatWasNotAcknowledgedMayBeMissing) {
  ledger.published[kDevice].insert(kMessages);
  all_raw();
  EXPECT_TRUE(reconciler.sum_up(false).is_complete());
}

TEST_F(ReconcilerTest, FindsAMessageBehindALaterOne) {
  raw(0);
  raw(2);
  raw(1);
  EXPECT_EQ(reconciler.sum_up(false).out_of_order, 1U);
}

TEST_F(ReconcilerTest, WhatWasSentAgainMayBeBehindWhatTheEarlierConnectionBrought) {
  ledger.resent[kDevice].insert(1);
  raw(0);
  raw(2);
  raw(1);
  EXPECT_EQ(reconciler.sum_up(false).out_of_order, 0U);
}

TEST_F(ReconcilerTest, OneRecordThatIsThereTwiceHasOneVerdict) {
  all_raw();
  raw(5);
  raw(6);
  all_verdicts();
  EXPECT_TRUE(reconciler.is_judged());
  const Completeness sum = reconciler.sum_up(true);
  EXPECT_TRUE(sum.is_complete());
  EXPECT_EQ(sum.raw_duplicated + sum.raw_repeated, 2U);
}

TEST_F(ReconcilerTest, ACopyIsNotOutOfOrder) {
  all_raw();
  raw(3, 'b');
  const Completeness sum = reconciler.sum_up(false);
  EXPECT_EQ(sum.out_of_order, 0U);
  EXPECT_EQ(sum.raw_duplicated + sum.raw_repeated, 1U);
}

TEST_F(ReconcilerTest, TellsCopiesThatTheDeviceMadeFromThoseOfItsReconnects) {
  std::uint32_t repeated = 0;
  while (!fleet.is_repeated(kDevice, repeated)) ++repeated;
  std::uint32_t single = 0;
  while (fleet.is_repeated(kDevice, single)) ++single;
  all_raw();
  raw(repeated, 'b');
  raw(single, 'b');
  EXPECT_EQ(reconciler.sum_up(false).raw_repeated, 1U);
  EXPECT_EQ(reconciler.sum_up(false).raw_duplicated, 1U);
  raw(repeated, 'c');
  EXPECT_EQ(reconciler.sum_up(false).raw_duplicated, 2U);
}

TEST_F(ReconcilerTest, FindsARecordThatNobodyPublished) {
  all_raw();
  raw(kMessages);
  reconciler.on_raw(kDevice, -1, id(0));
  EXPECT_EQ(reconciler.sum_up(false).foreign, 2U);
  EXPECT_FALSE(reconciler.sum_up(false).is_complete());
}

TEST_F(ReconcilerTest, FindsAMessageWithoutAVerdict) {
  all_raw();
  all_verdicts(40);
  EXPECT_FALSE(reconciler.is_judged());
  EXPECT_EQ(reconciler.sum_up(true).unjudged, 1U);
  EXPECT_FALSE(reconciler.sum_up(true).is_complete());
}

TEST_F(ReconcilerTest, FindsAMessageWithBothVerdicts) {
  all_raw();
  all_verdicts();
  const std::uint32_t bad = first(true);
  valid(bad);
  EXPECT_EQ(reconciler.sum_up(true).contradictory, 1U);
}

TEST_F(ReconcilerTest, FindsABadMessageThatWasTakenAndAGoodOneThatWasNot) {
  all_raw();
  const std::uint32_t bad = first(true);
  const std::uint32_t good = first(false);
  reconciler.close_raw();
  for (std::uint32_t sequence = 0; sequence < kMessages; ++sequence) {
    if (sequence != bad && sequence != good) verdict(sequence);
  }
  valid(bad);
  reconciler.on_rejected(id(good), "schema_violation");
  EXPECT_EQ(reconciler.sum_up(true).misjudged, 2U);
}

TEST_F(ReconcilerTest, FindsAValidMessageBehindALaterOne) {
  all_raw();
  reconciler.close_raw();
  const std::uint32_t one = first(false);
  std::uint32_t later = one + 1;
  while (is_bad(later)) ++later;
  valid(later);
  valid(one);
  valid(one);  // once more: no further offence
  EXPECT_EQ(reconciler.sum_up(true).valid_out_of_order, 1U);
  EXPECT_FALSE(reconciler.sum_up(true).is_complete());
}

TEST_F(ReconcilerTest, FindsARefusedMessageInRaw) {
  std::uint32_t single = 0;
  while (fleet.is_repeated(kDevice, single)) ++single;
  ledger.refused[kDevice].insert(single);
  EXPECT_EQ(reconciler.sum_up(false).refused_in_raw, 0U);
  all_raw();
  EXPECT_EQ(reconciler.sum_up(false).refused, 1U);
  EXPECT_EQ(reconciler.sum_up(false).refused_in_raw, 1U);
  EXPECT_FALSE(reconciler.sum_up(false).is_complete());
}

TEST_F(ReconcilerTest, ACopyMayHaveAVerdictOrBeLeftOut) {
  const std::uint32_t good = first(false);
  all_raw();
  raw(good, 'b');
  raw(good, 'c');
  all_verdicts();
  valid(good, 'c');
  const Completeness sum = reconciler.sum_up(true);
  EXPECT_TRUE(sum.is_complete());
  EXPECT_EQ(sum.replays_left_out, 1U);
}

TEST_F(ReconcilerTest, AVerdictThatComesAgainIsCounted) {
  all_raw();
  all_verdicts();
  valid(first(false));
  const Completeness sum = reconciler.sum_up(true);
  EXPECT_TRUE(sum.is_complete());
  EXPECT_EQ(sum.verdicts_repeated, 1U);
}

TEST_F(ReconcilerTest, KnowsTheTimeThatTheValidatorDecided) {
  const std::uint32_t good = first(false);
  all_raw();
  reconciler.close_raw();
  reconciler.on_valid(id(good), 0, 1'790'000'000'123);
  EXPECT_EQ(reconciler.event_time_ms(kDevice, good), 1'790'000'000'123);
  EXPECT_EQ(reconciler.event_time_ms(kDevice, good + 1), fleet.device_time_ms(kDevice, good + 1));
}

}  // namespace
}  // namespace sluice::sim
