#include "core/batch/write_queue.h"

#include "core/batch/batch_rows.h"
#include "core/batch/fence.h"
#include "testing/fake_stores.h"
#include "testing/stored_content.h"
#include "testing/telemetry_source.h"

#include <gtest/gtest.h>

namespace sluice::tsdb {
namespace {

using testing::difference;

constexpr WallTime kNow{std::chrono::milliseconds(1'767'225'600'000)};
constexpr MonoTime kMono{};
const TopicPartition kPartition{"telemetry.valid", 0};

struct WriteQueueTest : ::testing::Test {
  Registry registry;
  WriterMetrics metrics{registry};
  testing::FakeDictionary dictionary;
  WriteQueue queue{{.max_samples = 10}, {}, dictionary, registry, metrics};

  Result<> take(std::int64_t offset, double value = 0) {
    const std::string record = testing::record_of(
        {.event_time_ms = kNow.time_since_epoch().count(), .readings = {{"a", value}}});
    queue.stage(kPartition.topic, kPartition.partition, Offset(offset), record, kMono);
    return queue.take(kNow);
  }
  /// What the next batch would say to the store.
  PartitionSpan next_span() {
    queue.hand_over();
    const auto batch = queue.to_write();
    if (batch == nullptr) return {};
    const PartitionSpan span = batch->taken().front().span;
    queue.note_written();
    return span;
  }
};

TEST_F(WriteQueueTest, ASpanBeginsWhereTheTablesEndAndFollowsOnItself) {
  queue.begin(kPartition, Offset(5));
  ASSERT_TRUE(take(5));
  ASSERT_TRUE(take(6));
  PartitionSpan span = next_span();
  EXPECT_EQ(span.begin, Offset(5));
  EXPECT_EQ(span.next, Offset(7));
  ASSERT_TRUE(take(7));
  span = next_span();
  EXPECT_EQ(span.begin, Offset(7));
  EXPECT_EQ(span.next, Offset(8));
}

TEST_F(WriteQueueTest, APartitionThatWasAwayBeginsABatchOfItsOwn) {
  queue.begin(kPartition, Offset(0));
  ASSERT_TRUE(take(0));
  // Lost, and stored up to 20 by another owner meanwhile.
  queue.begin(kPartition, Offset(20));
  ASSERT_TRUE(take(20));
  PartitionSpan span = next_span();
  EXPECT_EQ(span.begin, Offset(0));
  EXPECT_EQ(span.next, Offset(1));
  span = next_span();
  EXPECT_EQ(span.begin, Offset(20));
  EXPECT_EQ(span.next, Offset(21));
}

TEST_F(WriteQueueTest, ALogThatWasMadeAnewHasASpanOfItsOwn) {
  queue.begin(kPartition, Offset(3));
  ASSERT_TRUE(take(3));
  ASSERT_TRUE(queue.begins_anew(kPartition.topic, kPartition.partition, Offset(0)));
  queue.begin_anew(kPartition);
  ASSERT_TRUE(take(0));
  EXPECT_FALSE(next_span().is_new_log);
  const PartitionSpan span = next_span();
  EXPECT_TRUE(span.is_new_log);
  EXPECT_EQ(span.begin, std::nullopt);
}

TEST_F(WriteQueueTest, TakesNothingWhileKeysCannotBeHadAndAllAfterwards) {
  queue.begin(kPartition, Offset(0));
  dictionary.failure = Error(ErrorCode::kUnavailable, "down");
  EXPECT_FALSE(take(0));
  EXPECT_EQ(queue.held_samples(), 0U);
  dictionary.failure.reset();
  ASSERT_TRUE(take(0));
  EXPECT_EQ(queue.held_samples(), 1U);
  EXPECT_EQ(next_span().next, Offset(1));
}

TEST_F(WriteQueueTest, KeepsABatchThatIsDueWhileTwoWait) {
  queue.begin(kPartition, Offset(0));
  for (std::int64_t offset = 0; offset < 3; ++offset) {
    ASSERT_TRUE(take(offset));
    const bool has_room = offset < 2;
    EXPECT_EQ(queue.hand_over_if_due(kMono + std::chrono::seconds(1)), has_room);
  }
  EXPECT_EQ(queue.waiting_batches(), 2U);
  EXPECT_EQ(queue.held_samples(), 3U);
  queue.note_written();
  EXPECT_TRUE(queue.hand_over_if_due(kMono + std::chrono::seconds(1)));
}

TEST_F(WriteQueueTest, TellsWhatItHoldsOfADeviceWithoutHandingOver) {
  queue.begin(kPartition, Offset(0));
  const std::int64_t now = kNow.time_since_epoch().count();
  std::int64_t offset = 0;
  const auto say = [&](std::string device, std::int64_t time, std::string text) {
    const std::string record = testing::record_of(
        {.device = std::move(device), .event_time_ms = time, .readings = {{"t", std::move(text)}}});
    queue.stage(kPartition.topic, kPartition.partition, Offset(offset++), record, kMono);
    ASSERT_TRUE(queue.take(kNow));
  };
  say("other", now, "not mine");
  say("d1", now, "waits");
  queue.hand_over();
  say("other", now + 1, "not mine either");
  say("d1", now + 1, "is being filled");
  say("d1", now + 2, "is not asked for");
  std::vector<std::string> texts;
  const series::TimeRange range{.from = now, .to = now + 2};
  for (const auto& chunk : queue.of_device(DeviceKey(2), range)) {
    const auto reader = series::ChunkReader::open(chunk, kChunkLimits);
    series::Samples samples;
    ASSERT_TRUE(reader->samples(0, {}, samples));
    texts.insert(texts.end(), samples.values.texts.begin(), samples.values.texts.end());
  }
  EXPECT_EQ(texts, (std::vector<std::string>{"waits", "is being filled"}));
}

TEST_F(WriteQueueTest, TellsWhatWasWrittenOnce) {
  queue.begin(kPartition, Offset(0));
  ASSERT_TRUE(take(0));
  EXPECT_TRUE(queue.take_written().empty());
  next_span();
  ASSERT_EQ(queue.take_written().size(), 1U);
  EXPECT_TRUE(queue.take_written().empty());
}

TEST(Fence, LeavesOutWhatIsStoredAndRefusesAGap) {
  const PartitionSpan span{.partition = kPartition, .begin = Offset(5), .next = Offset(10)};
  const auto judged = [&](std::optional<Offset> stored) {
    return stored_already({&span, 1}, {&stored, 1});
  };
  EXPECT_EQ(judged(Offset(5)), std::vector<bool>{false});
  EXPECT_EQ(judged(Offset(9)), std::vector<bool>{false});  // begun by another: written whole
  EXPECT_EQ(judged(Offset(10)), std::vector<bool>{true});
  for (const auto& stored : {std::optional(Offset(4)), std::optional<Offset>()}) {
    const auto refused = judged(stored);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().reason(), kOffsetsWentBack);
  }
}

}  // namespace
}  // namespace sluice::tsdb
