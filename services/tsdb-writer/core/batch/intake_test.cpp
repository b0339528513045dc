#include "core/batch/intake.h"

#include "core/batch/batch_rows.h"
#include "testing/fake_stores.h"
#include "testing/stored_content.h"

#include <limits>
#include <random>

#include <sluice/testing/sim_random.h>

#include <gtest/gtest.h>

namespace sluice::tsdb {
namespace {

using namespace std::chrono_literals;
using testing::Content;
using testing::difference;
using testing::FakeDictionary;
using testing::FakeHotStore;
using testing::message_of;
using testing::Said;
using testing::store_into;

const WallTime kNow{std::chrono::milliseconds(1'767'225'600'000)};
const std::int64_t kHour = kNow.time_since_epoch().count();

struct IntakeTest : ::testing::Test {
  Registry registry;
  FakeDictionary dictionary;
  FakeHotStore store;
  IntakeLimits limits;
  std::optional<Intake> made;
  Batch batch{1};
  std::int64_t offset = 0;

  Intake& intake() {
    if (!made) made.emplace(limits, dictionary, registry);
    return *made;
  }

  Result<> take(const std::vector<std::string>& records) {
    const TopicPartition partition{"telemetry.valid", 0};
    std::vector<IntakeRecord> prepared;
    const auto known = batch.find_span(partition.topic, partition.partition);
    const SpanIndex span =
        known ? *known
              : batch.add_span(
                    {.partition = partition, .begin = std::nullopt, .next = Offset(offset)},
                    MonoTime{});
    for (const std::string& record : records) {
      prepared.push_back({.bytes = record, .span = span, .offset = Offset(offset++)});
    }
    SLUICE_TRY(intake().prepare(prepared, kNow));
    intake().commit(batch);
    return {};
  }
  Result<> take(const std::vector<Said>& messages) {
    std::vector<std::string> records;
    for (const Said& said : messages) records.push_back(record_of(said));
    return take(records);
  }

