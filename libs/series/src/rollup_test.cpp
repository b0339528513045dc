#include <sluice/series/rollup.h>

#include "test_values.h"

#include <algorithm>
#include <cmath>

#include <gtest/gtest.h>

namespace sluice::series {
namespace {

using testing::below;
using testing::Engine;

std::vector<std::byte> encoded(const Rollup& rollup) {
  std::vector<std::byte> out;
  rollup.encode(out);
  return out;
}

Rollup of(std::initializer_list<std::pair<std::int64_t, double>> values) {
  Rollup rollup;
  for (const auto& [timestamp, value] : values) rollup.add(timestamp, value);
  return rollup;
}

TEST(Rollup, KeepsWhatAWindowIsAskedFor) {
  const Rollup rollup = of({{30, 2.5}, {10, -1}, {20, 7}, {25, std::nan("")}});
  EXPECT_EQ(rollup.count(), 3U);
  EXPECT_EQ(rollup.not_finite(), 1U);
  EXPECT_EQ(rollup.sum(), 8.5);
  EXPECT_EQ(rollup.min(), -1);
  EXPECT_EQ(rollup.max(), 7);
  EXPECT_EQ(rollup.first(), (Rollup::Stamped{10, -1}));
  EXPECT_EQ(rollup.last(), (Rollup::Stamped{30, 2.5}));
  EXPECT_NEAR(*rollup.quantile(0.5), 2.5, 0.025);
  EXPECT_EQ(rollup.quantile(1), 7);
}

TEST(Rollup, OfNothingIsSmallAndSaysSo) {
  const Rollup rollup;
  EXPECT_EQ(rollup.quantile(0.5), std::nullopt);
  EXPECT_EQ(rollup.average(), 0);
  EXPECT_EQ(encoded(rollup).size(), 1U);
  EXPECT_EQ(*Rollup::decode(encoded(rollup)), rollup);
}

/// Decimals, whose sums are never exact in one double, and some that nearly cancel each other.
double any_value(Engine& engine) {
  if (below(engine, 30) == 0) return testing::special_doubles()[below(engine, 5)];
  const double value = static_cast<double>(below(engine, 100'000)) / 10;
  if (below(engine, 20) == 0) return value * 1e12;
  return below(engine, 2) == 0 ? value : -value;
}

TEST(Rollup, MergesToTheSameBytesInAnyOrderAndGrouping) {
  Engine engine(20);
  for (int round = 0; round < 200; ++round) {
    Rollup all;
    std::vector<Rollup> parts(6);
    for (int i = 0; i < 60; ++i) {
      const auto timestamp = static_cast<std::int64_t>(below(engine, 40));  // some are equal
      const double value = any_value(engine);
      all.add(timestamp, value);
      parts[below(engine, parts.size())].add(timestamp, value);
    }
    while (parts.size() > 1) {
      std::shuffle(parts.begin(), parts.end(), engine);
      parts.front().merge(parts.back());
      parts.pop_back();
    }
    ASSERT_EQ(encoded(parts.front()), encoded(all));
    const auto back = Rollup::decode(encoded(all));
    ASSERT_TRUE(back) << back.error().message();
    ASSERT_EQ(encoded(*back), encoded(all));
  }
}

TEST(Rollup, TellsZerosOfBothSignsApartInAnyOrder) {
  EXPECT_EQ(encoded(of({{1, 0.0}, {1, -0.0}})), encoded(of({{1, -0.0}, {1, 0.0}})));
  EXPECT_TRUE(std::signbit(of({{1, 0.0}, {2, -0.0}}).min()));
}

TEST(ExactSum, LosesNothingOfTermsFarApart) {
  ExactSum sum;
  for (const double term : {1e16, 1.0, -1e16, 0.5, 1e-14, -0.5, -1.0}) sum.add(term);
  EXPECT_EQ(sum.value(), 1e-14);
}

TEST(ExactSum, IsTheSameForAnyOrderAlsoWhereRoundingTies) {
  Engine engine(21);
  for (int round = 0; round < 3000; ++round) {
    // Few bits each, at places around the ends of one double and the next: ties and carries abound.
    std::vector<double> terms(2 + below(engine, 6));
    for (double& term : terms) {
      const int places[] = {0, -1, -52, -53, -54, -105, -106, -107};
      term = std::ldexp(below(engine, 2) == 0 ? 1 : -1, places[below(engine, 8)]);
    }
    ExactSum forward;
    ExactSum shuffled;
    for (const double term : terms) forward.add(term);
    std::shuffle(terms.begin(), terms.end(), engine);
    for (const double term : terms) shuffled.add(term);
    ASSERT_EQ(forward.parts(), shuffled.parts());
    ASSERT_EQ(ExactSum::of_parts(forward.parts()), forward);
  }
}

TEST(ExactSum, OverflowsToInfinityAndEnds) {
  ExactSum sum;
  for (int i = 0; i < 4; ++i) sum.add(std::numeric_limits<double>::max());
  EXPECT_TRUE(std::isinf(sum.value()));
}

TEST(Rollup, OfSixDecimalsTakesFewBytes) {
  const Rollup rollup = of({{1767225600000, 21.7},
                            {1767225610000, 21.9},
                            {1767225620000, 22.4},
                            {1767225630000, 20.1},
                            {1767225640000, 23.0},
                            {1767225650000, 19.5}});
  EXPECT_LE(encoded(rollup).size(), 60U);
}

TEST(Rollup, RefusesEveryBeginningOfItAndSurvivesAnyChange) {
  Engine engine(22);
  for (int round = 0; round < 100; ++round) {
    Rollup rollup;
    for (int i = 0; i < 10; ++i)
      rollup.add(static_cast<std::int64_t>(below(engine, 1000)), any_value(engine));
    const auto bytes = encoded(rollup);
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      ASSERT_FALSE(Rollup::decode(std::span(bytes).first(size)));
    }
    for (int change = 0; change < 50; ++change) {
      auto changed = bytes;
      changed[below(engine, changed.size())] = static_cast<std::byte>(engine());
      auto back = Rollup::decode(changed);
      if (!back) continue;
      back->merge(rollup);
      ASSERT_LE(back->min(), back->max());
      ASSERT_TRUE(back->quantile(0.95));
    }
  }
}

TEST(Rollup, KeepsItsFormat) {
  EXPECT_EQ(testing::hex(encoded(of({{1000, 0.1}, {2000, 0.2}, {3000, std::nan("")}}))),
            "710101020104d00f0102e8070104ff343333333333d33fff00000000000080bc0000a102e70122");
}

}  // namespace
}  // namespace sluice::series
