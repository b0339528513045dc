#include "core/rollup/rollup_block.h"

#include <random>

#include <gtest/gtest.h>

namespace sluice::tsdb {
namespace {

using namespace std::chrono_literals;
using Bytes = std::vector<std::byte>;

series::Rollup rollup_of(std::initializer_list<double> values) {
  series::Rollup rollup;
  std::int64_t at = 1'000;
  for (const double value : values) rollup.add(at += 10, value);
  return rollup;
}

RollupBlock some_block() {
  RollupBlock block;
  block[{MetricKey(3), 0}] = rollup_of({1, 2, 3});
  block[{MetricKey(3), 59}] = rollup_of({-1.5});
  block[{MetricKey(70'000), 7}] = rollup_of({0, 1e300, -0.0});
  return block;
}

Bytes encoded(const RollupBlock& block) {
  Bytes bytes;
  encode_rollup_block(block, bytes);
  return bytes;
}

TEST(RollupBlock, ComesBackWhole) {
  const RollupBlock block = some_block();
  const Bytes bytes = encoded(block);
  const auto reader = RollupBlockReader::open(bytes);
  ASSERT_TRUE(reader);
  EXPECT_EQ(reader->metrics(), (std::vector{MetricKey(3), MetricKey(70'000)}));
  EXPECT_EQ(reader->read_all().value(), block);
}

TEST(RollupBlock, GivesOneMetricWithoutTheOthers) {
  Bytes bytes = encoded(some_block());
  bytes.back() ^= std::byte{0xff};  // the last metric's section is broken
  const auto reader = RollupBlockReader::open(bytes);
  ASSERT_TRUE(reader);
  std::vector<RollupBucket> buckets;
  ASSERT_TRUE(reader->read(MetricKey(3), buckets));
  ASSERT_EQ(buckets.size(), 2U);
  EXPECT_EQ(buckets[0].bucket, 0U);
  EXPECT_EQ(buckets[0].rollup.count(), 3U);
  EXPECT_EQ(buckets[1].bucket, 59U);
  ASSERT_TRUE(reader->read(MetricKey(4), buckets));
  EXPECT_TRUE(buckets.empty());
}

TEST(RollupBlock, RefusesEveryPrefixAndEveryAddition) {
  const Bytes bytes = encoded(some_block());
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const auto reader = RollupBlockReader::open(std::span(bytes).first(size));
    EXPECT_FALSE(reader) << size;
  }
  Bytes longer = bytes;
  longer.push_back(std::byte{0});
  EXPECT_EQ(RollupBlockReader::open(longer).error().code(), ErrorCode::kDataLoss);
}

TEST(RollupBlock, SurvivesFlippedBytesAndRereadsWhatItAccepts) {
  const Bytes bytes = encoded(some_block());
  std::mt19937 random(7);
  for (int round = 0; round < 20'000; ++round) {
    Bytes broken = bytes;
    for (int flips = 0; flips < 1 + round % 3; ++flips) {
      broken[random() % broken.size()] = static_cast<std::byte>(random());
    }
    const auto reader = RollupBlockReader::open(broken);
    if (!reader) continue;
    const auto block = reader->read_all();
    if (!block || block->empty()) continue;
    const Bytes again = encoded(*block);
    EXPECT_EQ(encoded(RollupBlockReader::open(again).value().read_all().value()), again);
  }
}

TEST(RollupBlock, KnowsWhereAMomentBelongs) {
  const WallTime time = parse_rfc3339("2024-02-29T23:59:59.999Z").value();
  EXPECT_EQ(rollup_row_of(Tier::kRollup1m, time), parse_rfc3339("2024-02-29T23:00:00Z").value());
  EXPECT_EQ(rollup_bucket_of(Tier::kRollup1m, time), 59U);
  EXPECT_EQ(rollup_row_of(Tier::kRollup1h, time), parse_rfc3339("2024-02-29T00:00:00Z").value());
  EXPECT_EQ(rollup_bucket_of(Tier::kRollup1h, time), 23U);
  EXPECT_EQ(rollup_row_of(Tier::kRollup1d, time), parse_rfc3339("2024-02-01T00:00:00Z").value());
  EXPECT_EQ(rollup_bucket_of(Tier::kRollup1d, time), 28U);
  const WallTime before_1970 = parse_rfc3339("1969-12-31T23:59:00Z").value();
  EXPECT_EQ(rollup_bucket_of(Tier::kRollup1d, before_1970), 30U);
}

}  // namespace
}  // namespace sluice::tsdb