  Content stored() {
    BatchRows rows(batch);
    std::vector<PartitionSpan> spans;
    for (const Batch::Taken& taken : batch.taken()) spans.push_back(taken.span);
    EXPECT_TRUE(store.flush(spans, rows));
    batch = Batch(batch.serial() + 1);
    return store.content(dictionary);
  }
  std::uint64_t refused(Refusal reason) { return intake().refusals().value(reason); }
};

TEST_F(IntakeTest, KeepsEveryTypeToTheBit) {
  const Said said{.event_time_ms = kHour,
                  .readings = {{"nan", std::numeric_limits<double>::quiet_NaN()},
                               {"minus_zero", -0.0},
                               {"infinity", -std::numeric_limits<double>::infinity()},
                               {"most", std::numeric_limits<std::int64_t>::max()},
                               {"least", std::numeric_limits<std::int64_t>::min()},
                               {"yes", true},
                               {"no", false},
                               {"text", std::string("h\xc3\xa9llo")},
                               {"empty", std::string()}}};
  ASSERT_TRUE(take(std::vector{said}));
  Content wanted;
  store_into(said, wanted);
  EXPECT_EQ(difference(wanted, stored()), "");
}

TEST_F(IntakeTest, AMetricThatChangesItsTypeKeepsBothValues) {
  const Said first{.event_time_ms = kHour, .readings = {{"level", 1.5}}};
  const Said second{.event_time_ms = kHour + 1, .readings = {{"level", std::int64_t{7}}}};
  ASSERT_TRUE(take(std::vector{first, second}));
  Content wanted;
  store_into(first, wanted);
  store_into(second, wanted);
  EXPECT_EQ(difference(wanted, stored()), "");
}

TEST_F(IntakeTest, ALaterValueOfTheSameTimeOverrides) {
  const Said first{.event_time_ms = kHour, .readings = {{"a", 1.0}, {"b", 2.0}}};
  const Said second{.event_time_ms = kHour, .readings = {{"a", 3.0}}};
  ASSERT_TRUE(take(std::vector{first, second}));
  Content wanted;
  store_into(first, wanted);
  store_into(second, wanted);
  EXPECT_EQ(difference(wanted, stored()), "");
}

TEST_F(IntakeTest, AnyOrderOfDifferentSamplesGivesTheSameContent) {
  sluice::testing::SimRandom random(7);
  std::vector<Said> messages;
  for (int i = 0; i < 400; ++i) {
    messages.push_back({.device = "d" + std::to_string(i % 5),
                        .event_time_ms = kHour - 7'200'000 + i * 31'001,
                        .readings = {{"a", i * 0.5}, {"b" + std::to_string(i % 3), i * 1.0}}});
  }
  Content wanted;
  for (const Said& said : messages) store_into(said, wanted);
  std::ranges::shuffle(messages, random);
  messages.insert(messages.end(), messages.begin(), messages.begin() + 100);
  ASSERT_TRUE(take(messages));
  EXPECT_EQ(difference(wanted, stored()), "");
}

TEST_F(IntakeTest, RefusesWhatCannotBeStoredAndKeepsTheRest) {
  limits.max_text_bytes = 8;
  ASSERT_TRUE(take(std::vector<std::string>{"no message"}));
  EXPECT_EQ(refused(Refusal::kMalformed), 1U);
  const Said good{.event_time_ms = kHour, .readings = {{"a", 1.0}}};
  Said other = good;
  other.tenant = "blue/d1";
  ASSERT_TRUE(take(std::vector{other}));
  EXPECT_EQ(refused(Refusal::kIdentity), 1U);
  other = good;
  other.event_time_ms = (kNow - limits.max_age - 1ms).time_since_epoch().count();
  ASSERT_TRUE(take(std::vector{other}));
  other.event_time_ms = (kNow + limits.max_ahead + 1ms).time_since_epoch().count();
  ASSERT_TRUE(take(std::vector{other}));
  EXPECT_EQ(refused(Refusal::kEventTime), 2U);
  other = good;
  other.readings = {{"", 1.0},  {std::string(257, 'x'), 1.0},    {std::string("n\0l", 3), 1.0},
                    {"a", 1.0}, {"t", std::string("123456789")}, {"u", std::string("12345678")}};
  ASSERT_TRUE(take(std::vector{other}));
  EXPECT_EQ(refused(Refusal::kMetricName), 3U);
  EXPECT_EQ(refused(Refusal::kTextTooLong), 1U);
  telemetry::v1::ValidMessage without_value = message_of(good);
  without_value.mutable_readings(0)->clear_value();
  ASSERT_TRUE(take(std::vector{without_value.SerializeAsString()}));
  EXPECT_EQ(refused(Refusal::kNoValue), 1U);
  Content wanted;
  store_into({.event_time_ms = kHour, .readings = {{"a", 1.0}, {"u", std::string("12345678")}}},
             wanted);
  EXPECT_EQ(difference(wanted, stored()), "");
  EXPECT_EQ(store.position({"telemetry.valid", 0}), Offset(6));
}

TEST_F(IntakeTest, AClassHasRoomForSoManyMetricsAndItsOldOnesStay) {
  dictionary.max_metrics_per_class = 2;
  const auto said = [](std::string metric, std::int64_t time) {
    return Said{.event_time_ms = time, .readings = {{std::move(metric), 1.0}}};
  };
  ASSERT_TRUE(take(std::vector{said("a", kHour), said("b", kHour), said("c", kHour)}));
  ASSERT_TRUE(take(std::vector{said("c", kHour + 1), said("a", kHour + 1)}));
  EXPECT_EQ(refused(Refusal::kTooManyMetrics), 2U);
  Content wanted;
  for (const Said& each : {said("a", kHour), said("b", kHour), said("a", kHour + 1)}) {
    store_into(each, wanted);
  }
  EXPECT_EQ(difference(wanted, stored()), "");
}

TEST_F(IntakeTest, AsksForTheKeyOfEachNameOnce) {
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(take(std::vector<Said>{{.event_time_ms = kHour + i, .readings = {{"a", 1.0}}}}));
  }
  EXPECT_EQ(dictionary.calls, 1);
}

TEST_F(IntakeTest, TellsTheDictionaryOfAnotherFleetAndUnit) {
  ASSERT_TRUE(take(std::vector<Said>{{.event_time_ms = kHour, .readings = {{"a", 1.0}}}}));
  ASSERT_TRUE(take(std::vector<Said>{
      {.fleet = "south", .event_time_ms = kHour, .readings = {{"a", 1.0}}, .unit = "Cel"}}));
  EXPECT_EQ(dictionary.calls, 2);
  EXPECT_EQ(dictionary.fleets["d1"], "south");
  EXPECT_EQ(dictionary.units["a"], "Cel");
}

TEST_F(IntakeTest, ForgetsDevicesWhenTheyAreTooManyAndLosesNothing) {
  limits.max_devices = 3;
  Content wanted;
  for (int i = 0; i < 20; ++i) {
    const Said said{.device = "d" + std::to_string(i % 10),
                    .event_time_ms = kHour + i,
                    .readings = {{"a", i * 1.0}}};
    store_into(said, wanted);
    ASSERT_TRUE(take(std::vector{said}));
  }
  EXPECT_GT(dictionary.calls, 10);
  EXPECT_EQ(difference(wanted, stored()), "");
}

TEST_F(IntakeTest, TakesNothingWhileKeysCannotBeHadAndAllAfterwards) {
  dictionary.failure = Error(ErrorCode::kUnavailable, "down");
  const Said said{.event_time_ms = kHour, .readings = {{"a", 1.0}}};
  EXPECT_FALSE(take(std::vector{said}));
  EXPECT_EQ(batch.sample_count(), 0U);
  dictionary.failure.reset();
  offset = 0;
  ASSERT_TRUE(take(std::vector{said}));
  Content wanted;
  store_into(said, wanted);
  EXPECT_EQ(difference(wanted, stored()), "");
}

TEST_F(IntakeTest, KeepsRemarksInColumnsOfTheirOwn) {
  telemetry::v1::ValidMessage message =
      message_of({.event_time_ms = kHour, .readings = {{"a", 1.0}, {"b", 2.0}}});
  message.add_quality(telemetry::v1::QUALITY_CLOCK_SKEWED);
  message.mutable_readings(1)->add_quality(telemetry::v1::QUALITY_OUTLIER);
  ASSERT_TRUE(take(std::vector{message.SerializeAsString()}));
  GroupEncoder encoder;
  std::vector<std::byte> chunk;
  ASSERT_TRUE(encoder.encode(batch, 0, {}, chunk));
  const auto reader = series::ChunkReader::open(chunk, kChunkLimits);
  ASSERT_TRUE(reader);
  ASSERT_EQ(reader->column_count(), 4U);
  series::ColumnValues values;
  ASSERT_TRUE(reader->values(*reader->find(kMessageRemarksColumn), values));
  EXPECT_EQ(values.integers, std::vector<std::int64_t>{1 << telemetry::v1::QUALITY_CLOCK_SKEWED});
  ASSERT_TRUE(reader->values(*reader->find(column_of_remarks(MetricKey(2))), values));
  EXPECT_EQ(values.integers, std::vector<std::int64_t>{1 << telemetry::v1::QUALITY_OUTLIER});
}

TEST_F(IntakeTest, AGroupHoldsOneHour) {
  ASSERT_TRUE(take(std::vector<Said>{{.event_time_ms = kHour - 1, .readings = {{"a", 1.0}}},
                                     {.event_time_ms = kHour, .readings = {{"a", 2.0}}},
                                     {.event_time_ms = kHour - 2, .readings = {{"a", 3.0}}}}));
  ASSERT_EQ(batch.groups().size(), 2U);
  BatchRows rows(batch);
  rows.restart({false});
  HotRow row;
  ASSERT_TRUE(rows.next(row).value());
  EXPECT_EQ(row.event_hour, kNow - 1h);
  EXPECT_EQ(row.times, 2);
  EXPECT_EQ(row.first, kNow - 2ms);
  EXPECT_EQ(row.last, kNow - 1ms);
  ASSERT_TRUE(rows.next(row).value());
  EXPECT_EQ(row.event_hour, kNow);
  EXPECT_FALSE(rows.next(row).value());
}

}  // namespace
}  // namespace sluice::tsdb
