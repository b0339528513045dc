#include "adapters/write_pipeline.h"

#include "testing/fake_stores.h"
#include "testing/stored_content.h"

#include <sluice/kafka/consumer_loop.h>
#include <sluice/kafka/testing/fake_kafka.h>
#include <sluice/testing/captured_log.h>
#include <sluice/testing/eventually.h>
#include <sluice/testing/sim_clock.h>

#include <gtest/gtest.h>

namespace sluice::tsdb {
namespace {

using namespace std::chrono_literals;
using sluice::testing::eventually;
using testing::add_chunk;
using testing::Content;
using testing::difference;
using testing::record_of;
using testing::Said;
using testing::store_into;

constexpr const char* kTopic = "telemetry.valid";
const std::int64_t kStart = sluice::testing::SimClock::kDefaultStart.time_since_epoch().count();

/// The pipeline between a Kafka and tables in memory. The clock stands still but for what a test
/// moves it, so that batches are written when a test wants them to be.
struct WritePipelineTest : ::testing::Test {
  sluice::testing::SimClock clock;
  SystemRandom random;
  Registry registry;
  std::shared_ptr<sluice::testing::CapturedLog> lines =
      std::make_shared<sluice::testing::CapturedLog>();
  Logger log = lines->logger("test", clock);
  sluice::testing::FakeKafka kafka{clock};
  testing::FakeDictionary dictionary;
  testing::FakeHotStore store;
  WritePipeline::Options options{.retry = {.base = 1ms, .cap = 5ms}};
  std::unique_ptr<WritePipeline> pipeline;
  std::unique_ptr<kafka::ConsumerLoop> loop;
  Content wanted;
  std::int64_t said_count = 0;

  WritePipelineTest() { kafka.create_topic(kTopic, 2); }

