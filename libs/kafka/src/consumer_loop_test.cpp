#include <sluice/kafka/consumer_loop.h>

#include <functional>
#include <string>
#include <vector>

#include <sluice/kafka/testing/fake_kafka.h>
#include <sluice/testing/captured_log.h>
#include <sluice/testing/sim_clock.h>
#include <sluice/testing/sim_random.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::kafka {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class Handler final : public RecordHandler {
 public:
  Result<> on_batch(std::span<const RecordView> records, ConsumerControl& control) override {
    ++batches;
    if (before) SLUICE_TRY(before(records, control));
    for (const RecordView& record : records) values.emplace_back(record.value.value_or("(none)"));
    return {};
  }
  Result<> on_tick(ConsumerControl& control) override { return tick ? tick(control) : Result<>{}; }
  void on_lost(std::span<const TopicPartition> partitions) override {
    lost.insert(lost.end(), partitions.begin(), partitions.end());
  }
  Result<> on_poison(const RecordView& record, const Error&, int) override {
    if (poison_result) poison.emplace_back(*record.value);
    return poison_result;
  }

  int batches = 0;
  std::vector<std::string> values;
  std::vector<std::string> poison;
  std::vector<TopicPartition> lost;
  Result<> poison_result;
  std::function<Result<>(std::span<const RecordView>, ConsumerControl&)> before;
  std::function<Result<>(ConsumerControl&)> tick;
};

class ConsumerLoopTest : public ::testing::Test {
 protected:
  ConsumerLoopTest() { kafka_.create_topic("t", 1); }

  ConsumerLoop make_loop(Durability durability = Durability::kOnReturn) {
    return ConsumerLoop({.durability = durability, .limits = limits_}, clock_, random_, logger_,
                        registry_, kafka_.group_consumer("g", {"t"}), handler_);
  }
  void append(std::initializer_list<std::string_view> values) {
    for (const std::string_view value : values) kafka_.append("t", "k", value);
  }
  std::optional<Offset> committed() const { return kafka_.committed("g", {"t", Partition(0)}); }
  /// A turn, as if a commit interval had passed since the last.
  void turn(ConsumerLoop& loop) {
    clock_.advance(1s);
    static_cast<void>(loop.step(0ms));
  }
  double metric(std::string_view line_start) const {
    const std::string text = registry_.scrape();
    const std::size_t at = text.find(std::string("\n") + std::string(line_start));
    if (at == std::string::npos) return -1;
    return std::stod(text.substr(text.find(' ', at)));
  }

  testing::SimClock clock_;
  testing::SimRandom random_{1};
  std::shared_ptr<testing::CapturedLog> log_ = std::make_shared<testing::CapturedLog>();
  Logger logger_ = log_->logger("test", clock_);
  Registry registry_;
  testing::FakeKafka kafka_{clock_};
  ConsumerConfig limits_;
  Handler handler_;
};

TEST_F(ConsumerLoopTest, CommitsNotMoreOftenThanItsInterval) {
  append({"a"});
  ConsumerLoop loop = make_loop();
  static_cast<void>(loop.step(0ms));
  append({"b"});
  clock_.advance(limits_.commit_interval - 1ms);
  static_cast<void>(loop.step(0ms));
  append({"c"});
  static_cast<void>(loop.step(0ms));
  static_cast<void>(loop.step(0ms));
  EXPECT_EQ(committed(), Offset(1));
  clock_.advance(1ms);
  static_cast<void>(loop.step(0ms));
  static_cast<void>(loop.step(0ms));
  EXPECT_EQ(committed(), Offset(3));
}

TEST_F(ConsumerLoopTest, CommitsAgainWhatACommitThatFailedCovered) {
  append({"a", "b"});
  ConsumerLoop loop = make_loop();
  kafka_.fail_next_commits(1, ErrorCode::kUnavailable);
  turn(loop);
  turn(loop);
  EXPECT_EQ(committed(), std::nullopt);
  turn(loop);
  turn(loop);
  EXPECT_EQ(committed(), Offset(2));
  EXPECT_EQ(metric("sluice_kafka_consumer_commit_failures_total{reason=\"unavailable\"}"), 1);
}

TEST_F(ConsumerLoopTest, WaitsLongerAndLongerBeforeItBringsRefusedRecordsAgain) {
  append({"a"});
  ConsumerLoop loop = make_loop();
  handler_.before = [](auto, auto&) { return fail(ErrorCode::kUnavailable, "down"); };
  static_cast<void>(loop.step(0ms));
  EXPECT_EQ(handler_.batches, 1);
  // Full jitter: any single wait may be short, but they are bounded and follow the clock.
  for (int i = 0; i < 20; ++i) {
    const int before = handler_.batches;
    clock_.advance(limits_.max_retry_backoff);
    static_cast<void>(loop.step(0ms));
    EXPECT_EQ(handler_.batches, before + 1);
  }
  EXPECT_THAT(handler_.poison, IsEmpty());
}

