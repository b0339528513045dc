#include "fleet.h"

#include <set>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace sluice::sim {
namespace {

using Json = nlohmann::json;
using ::testing::Each;

constexpr std::int64_t kStart = 1'790'000'000'000;

Fleet make_fleet(FleetOptions options) {
  std::vector<Profile> profiles;
  for (std::size_t i = 0; i < 300; ++i) profiles.push_back(static_cast<Profile>(i % kProfiles));
  return Fleet(options, std::move(profiles), kStart);
}

TEST(Fleet, SaysTheSameForTheSameSeedAndAnotherThingForAnother) {
  const Fleet one = make_fleet({.seed = 1});
  const Fleet same = make_fleet({.seed = 1});
  const Fleet other = make_fleet({.seed = 2});
  std::string a;
  std::string b;
  std::string c;
  std::uint32_t different = 0;
  for (std::uint32_t device = 0; device < 30; ++device) {
    one.write_payload(device, 7, false, a);
    same.write_payload(device, 7, false, b);
    other.write_payload(device, 7, false, c);
    EXPECT_EQ(a, b);
    different += a != c ? 1U : 0U;
  }
  EXPECT_EQ(different, 30U);
}

TEST(Fleet, WhatIsWrittenReadsAsTheExpectedValues) {
  const Fleet fleet = make_fleet({.bad_share = 0});
  std::string payload;
  for (std::uint32_t device = 0; device < 30; ++device) {
    for (std::uint32_t sequence = 0; sequence < 200; ++sequence) {
      fleet.write_payload(device, sequence, sequence % 2 == 1, payload);
      const Json read = Json::parse(payload);
      EXPECT_EQ(read["seq"], sequence);
      EXPECT_EQ(read["ts"], fleet.device_time_ms(device, sequence));
      EXPECT_EQ(read.contains("buffered"), sequence % 2 == 1);
      ASSERT_EQ(read["metrics"].size(), kMetrics);
      for (const Metric& metric : fleet.metrics(device, sequence)) {
        const Json& value = read["metrics"][std::string(metric.name)];
        EXPECT_EQ(value.is_boolean(), metric.kind == Metric::Kind::kFlag);
        EXPECT_EQ(value.is_number_float(), metric.kind == Metric::Kind::kDecimal);
        EXPECT_EQ(value.is_boolean() ? value.get<bool>() : value.get<double>(), metric.value());
      }
    }
  }
}

TEST(Fleet, EveryMessageOfADeviceHasATimeOfItsOwnAndTheyRise) {
  const Fleet fleet = make_fleet({.rate = 3});
  for (std::uint32_t device = 0; device < 30; ++device) {
    for (std::uint32_t sequence = 1; sequence < 500; ++sequence) {
      ASSERT_GT(fleet.device_time_ms(device, sequence), fleet.device_time_ms(device, sequence - 1));
    }
  }
}

TEST(Fleet, MessagesComeAtTheirRate) {
  const Fleet fleet = make_fleet({.rate = 2});
  for (std::uint32_t device = 0; device < 30; ++device) {
    const auto after_a_thousand = fleet.due(device, 1000);
    EXPECT_GE(after_a_thousand, std::chrono::seconds(499));
    EXPECT_LE(after_a_thousand, std::chrono::seconds(504));
  }
}

TEST(Fleet, SharesAreKept) {
  const Fleet fleet = make_fleet(
      {.qos_0_share = 0.2, .qos_2_share = 0.3, .bad_share = 0.1, .repeated_share = 0.05});
  std::array<int, 3> qos{};
  int bad = 0;
  int repeated = 0;
  for (std::uint32_t device = 0; device < 100; ++device) {
    for (std::uint32_t sequence = 0; sequence < 100; ++sequence) {
      ++qos[static_cast<std::size_t>(fleet.qos(device, sequence))];
      bad += fleet.defect(device, sequence) != Defect::kNone ? 1 : 0;
      repeated += fleet.is_repeated(device, sequence) ? 1 : 0;
    }
  }
  EXPECT_NEAR(qos[0], 2000, 200);
  EXPECT_NEAR(qos[2], 3000, 200);
  EXPECT_NEAR(bad, 1000, 150);
  EXPECT_NEAR(repeated, 500, 100);
}

TEST(Fleet, DefectsOfAllKindsKeepTheirSequenceNumber) {
  const Fleet fleet = make_fleet({.bad_share = 1});
  std::set<Defect> seen;
  std::string payload;
  for (std::uint32_t sequence = 0; sequence < 100; ++sequence) {
    fleet.write_payload(0, sequence, false, payload);
    EXPECT_EQ(sequence_of(payload), sequence);
    seen.insert(fleet.defect(0, sequence));
  }
  EXPECT_EQ(seen.size(), 3U);
  EXPECT_EQ(sequence_of(R"({"power":3})"), -1);
  EXPECT_EQ(sequence_of(R"({"seq":)"), -1);
}

TEST(Fleet, AbsencesBeginAndEndWhereNextChangeSays) {
  const Fleet fleet = make_fleet({.offline_share = 1, .offline_for = std::chrono::seconds(2)});
  for (std::uint32_t device = 0; device < 30; ++device) {
    Fleet::Time now(0);
    for (int change = 0; change < 6; ++change) {
      const Fleet::Time next = fleet.next_change(device, now);
      ASSERT_GT(next, now);
      EXPECT_EQ(fleet.is_offline(device, next - Fleet::Time(1)), fleet.is_offline(device, now));
      EXPECT_NE(fleet.is_offline(device, next), fleet.is_offline(device, now));
      now = next;
    }
  }
}

TEST(Fleet, NobodyGoesAwayWhereNobodyIsTo) {
  const Fleet fleet = make_fleet({.offline_share = 0});
  EXPECT_FALSE(fleet.is_offline(3, Fleet::Time(1000)));
  EXPECT_EQ(fleet.next_change(3, Fleet::Time(1000)), Fleet::Time::max());
}

TEST(Metric, IsWrittenWithAllItsDecimals) {
  std::string text;
  Metric{"x", -5, 1, Metric::Kind::kDecimal}.append_to(text);
  Metric{"x", 210, 1, Metric::Kind::kDecimal}.append_to(text);
  Metric{"x", 48'000'001, 6, Metric::Kind::kDecimal}.append_to(text);
  EXPECT_EQ(text, "-0.521.048.000001");
}

}  // namespace
}  // namespace sluice::sim
