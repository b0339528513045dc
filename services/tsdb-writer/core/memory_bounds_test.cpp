// What is held in memory, against what is promised. Replaces the allocator of the whole test
// program by one that counts.
#include "core/batch/batch_rows.h"
#include "core/promql/stored_series.h"
#include "core/query/held_memory.h"
#include "testing/stored_history.h"

#include <atomic>
#include <bit>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <vector>

#include <sluice/series/chunk_builder.h>
#include <sluice/testing/sim_clock.h>

#include <gtest/gtest.h>
#include <malloc.h>

namespace {

std::atomic<std::int64_t> held_bytes = 0;
std::atomic<std::int64_t> most_held = 0;

void* counted(void* memory) {
  if (memory == nullptr) return memory;
  const std::int64_t held = held_bytes += static_cast<std::int64_t>(malloc_usable_size(memory));
  std::int64_t most = most_held;
  while (held > most && !most_held.compare_exchange_weak(most, held)) {
  }
  return memory;
}

void* allocate(std::size_t size) {
  void* memory = counted(std::malloc(size == 0 ? 1 : size));
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

void release(void* memory) {
  if (memory != nullptr) held_bytes -= static_cast<std::int64_t>(malloc_usable_size(memory));
  std::free(memory);
}

}  // namespace

void* operator new(std::size_t size) { return allocate(size); }
void* operator new[](std::size_t size) { return allocate(size); }
// All forms, or what one of ours allocates comes to a release that is not ours.
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return counted(std::malloc(size));
}
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept {
  return counted(std::malloc(size));
}
void operator delete(void* memory) noexcept { release(memory); }
void operator delete[](void* memory) noexcept { release(memory); }
void operator delete(void* memory, std::size_t) noexcept { release(memory); }
void operator delete[](void* memory, std::size_t) noexcept { release(memory); }

namespace sluice::tsdb {
namespace {

constexpr std::int64_t kStart = 1'772'323'200'000;

/// The most that was held at once while it worked, beyond what was held before.
template <typename Work>
std::int64_t most_held_by(const Work& work) {
  const std::int64_t before = held_bytes;
  most_held = before;
  work();
  return most_held - before;
}

// A device that sends arrays whose samples each have a time of their own and one metric of many:
// laid out by rows and columns this would be 9 bytes times 500 for each sample.
constexpr std::int32_t kMetrics = 500;
constexpr std::int64_t kSamples = 50'000;
constexpr std::int64_t kBytesOfSample = 100;

TEST(MemoryBounds, AGroupOfABatchTakesMemoryBySamplesAndNotByRowsTimesColumns) {
  Batch batch(1);
  const SpanIndex span = batch.add_span({}, MonoTime{});
  const GroupIndex group = batch.group_of(DeviceKey(1), WallTime{}, span);
  for (std::int64_t i = 0; i < kSamples; ++i) {
    batch.add({.bits = std::bit_cast<std::uint64_t>(static_cast<double>(i)),
               .metric = MetricKey(1 + static_cast<std::int32_t>(i) % kMetrics)});
    batch.end_run(group, i, 0);
  }
  BatchRows rows(batch);
  rows.restart({false});
  HotRow row;
  const std::int64_t held = most_held_by([&] { EXPECT_EQ(rows.next(row), true); });
  EXPECT_EQ(row.times, kSamples);
  EXPECT_LT(held, kSamples * kBytesOfSample);
}

TEST(MemoryBounds, AChunkOfSparseColumnsIsBuiltOneColumnAfterTheOther) {
  series::ChunkBuilder builder(kChunkLimits);
  std::vector<std::byte> chunk;
  const std::int64_t held = most_held_by([&] {
    for (std::int64_t i = 0; i < kSamples; ++i) {
      const auto metric = MetricKey(1 + static_cast<std::int32_t>(i) % kMetrics);
      builder.add(*builder.column(column_of_metric(metric), series::ColumnType::kDouble), i, 0.5);
    }
    EXPECT_TRUE(builder.build(chunk));
  });
  EXPECT_LT(held, kSamples * kBytesOfSample);
}

/// A query over a device's roll-ups or samples.
class QueryMemoryBounds : public ::testing::Test {
 protected:
  static constexpr std::int64_t kDay = 24 * 3'600'000;