TEST_F(ConsumerLoopTest, HoldsNoMoreRecordsThanOneBatchWhileTheHandlerRefuses) {
  limits_.max_batch_records = 2;
  append({"a", "b", "c", "d"});
  ConsumerLoop loop = make_loop();
  std::size_t most = 0;
  handler_.before = [&](std::span<const RecordView> records, auto&) -> Result<> {
    most = std::max(most, records.size());
    return fail(ErrorCode::kUnavailable, "down");
  };
  for (int i = 0; i < 10; ++i) {
    clock_.advance(limits_.max_retry_backoff);
    static_cast<void>(loop.step(0ms));
  }
  EXPECT_EQ(most, 2U);
}

TEST_F(ConsumerLoopTest, NeverSkipsAPoisonRecordThatNobodyCouldPutAside) {
  limits_.poison_attempts = 2;
  append({"bad", "good"});
  ConsumerLoop loop = make_loop();
  handler_.before = [](std::span<const RecordView> records, auto&) -> Result<> {
    if (records.front().value == "bad") return fail(ErrorCode::kInternal, "bug");
    return {};
  };
  handler_.poison_result = fail(ErrorCode::kUnavailable, "dead letters are down, too");
  for (int i = 0; i < 20; ++i) {
    clock_.advance(limits_.max_retry_backoff);
    static_cast<void>(loop.step(0ms));
  }
  EXPECT_THAT(handler_.values, IsEmpty());
  EXPECT_EQ(committed(), std::nullopt);

  handler_.poison_result = {};
  for (int i = 0; i < 2; ++i) {
    clock_.advance(limits_.max_retry_backoff);
    static_cast<void>(loop.step(0ms));
  }
  EXPECT_THAT(handler_.poison, ElementsAre("bad"));
  EXPECT_THAT(handler_.values, ElementsAre("good"));
}

TEST_F(ConsumerLoopTest, CommitsPastPoisonOnceWhatIsBeforeItIsDurable) {
  limits_.poison_attempts = 1;
  append({"a", "bad"});
  ConsumerLoop loop = make_loop(Durability::kOnMark);
  handler_.before = [](std::span<const RecordView> records, auto&) -> Result<> {
    for (const RecordView& record : records) {
      if (record.value == "bad") return fail(ErrorCode::kInternal, "bug");
    }
    return {};
  };
  for (int i = 0; i < 8; ++i) turn(loop);
  EXPECT_THAT(handler_.values, ElementsAre("a"));
  EXPECT_THAT(handler_.poison, ElementsAre("bad"));
  EXPECT_EQ(committed(), std::nullopt);

  handler_.tick = [](ConsumerControl& control) -> Result<> {
    control.mark_durable("t", Partition(0), Offset(1));
    return {};
  };
  turn(loop);
  turn(loop);
  EXPECT_EQ(committed(), Offset(2));
}

TEST_F(ConsumerLoopTest, IgnoresMarksBeyondWhatItGaveAndBelowEarlierOnesAndOfOthersPartitions) {
  limits_.max_batch_records = 2;
  append({"a", "b", "c", "d"});
  ConsumerLoop loop = make_loop(Durability::kOnMark);
  handler_.before = [&](auto, ConsumerControl& control) -> Result<> {
    control.mark_durable("t", Partition(0), Offset(100));
    control.mark_durable("t", Partition(0), Offset(1));
    control.mark_durable("t", Partition(7), Offset(1));
    control.mark_durable("other", Partition(0), Offset(1));
    return {};
  };
  static_cast<void>(loop.step(0ms));
  loop.stop();
  EXPECT_EQ(committed(), Offset(2));
}

TEST_F(ConsumerLoopTest, DropsRecordsOfPartitionsThatItLostAndReadsThemWhenItIsBack) {
  append({"a"});
  ConsumerLoop loop = make_loop();
  bool is_down = true;
  handler_.before = [&](auto, auto&) -> Result<> {
    if (is_down) return fail(ErrorCode::kUnavailable, "down");
    return {};
  };
  turn(loop);
  kafka_.expel_members("g");
  is_down = false;
  // The record that waits must not be handed over: somebody else may have it by now.
  const int before = handler_.batches;
  handler_.before = [&](std::span<const RecordView>, auto&) -> Result<> {
    EXPECT_THAT(handler_.lost, ElementsAre(TopicPartition{"t", Partition(0)}));
    return {};
  };
  for (int i = 0; i < 3; ++i) turn(loop);
  EXPECT_EQ(handler_.batches, before + 1);
  EXPECT_THAT(handler_.values, ElementsAre("a"));
  EXPECT_EQ(metric("sluice_kafka_consumer_rebalances_total{kind=\"lost\"}"), 1);
}

