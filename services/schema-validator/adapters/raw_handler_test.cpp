#include "adapters/raw_handler.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include <sluice/base/planted_bug.h>
#include <sluice/kafka/testing/fake_kafka.h>
#include <sluice/kafka/topics.h>
#include <sluice/testing/captured_log.h>
#include <sluice/testing/sim_clock.h>
#include <sluice/testing/sim_random.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::validator {
namespace {

using namespace std::chrono_literals;
using sluice::testing::FakeKafka;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr std::string_view kRaw = kafka::topics::kTelemetryRaw.name;
constexpr std::string_view kValid = kafka::topics::kTelemetryValid.name;
constexpr std::string_view kRejected = kafka::topics::kTelemetryRejected.name;
constexpr std::string_view kState = kafka::topics::kValidatorState.name;

/// Says of each record what its value says: "bad…" is rejected, "poison" throws, anything else is
/// valid. Remembers each of them, so that devices have states.
class SayingJudge final : public RecordJudge {
 public:
  SayingJudge(std::vector<std::string>& seen, std::vector<const Catalogue*>& judged_by)
      : seen_(seen), judged_by_(judged_by) {}

  Outcome judge(const SourceRecord& record, PartitionState& state, const Catalogue& catalogue,
                Outputs& outputs) override {
    judged_by_.push_back(&catalogue);
    if (state.was_judged(record.key, record.offset, record.timestamp_ms)) {
      return Outcome::kReprocessed;
    }
    seen_.emplace_back(record.value);
    if (record.value == "poison") throw std::runtime_error("cannot");
    Extracted extracted;
    extracted.samples.push_back({.sequence = static_cast<std::uint64_t>(record.offset)});
    Judgement judgement;
    state.devices().judge({.device_key = record.key, .received_at_ms = record.now_ms}, extracted,
                          judgement);
    outputs.buffer() += record.value;
    const bool is_bad = record.value.starts_with("bad");
    outputs.end(is_bad ? Outputs::Kind::kRejected : Outputs::Kind::kValid);
    return is_bad ? Outcome::kRejected : Outcome::kValid;
  }
  void reject(const SourceRecord& record, const Rejection& rejection, Outputs& outputs) override {
    outputs.buffer() += std::string(record.value) + ":" + std::string(name_of(rejection.reason));
    outputs.end(Outputs::Kind::kRejected);
  }

 private:
  std::vector<std::string>& seen_;
  std::vector<const Catalogue*>& judged_by_;
};

/// A worker without its thread.
class Worker {
 public:
  Worker(FakeKafka& kafka, const Clock& clock, RawMetrics& metrics, Registry& registry,
         const CatalogueHolder& catalogue, const Logger& log, RawHandler::Options options = small())
      : handler(options, clock, log, metrics, catalogue,
                {.producer = kafka.producer(),
                 .states = kafka.partition_reader(),
                 .judge = std::make_unique<SayingJudge>(seen, judged_by)}),
        loop({.durability = kafka::Durability::kOnMark, .limits = quick()}, clock, random, log,
             registry, kafka.group_consumer("schema-validator", {std::string(kRaw)}), handler) {}

  static RawHandler::Options small() {
    RawHandler::Options options;
    options.stream.max_devices = 100;
    options.filter_capacity = 1024;
    options.state_interval = 0ms;
    options.room_timeout = 0ms;
    options.flush_timeout = 0ms;
    return options;
  }
  static kafka::ConsumerConfig quick() {
    kafka::ConsumerConfig limits;
    limits.commit_interval = 0ms;
    limits.poison_attempts = 2;
    limits.retry_backoff = 0ms;
    limits.max_retry_backoff = 0ms;
    return limits;
  }

  void turn(int times = 4) {
    for (int i = 0; i < times; ++i) static_cast<void>(loop.step(0ms));
  }

  std::vector<std::string> seen;
  std::vector<const Catalogue*> judged_by;
  sluice::testing::SimRandom random{1};
  RawHandler handler;
  kafka::ConsumerLoop loop;
};

class RawHandlerTest : public ::testing::Test {
 protected:
  RawHandlerTest() {
    for (const auto topic : {kRaw, kValid, kRejected}) kafka.create_topic(topic, 2);
    kafka.create_topic(kState, 2, kafka::Cleanup::kCompact);
  }

  std::unique_ptr<Worker> worker(RawHandler::Options options = Worker::small()) {
    return std::make_unique<Worker>(kafka, clock, metrics, registry, catalogue, log, options);
  }
  void send(const std::string& key, const std::string& value, int partition = 0) {
    kafka.append(kRaw, key, value, kafka::Partition(partition));
  }
  std::vector<std::string> values(std::string_view topic) const {
    std::vector<std::string> out;
    for (const auto& record : kafka.records(topic)) out.push_back(record.value.value_or("gone"));
    return out;
  }
  std::vector<std::string> keys(std::string_view topic) const {
    std::vector<std::string> out;
    for (const auto& record : kafka.records(topic)) out.push_back(record.key);
    return out;
  }
  std::int64_t committed(int partition = 0) const {
    const auto offset =
        kafka.committed("schema-validator", {std::string(kRaw), kafka::Partition(partition)});
    return offset ? offset->value() : -1;
  }
  std::uint64_t outcome(Outcome which) const {
    return metrics.outcomes[static_cast<std::size_t>(which)].value();
  }

