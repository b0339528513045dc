#include <sluice/series/quantile_sketch.h>

#include "test_values.h"

#include <algorithm>
#include <cmath>

#include <gtest/gtest.h>

namespace sluice::series {
namespace {

using testing::below;
using testing::Engine;

std::vector<std::byte> encoded(const QuantileSketch& sketch) {
  std::vector<std::byte> out;
  sketch.encode(out);
  return out;
}

/// Magnitudes over 12 decades, of both signs, some zeros.
double any_value(Engine& engine) {
  if (below(engine, 20) == 0) return 0;
  const double value = std::exp(static_cast<double>(below(engine, 28'000)) / 1000 - 14);
  return below(engine, 3) == 0 ? -value : value;
}

TEST(QuantileSketch, IsWithinItsStatedErrorOfTheExactQuantile) {
  Engine engine(15);
  for (int round = 0; round < 60; ++round) {
    QuantileSketch sketch;
    std::vector<double> values(1 + below(engine, 500));
    for (double& value : values) sketch.add(value = any_value(engine));
    std::ranges::sort(values);
    for (const double q : {0.0, 0.01, 0.25, 0.5, 0.95, 0.99, 1.0}) {
      const double exact =
          values[static_cast<std::size_t>(q * static_cast<double>(values.size() - 1))];
      ASSERT_NEAR(*sketch.quantile(q), exact,
                  std::fabs(exact) * QuantileSketch::kRelativeError * (1 + 1e-9));
    }
  }
}

TEST(QuantileSketch, HoldsItsErrorFromTheSmallestDoubleToTheLargest) {
  Engine engine(16);
  const auto expect_near = [](double value) {
    QuantileSketch sketch;
    ASSERT_TRUE(sketch.add(value));
    ASSERT_NEAR(*sketch.quantile(0.5), value, std::fabs(value) * 0.01 * (1 + 1e-9)) << value;
  };
  for (int round = 0; round < 20'000; ++round) {
    const double value = std::bit_cast<double>(engine());
    if (std::isnormal(value)) expect_near(value);
  }
  expect_near(std::numeric_limits<double>::max());
  expect_near(std::numeric_limits<double>::min());
}

TEST(QuantileSketch, TakesNoNanAndNoInfinity) {
  QuantileSketch sketch;
  EXPECT_FALSE(sketch.add(std::nan("")));
  EXPECT_FALSE(sketch.add(-std::numeric_limits<double>::infinity()));
  EXPECT_TRUE(sketch.is_empty());
  EXPECT_EQ(sketch.quantile(0.5), std::nullopt);
  EXPECT_TRUE(sketch.add(-0.0));
  EXPECT_EQ(sketch.quantile(0.5), 0.0);
}

/// Parts in any grouping and order, among them such that collapse.
TEST(QuantileSketch, MergesToTheSameBytesInAnyOrderAndGrouping) {
  Engine engine(17);
  for (int round = 0; round < 40; ++round) {
    const double decades = round % 2 == 0 ? 1.0 : 20.0;
    QuantileSketch all;
    std::vector<QuantileSketch> parts(8);
    for (int i = 0; i < 300; ++i) {
      const double value =
          std::copysign(std::pow(std::fabs(any_value(engine)), decades), any_value(engine));
      all.add(value);
      parts[below(engine, parts.size())].add(value);
    }
    while (parts.size() > 1) {
      std::shuffle(parts.begin(), parts.end(), engine);
      parts.front().merge(parts.back());
      parts.pop_back();
    }
    ASSERT_EQ(parts.front(), all);
    ASSERT_EQ(encoded(parts.front()), encoded(all));
  }
}

TEST(QuantileSketch, StaysBoundedAndKeepsTheLargestMagnitudes) {
  QuantileSketch sketch;
  for (int exponent = -300; exponent <= 300; ++exponent) {
    for (int i = 1; i < 10; ++i) {
      sketch.add(i * std::pow(10, exponent));
      sketch.add(-i * std::pow(10, exponent));
    }
  }
  EXPECT_LE(sketch.bucket_count(), 2U * QuantileSketch::kMaxSpan);
  EXPECT_EQ(sketch.count(), 601U * 18);
  EXPECT_LE(encoded(sketch).size(), QuantileSketch::kMaxEncodedBytes);
  EXPECT_NEAR(*sketch.quantile(1) / 9e300, 1, 0.01);
  EXPECT_NEAR(*sketch.quantile(0) / -9e300, 1, 0.01);
}

TEST(QuantileSketch, ComesBackFromItsBytes) {
  Engine engine(18);
  for (int round = 0; round < 100; ++round) {
    QuantileSketch sketch;
    for (std::uint64_t left = below(engine, 60); left > 0; --left) {
      sketch.add(any_value(engine), 1 + below(engine, 1 + below(engine, 1000)));
    }
    const auto back = QuantileSketch::decode(encoded(sketch));
    ASSERT_TRUE(back) << back.error().message();
    ASSERT_EQ(*back, sketch);
  }
}

TEST(QuantileSketch, IsSmallForFewValues) {
  QuantileSketch sketch;
  EXPECT_EQ(encoded(sketch).size(), 1U);
  sketch.add(21.7);
  EXPECT_LE(encoded(sketch).size(), 5U);
  for (const double value : {21.9, 22.4, 20.1, 23.0, 19.5}) sketch.add(value);
  EXPECT_LE(encoded(sketch).size(), 20U);
}

TEST(QuantileSketch, RefusesEveryBeginningOfItAndSurvivesAnyChange) {
  Engine engine(19);
  for (int round = 0; round < 100; ++round) {
    QuantileSketch sketch;
    for (int i = 0; i < 20; ++i) sketch.add(any_value(engine));
    const auto bytes = encoded(sketch);
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      ASSERT_FALSE(QuantileSketch::decode(std::span(bytes).first(size)));
    }
    for (int change = 0; change < 50; ++change) {
      auto changed = bytes;
      changed[below(engine, changed.size())] = static_cast<std::byte>(engine());
      const auto back = QuantileSketch::decode(changed);
      if (!back) continue;
      ASSERT_EQ(encoded(*back), changed);  // one sketch has one spelling
      ASSERT_TRUE(back->is_empty() || std::isfinite(*back->quantile(0.5)));
    }
  }
}

/// As for chunks: what is stored stays readable.
TEST(QuantileSketch, KeepsItsFormat) {
  QuantileSketch sketch;
  for (const double value : {0.0, 21.7, 21.7, -3.5, 1e-3, 1e6}) sketch.add(value);
  EXPECT_EQ(testing::hex(encoded(sketch)), "710103b70501f703029d040101800101");
}

}  // namespace
}  // namespace sluice::series