TEST_F(ConsumerLoopTest, DoesNotCommitForPartitionsThatItLost) {
  append({"a"});
  ConsumerLoop loop = make_loop();
  static_cast<void>(loop.step(0ms));  // its commit is on its way
  kafka_.expel_members("g");
  auto next = kafka_.group_consumer("g", {"t"});
  for (int i = 0; i < 3; ++i) turn(loop);
  EXPECT_EQ(committed(), std::nullopt);
}

TEST_F(ConsumerLoopTest, ReadsATopicFromItsBeginningWhenItWasMadeAnew) {
  append({"a", "b", "c"});
  ConsumerLoop loop = make_loop();
  turn(loop);
  turn(loop);
  loop.stop();
  auto admin = kafka_.admin(logger_);
  const std::vector<std::string> topics{"t"};
  ASSERT_TRUE(admin->remove(topics, 1s));
  kafka_.create_topic("t", 1);
  append({"new"});
  ConsumerLoop next = make_loop();
  turn(next);
  EXPECT_THAT(handler_.values, ElementsAre("a", "b", "c", "new"));
}

TEST_F(ConsumerLoopTest, TakesNoMarkForRecordsOfALogThatWasResetAsOneForNewRecords) {
  append({"a", "b", "c"});
  ConsumerLoop loop = make_loop(Durability::kOnMark);
  bool has_flushed = false;
  handler_.tick = [&](ConsumerControl& control) -> Result<> {
    if (has_flushed && handler_.lost.empty()) control.mark_durable("t", Partition(0), Offset(3));
    return {};
  };
  turn(loop);
  EXPECT_THAT(handler_.values, ElementsAre("a", "b", "c"));
  auto admin = kafka_.admin(logger_);
  const std::vector<std::string> topics{"t"};
  ASSERT_TRUE(admin->remove(topics, 1s));
  kafka_.create_topic("t", 1);
  turn(loop);  // finds the end of the new log before there is a record in it

  append({"new", "newer", "newest"});
  has_flushed = true;
  handler_.before = [&](auto, auto&) -> Result<> {
    EXPECT_THAT(handler_.lost, ElementsAre(TopicPartition{"t", Partition(0)}));
    return {};
  };
  for (int i = 0; i < 3; ++i) turn(loop);
  EXPECT_THAT(handler_.values, ElementsAre("a", "b", "c", "new", "newer", "newest"));
  EXPECT_EQ(log_->count("kafka_log_reset"), 1U);
  EXPECT_EQ(committed(), std::nullopt);
}

TEST_F(ConsumerLoopTest, SurvivesATickThatFailsAndSlowsItDown) {
  ConsumerLoop loop = make_loop();
  int ticks = 0;
  handler_.tick = [&](auto&) -> Result<> {
    ++ticks;
    return fail(ErrorCode::kUnavailable, "down");
  };
  append({"a"});
  for (int i = 0; i < 100; ++i) static_cast<void>(loop.step(0ms));
  EXPECT_THAT(handler_.values, ElementsAre("a"));
  EXPECT_LT(ticks, 100);
  handler_.tick = nullptr;
}

TEST_F(ConsumerLoopTest, CountsLagPastGapsThatCompactionLeft) {
  kafka_.create_topic("t", 1, Cleanup::kCompact);
  append({"1", "2", "3"});
  kafka_.append("t", "other", "x");
  kafka_.append("t", "other", std::nullopt);
  kafka_.compact("t", true);
  ConsumerLoop loop = make_loop();
  clock_.advance(limits_.lag_interval);
  for (int i = 0; i < 3; ++i) turn(loop);
  EXPECT_THAT(handler_.values, ElementsAre("3"));
  EXPECT_EQ(loop.lag(), 0);
}

TEST_F(ConsumerLoopTest, TakesItsGaugesBackWhenItEnds) {
  append({"a", "b"});
  {
    ConsumerLoop loop = make_loop(Durability::kOnMark);
    for (int i = 0; i < 3; ++i) turn(loop);
    EXPECT_EQ(metric("sluice_kafka_consumer_lag_records{topic=\"t\"}"), 2);
    EXPECT_EQ(metric("sluice_kafka_consumer_partitions{topic=\"t\"}"), 1);
    EXPECT_EQ(metric("sluice_kafka_consumer_records_total{topic=\"t\"}"), 2);
  }
  EXPECT_EQ(metric("sluice_kafka_consumer_lag_records{topic=\"t\"}"), 0);
  EXPECT_EQ(metric("sluice_kafka_consumer_partitions{topic=\"t\"}"), 0);
}

}  // namespace
}  // namespace sluice::kafka