  void SetUp() override {
    const MetricKey metric = source.add_metric("blue", "temperature");
    std::vector<testing::Sent> sent;
    for (std::int64_t at = 0; at < 3 * kDay; at += 30'000) {
      sent.push_back({metric, kStart + at, static_cast<double>(at % 7'000)});
    }
    source.add_device("blue", "d1").history.compact(sent);
  }
  promql::Selection range(std::int64_t days) const {
    return {.from_ms = kStart, .to_ms = kStart + days * kDay, .step_ms = 60'000};
  }

  sluice::testing::SimClock clock;
  testing::FakeSampleSource source;
  QueryMemory all{std::size_t{64} << 20};
  QueryLimits limits;
  const TenantId tenant{"blue"};
  const Deadline deadline{clock, std::chrono::seconds(60)};
};

TEST_F(QueryMemoryBounds, PromqlSaysAtLeastWhatItHolds) {
  limits.memory.all = &all;
  for (const std::int64_t days : {1, 3}) {
    promql::StoredSeriesSource series(source, tenant, limits, clock, deadline);
    // What the double of the store makes when it is asked for the first time is no query's.
    ASSERT_TRUE(promql::StoredSeriesSource(source, tenant, limits, clock, deadline)
                    .select({}, range(days)));
    EXPECT_EQ(all.taken(), 0U);
    const std::int64_t before = held_bytes;
    const auto found = series.select({}, range(days));
    const auto held = static_cast<std::size_t>(held_bytes - before);
    ASSERT_TRUE(found);
    EXPECT_EQ((*series.tiers().begin()), days == 1 ? "raw" : "1m");
    // Labels are a few hundred bytes a series, which are limited in number.
    EXPECT_GT(all.taken() + 2'000, held);
    EXPECT_LT(all.taken(), held * 2);
  }
}

TEST_F(QueryMemoryBounds, PromqlIsRefusedBeforeItHoldsMore) {
  // As samples of 16 bytes the 4,320 buckets would be 70 kB.
  limits.memory.max_bytes = 300'000;
  promql::StoredSeriesSource series(source, tenant, limits, clock, deadline);
  const auto refused = series.select({}, range(3));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().reason(), "query_max_memory");

  QueryMemory little{300'000};
  limits.memory = {.all = &little};
  {
    promql::StoredSeriesSource other(source, tenant, limits, clock, deadline);
    EXPECT_EQ(other.select({}, range(3)).error().reason(), "query_memory");
  }
  EXPECT_EQ(little.taken(), 0U);
}

TEST(Stretch, IsShorterForManySeriesAndNeverShorterThanARow) {
  using namespace std::chrono_literals;
  EXPECT_EQ(stretch_of(Tier::kWarm), 24h);
  EXPECT_EQ(stretch_of(Tier::kRollup1m), 24h * 7);
  for (const Tier tier : {Tier::kWarm, Tier::kRollup1m, Tier::kRollup1h, Tier::kRollup1d}) {
    const auto row = tier == Tier::kRollup1d   ? std::chrono::milliseconds(24h * 30)
                     : tier == Tier::kRollup1h ? std::chrono::milliseconds(24h)
                                               : std::chrono::milliseconds(1h);
    EXPECT_LT(stretch_of(tier, 1'000), stretch_of(tier, 1));
    for (const std::size_t series : {1U, 30U, 500U, 100'000U}) {
      EXPECT_GE(stretch_of(tier, series), row);
      EXPECT_EQ(stretch_of(tier, series) % row, 0ms);
    }
  }
}

}  // namespace
}  // namespace sluice::tsdb