  void start() {
    pipeline =
        std::make_unique<WritePipeline>(options, clock, random, log, registry, dictionary, store);
    loop = std::make_unique<kafka::ConsumerLoop>(
        kafka::ConsumerLoop::Options{.durability = kafka::Durability::kOnMark, .limits = {}}, clock,
        random, log, registry, kafka.group_consumer("writer", {kTopic}), pipeline->handler());
  }
  /// Ends without a word, as in a crash.
  void vanish() {
    loop.reset();
    pipeline.reset();
  }
  void say(int messages, int partition = 0) {
    for (int i = 0; i < messages; ++i) {
      const Said said{.device = "d" + std::to_string(partition),
                      .event_time_ms = kStart + said_count,
                      .readings = {{"a", static_cast<double>(said_count)}}};
      ++said_count;
      store_into(said, wanted);
      kafka.append(kTopic, said.device, record_of(said), kafka::Partition(partition));
    }
  }
  /// And lets the consumer find the end of the new log before there is a record in it.
  void make_topic_anew() {
    const std::vector<std::string> topics{kTopic};
    ASSERT_TRUE(kafka.admin(log)->remove(topics, 1s));
    kafka.create_topic(kTopic, 2);
    step();
  }
  void step(int turns = 1) {
    for (int i = 0; i < turns; ++i) ASSERT_TRUE(loop->step(0ms));
  }
  bool stored() {
    return eventually([&] {
      clock.advance(100ms);
      static_cast<void>(loop->step(0ms));
      return difference(wanted, store.content(dictionary)).empty();
    });
  }
  int held_samples() const {
    const std::string text = registry.scrape();
    const std::string name = "\nsluice_tsdb_writer_held_samples ";
    return std::stoi(text.substr(text.find(name) + name.size()));
  }
  std::optional<Offset> position(int partition = 0) const {
    return store.position({kTopic, partition});
  }
};

TEST_F(WritePipelineTest, WritesWhenTheOldestRecordHasWaitedLongEnough) {
  start();
  say(3);
  step(3);
  clock.advance(499ms);
  step(3);
  EXPECT_EQ(store.attempts(), 0U);
  clock.advance(1ms);
  step();
  EXPECT_TRUE(eventually([&] { return position() == Offset(3); }));
  EXPECT_EQ(difference(wanted, store.content(dictionary)), "");
}

TEST_F(WritePipelineTest, WritesAFullBatchAtOnce) {
  options.policy.max_samples = 10;
  start();
  say(10);
  step(2);
  EXPECT_TRUE(eventually([&] { return position() == Offset(10); }));
}

TEST_F(WritePipelineTest, CommitsToKafkaOnlyWhatIsStored) {
  start();
  store.fail_with(Error(ErrorCode::kUnavailable, "down"));
  say(5);
  step(2);
  clock.advance(1s);
  step(2);
  ASSERT_TRUE(eventually([&] { return store.attempts() > 3; }));
  clock.advance(10s);
  step(3);
  // Where the tables began, which the loop commits at once.
  EXPECT_EQ(kafka.committed("writer", {kTopic, kafka::Partition(0)}), kafka::Offset(0));
  store.fail_with(std::nullopt);
  EXPECT_TRUE(stored());
  EXPECT_TRUE(eventually([&] {
    clock.advance(1s);
    step();
    return kafka.committed("writer", {kTopic, kafka::Partition(0)}) == kafka::Offset(5);
  }));
  EXPECT_EQ(lines->count("flush_failed"), 1U);
  EXPECT_EQ(lines->count("flush_recovered"), 1U);
}

TEST_F(WritePipelineTest, HoldsABoundedNumberOfSamplesWhileTheStoreIsDown) {
  options.policy.max_samples = 10;
  start();
  store.fail_with(Error(ErrorCode::kUnavailable, "down"));
  for (int i = 0; i < 40; ++i) {
    say(10);
    step(2);
  }
  // Three batches of ten, the first being tried again and again.
  EXPECT_EQ(held_samples(), 30);
  EXPECT_EQ(position(), std::nullopt);
  store.fail_with(std::nullopt);
  EXPECT_TRUE(stored()) << difference(wanted, store.content(dictionary));
}

TEST_F(WritePipelineTest, RepeatsABatchOfUnknownOutcomeWithoutDoublingIt) {
  start();
  store.fail_with(Error(ErrorCode::kUnavailable, "lost").with_reason("outcome_unknown"), true);
  say(4);
  step(2);
  clock.advance(1s);
  step(2);
  ASSERT_TRUE(eventually([&] { return store.attempts() >= 2; }));
  store.fail_with(std::nullopt);
  EXPECT_TRUE(stored());
  EXPECT_EQ(position(), Offset(4));
}

TEST_F(WritePipelineTest, BeginsWhereTheTablesEndAndNotWhereKafkaThinks) {
  start();
  say(10);
  ASSERT_TRUE(stored());
  vanish();
  store.set_position({kTopic, 0}, Offset(4));  // a backup was restored; Kafka's offset is 10
  const std::size_t before = store.attempts();
  start();
  EXPECT_TRUE(eventually([&] {
    clock.advance(100ms);
    step();
    return position() == Offset(10);
  }));
  EXPECT_GT(store.attempts(), before);
}

TEST_F(WritePipelineTest, WritesWhatItHoldsBeforeItStops) {
  start();
  say(7);
  step(2);
  loop->stop();
  EXPECT_EQ(position(), Offset(7));
  EXPECT_EQ(difference(wanted, store.content(dictionary)), "");
}

TEST_F(WritePipelineTest, ShowsWhatIsNotCommittedYet) {
  start();
  store.fail_with(Error(ErrorCode::kUnavailable, "down"));
  say(3);
  step(2);
  clock.advance(1s);
  step(2);  // handed over
  say(2);
  step(2);  // being filled
  Content recent;
  for (const auto& chunk : pipeline->recent().of_device(DeviceKey(1), {})) {
    add_chunk("blue", "d0", chunk, [&](MetricKey key) { return dictionary.name_of(key); }, recent);
  }
  EXPECT_EQ(difference(wanted, recent), "");
  EXPECT_EQ(pipeline->recent().of_device(DeviceKey(1), {kStart + 1, kStart + 2}).size(), 1U);
  EXPECT_TRUE(pipeline->recent().of_device(DeviceKey(9), {}).empty());
  store.fail_with(std::nullopt);
  ASSERT_TRUE(stored());
  EXPECT_TRUE(eventually([&] { return pipeline->recent().of_device(DeviceKey(1), {}).empty(); }));
}

TEST_F(WritePipelineTest, ATopicThatWasMadeAnewIsReadFromItsBeginning) {
  start();
  say(5);
  ASSERT_TRUE(stored());
  make_topic_anew();
  say(3);
  EXPECT_TRUE(stored()) << difference(wanted, store.content(dictionary));
  EXPECT_EQ(position(), Offset(3));
  // From here on it is a log as any other.
  say(1);
  EXPECT_TRUE(stored());
  EXPECT_EQ(position(), Offset(4));
}

TEST_F(WritePipelineTest, TheOldLogsSamplesInMemoryAreWrittenBeforeThoseOfTheNewOne) {
  start();
  say(5);
  ASSERT_TRUE(stored());
  store.fail_with(Error(ErrorCode::kUnavailable, "down"));
  say(3);
  step(2);
  make_topic_anew();
  say(2);
  step(2);
  EXPECT_EQ(held_samples(), 5);
  store.fail_with(std::nullopt);
  EXPECT_TRUE(stored()) << difference(wanted, store.content(dictionary));
  EXPECT_EQ(position(), Offset(2));
}

TEST_F(WritePipelineTest, TellsOfADatabaseThatWasSetBackAndWritesNoMore) {
  std::atomic<bool> is_fatal{false};
  options.on_fatal = [&](const Error&) { is_fatal = true; };
  start();
  store.fail_with(Error(ErrorCode::kDataLoss, "gap").with_reason("offsets_went_back"));
  say(1);
  step(2);
  clock.advance(1s);
  step(2);
  EXPECT_TRUE(eventually([&] { return is_fatal.load(); }));
  EXPECT_EQ(store.attempts(), 1U);
}

}  // namespace
}  // namespace sluice::tsdb