  sluice::testing::SimClock clock;
  FakeKafka kafka{clock};
  Registry registry;
  RawMetrics metrics{registry};
  CatalogueHolder catalogue;
  std::shared_ptr<sluice::testing::CapturedLog> captured =
      std::make_shared<sluice::testing::CapturedLog>();
  Logger log = captured->logger("raw-handler", clock);
};

TEST_F(RawHandlerTest, SendsEachMessageToOneTopicInThePartitionItCameFrom) {
  send("t/a", "1");
  send("t/b", "bad 2", 1);
  const auto one = worker();
  one->turn();
  EXPECT_THAT(values(kValid), ElementsAre("1"));
  EXPECT_THAT(values(kRejected), ElementsAre("bad 2"));
  EXPECT_EQ(kafka.records(kRejected)[0].partition, kafka::Partition(1));
  EXPECT_EQ(kafka.records(kRejected)[0].key, "t/b");
  EXPECT_EQ(committed(), 1);
}

TEST_F(RawHandlerTest, CommitsNothingThatKafkaHasNotAcknowledged) {
  const auto one = worker();
  kafka.hold_acks(true);
  send("t/a", "1");
  send("t/a", "2");
  one->turn();
  EXPECT_THAT(values(kValid), ElementsAre("1", "2"));
  EXPECT_EQ(committed(), -1);
  EXPECT_THAT(values(kState), IsEmpty());  // no state may be ahead of what was acknowledged
  kafka.hold_acks(false);
  one->turn();
  EXPECT_EQ(committed(), 2);
  EXPECT_EQ(values(kState).size(), 1U);
}

TEST_F(RawHandlerTest, AfterACrashWhatWasNotCommittedIsDoneAgainAndNothingElse) {
  {
    const auto one = worker();
    send("t/a", "1");
    one->turn();
    kafka.hold_acks(true);
    send("t/a", "2");
    one->turn();
  }  // dies
  kafka.hold_acks(false);
  const auto two = worker();
  two->turn();
  EXPECT_THAT(two->seen, ElementsAre("2"));
  EXPECT_EQ(committed(), 2);
}

TEST_F(RawHandlerTest, AMessageThatARestoredStateIncludesHasHadItsEffect) {
  {
    const auto one = worker();
    kafka.fail_next_commits(100, ErrorCode::kUnavailable);
    send("t/a", "1");
    one->turn();
    EXPECT_EQ(values(kState).size(), 1U);
  }  // dies between its state and its commit
  kafka.fail_next_commits(0, ErrorCode::kUnavailable);
  send("t/a", "2");
  const auto two = worker();
  two->turn();
  EXPECT_THAT(two->seen, ElementsAre("2"));
  EXPECT_EQ(outcome(Outcome::kReprocessed), 1U);
  EXPECT_THAT(values(kValid), ElementsAre("1", "2"));
  EXPECT_EQ(committed(), 2);
}

TEST_F(RawHandlerTest, StatesGoWithTheirPartition) {
  auto one = worker();
  send("t/a", "1", 0);
  send("t/b", "2", 1);
  one->turn();
  auto two = worker();
  for (int i = 0; i < 20; ++i) {
    one->turn(1);
    two->turn(1);
  }
  EXPECT_EQ(metrics.states_restored.value(), 1U);
  send("t/a", "3", 0);
  send("t/b", "4", 1);
  for (int i = 0; i < 4; ++i) {
    one->turn(1);
    two->turn(1);
  }
  EXPECT_EQ(values(kValid).size(), 4U);
  EXPECT_EQ(outcome(Outcome::kReprocessed), 0U);
  EXPECT_EQ(one->seen.size() + two->seen.size(), 4U);
}

TEST_F(RawHandlerTest, EveryWorkerJudgesByTheNewCatalogueFromItsNextBatchOn) {
  const auto one = worker();
  const auto two = worker();
  const auto turn_both = [&] {
    for (int i = 0; i < 20; ++i) {
      one->turn(1);
      two->turn(1);
    }
  };
  turn_both();
  const auto before = catalogue.load();
  for (int round = 0; round < 2; ++round) {
    send("t/a", "1", 0);
    send("t/b", "2", 1);
    turn_both();
    for (const auto* const each : {one.get(), two.get()}) {
      ASSERT_EQ(each->judged_by.size(), static_cast<std::size_t>(round) + 1);
      EXPECT_EQ(each->judged_by.back() == before.get(), round == 0);
      EXPECT_EQ(each->judged_by.back(), catalogue.load().get());
    }
    catalogue.store(std::make_shared<const Catalogue>());
  }
}

TEST_F(RawHandlerTest, AnEvictedStateIsWrittenAllTheSame) {
  RawHandler::Options options = Worker::small();
  options.stream.max_devices = 1;
  options.state_interval = 1h;
  const auto one = worker(options);
  for (const char* const device : {"t/a", "t/b", "t/c"}) send(device, "1");
  one->turn();
  clock.advance(1h);
  one->turn();
  EXPECT_EQ(keys(kState), (std::vector<std::string>{"t/a", "t/b", "t/c", "t/a"}));
  EXPECT_EQ(values(kState).back(), "gone") << "an hour later";
  EXPECT_EQ(metrics.states_written.value(), 3U);
}

TEST_F(RawHandlerTest, TheStateOfALongSilentDeviceIsDeleted) {
  const auto one = worker();
  send("t/old", "1");
  one->turn();
  clock.advance(std::chrono::hours(24) * 7);
  send("t/new", "2");
  one->turn();
  EXPECT_EQ(metrics.states_forgotten.value(), 0U) << "its window may still be asked for";
  clock.advance(std::chrono::hours(25));
  send("t/new", "3");
  one->turn(8);
  EXPECT_EQ(metrics.states_forgotten.value(), 1U);
  EXPECT_EQ(values(kState).back(), "gone");
  EXPECT_EQ(keys(kState).back(), "t/old");
}

TEST_F(RawHandlerTest, TheRecordOfAnEvictedDeviceIsDeletedOnceItsStateWasWritten) {
  RawHandler::Options options = Worker::small();
  options.stream.max_devices = 1;
  const auto one = worker(options);
  send("t/a", "1");
  one->turn();
  send("t/b", "2");
  one->turn(8);
  EXPECT_EQ(keys(kState), (std::vector<std::string>{"t/a", "t/a", "t/b"}));
  EXPECT_THAT(values(kState)[1], "gone");
  EXPECT_EQ(metrics.states_forgotten.value(), 1U);
}

TEST_F(RawHandlerTest, AChangelogOfMoreDevicesThanHaveRoomIsMadeSmaller) {
  {
    const auto one = worker();
    for (int i = 0; i < 20; ++i) send("t/" + std::to_string(i), "1");
    one->turn();
    one->loop.stop();
  }
  RawHandler::Options options = Worker::small();
  options.stream.max_devices = 5;
  const auto two = worker(options);
  send("t/19", "2");
  two->turn(20);
  std::map<std::string, bool> is_kept;
  for (const auto& record : kafka.records(kState)) is_kept[record.key] = record.value.has_value();
  EXPECT_EQ(std::ranges::count(is_kept, true, &std::pair<const std::string, bool>::second), 5 + 10)
      << "the five that have room, and of the others those past as many more";
}

TEST_F(RawHandlerTest, APlantedChangelogThatOnlyGrowsIsSeen) {
  const ScopedPlantedBug bug("validator_deletes_no_state");
  RawHandler::Options options = Worker::small();
  options.stream.max_devices = 1;
  const auto one = worker(options);
  for (const char* const device : {"t/a", "t/b"}) {
    send(device, "1");
    one->turn(8);
  }
  clock.advance(std::chrono::hours(24) * 9);
  send("t/c", "3");
  one->turn(8);
  EXPECT_EQ(keys(kState), (std::vector<std::string>{"t/a", "t/b", "t/c"}));
  EXPECT_EQ(metrics.states_forgotten.value(), 0U);
}

TEST_F(RawHandlerTest, PoisonIsSetAsideAndItsPartitionGoesOn) {
  const auto one = worker();
  send("t/a", "1");
  send("t/a", "poison");
  send("t/a", "3");
  one->turn(20);
  EXPECT_THAT(values(kValid), ElementsAre("1", "3"));
  EXPECT_THAT(values(kRejected), ElementsAre("poison:internal"));
  EXPECT_EQ(committed(), 3);
  EXPECT_EQ(metrics.poisoned.value(), 1U);
}

TEST_F(RawHandlerTest, AfterALostOutputItTakesNothingMoreAndCommitsNoFurther) {
  const auto one = worker();
  send("t/a", "1");
  one->turn();
  kafka.fail_next_appends(1, ErrorCode::kUnavailable);
  send("t/a", "2");
  one->turn();
  send("t/a", "3");
  one->turn();
  EXPECT_TRUE(one->handler.is_broken());
  EXPECT_EQ(committed(), 1);
  one->loop.stop();
  EXPECT_EQ(committed(), 1);
  const auto two = worker();
  two->turn();
  EXPECT_THAT(values(kValid), ElementsAre("1", "2", "3"));
  EXPECT_EQ(committed(), 3);
}

TEST_F(RawHandlerTest, AQuietTenantIsHandledBeforeTheRestOfAFlood) {
  RawHandler::Options options = Worker::small();
  options.fair_quantum = 1;
  for (int i = 0; i < 50; ++i) send("flood/a", "f" + std::to_string(i));
  send("quiet/b", "q");
  const auto one = worker(options);
  one->turn();
  EXPECT_EQ(one->seen.size(), 51U);
  EXPECT_LT(std::ranges::find(one->seen, "q") - one->seen.begin(), 3);
}

}  // namespace
}  // namespace sluice::validator
