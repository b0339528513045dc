#include "adapters/redriver.h"

#include "testing/validator_database.h"

#include <chrono>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include <sluice/kafka/testing/fake_kafka.h>
#include <sluice/kafka/topics.h>
#include <sluice/telemetry/v1/rejected_message.pb.h>
#include <sluice/testing/sim_clock.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::validator::testing {
namespace {

using namespace std::chrono_literals;
using sluice::testing::FakeKafka;
using ::testing::ElementsAre;

constexpr std::string_view kRaw = kafka::topics::kTelemetryRaw.name;
constexpr std::string_view kRejected = kafka::topics::kTelemetryRejected.name;
constexpr WallTime kNoon{std::chrono::milliseconds(1'800'014'400'000)};
const TenantId kBlue("blue");

class RedriverTest : public ::testing::Test {
 protected:
  RedriverTest() {
    kafka.create_topic(kRaw, 2);
    kafka.create_topic(kRejected, 2);
  }

  /// A message of a device that was set aside, in the topic and in the index.
  void reject(const std::string& device, const std::string& payload, int partition) {
    telemetry::v1::RejectedMessage message;
    message.mutable_raw()->set_message_id("0123456789abcdef");
    message.mutable_raw()->set_tenant("blue");
    message.mutable_raw()->set_device(device);
    message.mutable_raw()->set_payload(payload);
    message.mutable_raw()->set_received_at_ms(17);
    message.set_source_partition(partition);
    const auto offset = kafka.append(kRejected, "blue/" + device, message.SerializeAsString(),
                                     kafka::Partition(partition));
    index(device, partition, offset.value());
  }
  void index(const std::string& device, int partition, std::int64_t offset) {
    const RejectionRow row{
        .place = {.rejected_at = kNoon, .partition = partition, .offset = offset},
        .tenant = "blue",
        .device_id = device,
        .reason = "schema_violation"};
    ASSERT_TRUE(store.insert({&row, 1}));
  }
  void begin(const std::string& id) {
    RejectionStore::NewRedrive redrive;
    redrive.tenant = kBlue;
    redrive.redrive_id = id;
    redrive.selection.to = kNoon + 1h;
    redrive.selection_json = to_json(redrive.selection);
    redrive.max_messages = 1'000;
    ASSERT_TRUE(store.begin_redrive(redrive));
  }
  /// Its clock stands still, so that each run() is a batch and no more.
  std::unique_ptr<Redriver> instance(std::int64_t batch = 2) {
    return std::make_unique<Redriver>(
        Redriver::Options{.per_second = 1'000, .batch = batch, .timeout = 5s}, *database.pool,
        store, sender, kafka.partition_reader(), clock, log, registry);
  }
  Result<> run(Redriver& redriver) {
    clock.advance(1s);
    return redriver.run(std::stop_token());
  }
  Redrive state(const std::string& id) { return *store.find_redrive(kBlue, id); }

  std::vector<telemetry::v1::RawMessage> sent() const {
    std::vector<telemetry::v1::RawMessage> out;
    for (const auto& record : kafka.records(kRaw)) {
      EXPECT_TRUE(out.emplace_back().ParseFromString(*record.value));
    }
    return out;
  }
  std::vector<std::string> payloads() const {
    std::vector<std::string> out;
    for (const auto& message : sent()) out.push_back(message.payload());
    return out;
  }

  ValidatorDatabase database;
  RejectionStore store{*database.pool};
  sluice::testing::SimClock clock;
  FakeKafka kafka{clock};
  kafka::Sender sender{kafka.producer(), clock};
  Registry registry;
  Logger log = database.log->logger("redriver", clock);
};

TEST_F(RedriverTest, SendsMessagesAsTheyWereMarkedWithItsId) {
  reject("d", "p", 1);
  begin("fix");
  const auto one = instance();
  ASSERT_TRUE(run(*one));
  const auto messages = sent();
  ASSERT_EQ(messages.size(), 1U);
  EXPECT_EQ(messages[0].redrive_id(), "fix");
  EXPECT_EQ(messages[0].message_id(), "0123456789abcdef");
  EXPECT_EQ(messages[0].received_at_ms(), 17);
  EXPECT_EQ(kafka.records(kRaw)[0].partition, kafka::Partition(1)) << "that it came from";
  EXPECT_EQ(kafka.records(kRaw)[0].key, "blue/d");
}

TEST_F(RedriverTest, GoesThroughAllOfItInTheOrderOfEachDevice) {
  for (int i = 0; i < 5; ++i) reject("a", "a" + std::to_string(i), 0);
  for (int i = 0; i < 3; ++i) reject("b", "b" + std::to_string(i), 1);
  begin("fix");
  const auto one = instance();
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(run(*one));
  EXPECT_THAT(payloads(), ElementsAre("a0", "a1", "a2", "a3", "a4", "b0", "b1", "b2"));
  EXPECT_EQ(state("fix").state, "succeeded");
  EXPECT_EQ(state("fix").sent, 8);
  EXPECT_EQ(database.log->count("redrive_done"), 1U);
}

TEST_F(RedriverTest, CountsWhatKafkaHasNoMore) {
  reject("a", "0", 0);
  reject("a", "1", 0);
  kafka.append(kRejected, "blue/a", "no message", kafka::Partition(0));
  index("a", 0, 2);
  kafka.delete_before({std::string(kRejected), kafka::Partition(0)}, kafka::Offset(1));
  begin("fix");
  const auto one = instance(10);
  ASSERT_TRUE(run(*one));
  ASSERT_TRUE(run(*one));
  EXPECT_THAT(payloads(), ElementsAre("1"));
  EXPECT_EQ(state("fix").state, "succeeded");
  EXPECT_EQ(state("fix").missing, 2);
}

TEST_F(RedriverTest, AFailedBatchIsSentAgainAndNothingBehindItBefore) {
  for (int i = 0; i < 4; ++i) reject("a", std::to_string(i), 0);
  begin("fix");
  const auto one = instance();
  kafka.fail_next_appends(1, ErrorCode::kInternal);
  EXPECT_FALSE(run(*one));
  EXPECT_EQ(state("fix").sent, 0);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(run(*one));
  EXPECT_EQ(state("fix").sent, 4);
  const auto all = payloads();
  EXPECT_THAT(std::vector(all.end() - 4, all.end()), ElementsAre("0", "1", "2", "3"));
}

TEST_F(RedriverTest, ABatchOfLargeMessagesEndsAtItsBytes) {
  const std::string large(1'000, 'x');
  for (int i = 0; i < 3; ++i) reject("a", std::to_string(i) + large, 0);
  for (int i = 3; i < 5; ++i) reject("b", std::to_string(i) + large, 1);
  begin("fix");
  Redriver one({.batch = 100, .batch_bytes = 1'500, .timeout = 5s}, *database.pool, store, sender,
               kafka.partition_reader(), clock, log, registry);
  for (const std::size_t sent_by_then : {2U, 4U, 5U}) {
    ASSERT_TRUE(run(one));
    EXPECT_EQ(payloads().size(), sent_by_then);
  }
  for (int i = 0; i < 5; ++i) EXPECT_EQ(payloads()[static_cast<std::size_t>(i)][0], '0' + i);
  ASSERT_TRUE(run(one));
  EXPECT_EQ(state("fix").state, "succeeded");
  EXPECT_EQ(state("fix").missing, 0);
}

TEST_F(RedriverTest, TakesTurnsAmongRedrives) {
  for (int i = 0; i < 4; ++i) reject("a", std::to_string(i), 0);
  begin("one");
  begin("two");
  const auto redriver = instance();
  ASSERT_TRUE(run(*redriver));
  ASSERT_TRUE(run(*redriver));
  EXPECT_EQ(state("one").sent, 2);
  EXPECT_EQ(state("two").sent, 2);
}

TEST_F(RedriverTest, OfTwoInstancesOneSendsUntilItsSessionEnds) {
  for (int i = 0; i < 6; ++i) reject("a", std::to_string(i), 0);
  begin("fix");
  auto first = instance();
  const auto second = instance();
  ASSERT_TRUE(run(*first));
  ASSERT_TRUE(run(*second));
  EXPECT_EQ(state("fix").sent, 2) << "the second waits";
  first.reset();  // dies
  ASSERT_TRUE(run(*second));
  ASSERT_TRUE(run(*second));
  ASSERT_TRUE(run(*second));
  EXPECT_EQ(state("fix").state, "succeeded");
  EXPECT_THAT(payloads(), ElementsAre("0", "1", "2", "3", "4", "5")) << "goes on where it was";
}

TEST_F(RedriverTest, AnInstanceThatWasTakenForDeadMakesNobodySendAgain) {
  for (int i = 0; i < 6; ++i) reject("a", std::to_string(i), 0);
  begin("fix");
  Redrive late = **store.next_redrive();  // and then its session ends, in the middle of a batch
  const auto other = instance();
  ASSERT_TRUE(run(*other));
  ASSERT_TRUE(run(*other));
  late.sent = 2;
  late.cursor = RejectionPlace{.rejected_at = kNoon, .partition = 0, .offset = 1};
  EXPECT_EQ(store.advance_redrive(late, {}).error().reason(), "redrive_moved");
  ASSERT_TRUE(run(*other));
  ASSERT_TRUE(run(*other));
  EXPECT_THAT(payloads(), ElementsAre("0", "1", "2", "3", "4", "5"));
  EXPECT_EQ(state("fix").sent, 6);
}

}  // namespace
}  // namespace sluice::validator::testing
