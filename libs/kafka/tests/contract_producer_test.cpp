#include "contract.h"

#include <atomic>
#include <format>
#include <set>

#include <sluice/kafka/sender.h>
#include <sluice/testing/eventually.h>

#include <gmock/gmock.h>

namespace sluice::kafka::contract {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::SizeIs;

std::vector<std::string> numbered(std::string_view prefix, int count) {
  std::vector<std::string> texts;
  for (int i = 0; i < count; ++i) texts.push_back(std::format("{}{}", prefix, i));
  return texts;
}

TEST_P(ProducerContract, CompletesEachRecordOnceAndSaysWhereItIs) {
  const std::string topic = world_->make_topic(3);
  const auto keys = numbered("device-", 100);
  const auto producer = world_->producer();
  for (std::uint64_t i = 0; i < keys.size(); ++i) {
    ASSERT_TRUE(producer->try_append({.topic = topic, .key = keys[i], .value = keys[i]}, i));
  }
  EXPECT_EQ(producer->in_flight(), keys.size());

  const auto completions = complete_all(*producer, keys.size());
  EXPECT_EQ(producer->in_flight(), 0U);
  std::map<std::pair<std::int32_t, std::int64_t>, std::string> places;
  std::set<std::uint64_t> tokens;
  for (const Completion& completion : completions) {
    EXPECT_FALSE(completion.failure);
    tokens.insert(completion.token);
    places[{completion.partition.value(), completion.offset.value()}] = keys.at(completion.token);
  }
  EXPECT_THAT(tokens, SizeIs(keys.size()));
  for (const Seen& record : read_all(*world_, topic, keys.size())) {
    EXPECT_EQ((places[{record.partition, record.offset}]), record.key);
  }
}

TEST_P(ProducerContract, KeepsTheOrderOfEachKeyAndPutsItWherePartitionForKeySays) {
  const std::string topic = world_->make_topic(4);
  const std::vector<std::string> keys{"tenant/a", "tenant/b", "tenant/c"};
  const auto values = numbered("", 90);
  std::vector<Record> records;
  for (std::size_t i = 0; i < values.size(); ++i) {
    records.push_back({.topic = topic, .key = keys[i % 3], .value = values[i]});
  }
  world_->append(records);

  std::map<std::string, std::vector<std::string>> by_key;
  for (const Seen& record : read_all(*world_, topic, values.size())) {
    EXPECT_EQ(Partition(record.partition), partition_for_key(record.key, 4));
    by_key[record.key].push_back(*record.value);
  }
  for (std::size_t k = 0; k < keys.size(); ++k) {
    std::vector<std::string> expected;
    for (std::size_t i = k; i < values.size(); i += 3) expected.push_back(values[i]);
    EXPECT_EQ(by_key[keys[k]], expected);
  }
}

TEST_P(ProducerContract, TellsNoValueFromAnEmptyOneAndCarriesHeaders) {
  const std::string topic = world_->make_topic(1);
  const Header trace{kTraceHeader, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"};
  world_->append({{.topic = topic, .key = "a", .value = "", .headers = {&trace, 1}},
                  {.topic = topic, .key = "b", .value = std::nullopt}});
  const auto records = read_all(*world_, topic, 2);
  ASSERT_THAT(records, SizeIs(2));
  EXPECT_EQ(records[0].value, "");
  EXPECT_EQ(records[0].trace, trace.value);
  EXPECT_EQ(records[1].value, std::nullopt);
  EXPECT_EQ(records[1].trace, std::nullopt);
}

TEST_P(ProducerContract, PutsARecordInThePartitionThatItsCallerComputed) {
  const std::string topic = world_->make_topic(3);
  world_->append({{.topic = topic, .key = "a", .value = "v", .partition = Partition(2)}});
  EXPECT_EQ(read_all(*world_, topic, 1).at(0).partition, 2);
}

TEST_P(ProducerContract, RefusesBeyondItsLimitOfRecordsAndTakesMoreAfterPolling) {
  const std::string topic = world_->make_topic(1);
  const auto producer = world_->producer({.linger = 1ms, .max_in_flight_records = 10});
  for (std::uint64_t i = 0; i < 10; ++i) {
    ASSERT_TRUE(producer->try_append({.topic = topic, .value = "v"}, i));
  }
  const auto refused = producer->try_append({.topic = topic, .value = "v"}, 10);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::kResourceExhausted);
  EXPECT_EQ(producer->in_flight(), 10U);

  EXPECT_THAT(complete_all(*producer, 10), SizeIs(10));
  EXPECT_TRUE(producer->try_append({.topic = topic, .value = "v"}, 11));
}

TEST_P(ProducerContract, RefusesBeyondItsLimitOfBytes) {
  const std::string topic = world_->make_topic(1);
  const auto producer = world_->producer({.max_record = 60_KiB, .max_in_flight = 100_KiB});
  const std::string value(60'000, 'x');
  ASSERT_TRUE(producer->try_append({.topic = topic, .value = value}, 0));
  const auto refused = producer->try_append({.topic = topic, .value = value}, 1);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::kResourceExhausted);
}

TEST_P(ProducerContract, RefusesARecordThatIsTooLarge) {
  const std::string topic = world_->make_topic(1);
  const auto producer = world_->producer({.max_record = 1_KiB});
  const std::string value(1'025, 'x');
  const auto refused = producer->try_append({.topic = topic, .value = value}, 0);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(producer->in_flight(), 0U);
}

TEST_P(ProducerContract, FlushWaitsForAllAndKeepsTheirCompletions) {
  const std::string topic = world_->make_topic(1);
  const auto producer = world_->producer();
  for (std::uint64_t i = 0; i < 5; ++i) {
    ASSERT_TRUE(producer->try_append({.topic = topic, .value = "v"}, i));
  }
  ASSERT_TRUE(producer->flush(30s));
  EXPECT_EQ(producer->in_flight(), 0U);
  std::vector<Completion> completions;
  EXPECT_EQ(producer->poll(completions), 5U);
  EXPECT_THAT(completions, SizeIs(5));
}

TEST_P(ProducerContract, KnowsHowManyPartitionsATopicHas) {
  const std::string topic = world_->make_topic(5);
  const auto producer = world_->producer();
  EXPECT_EQ(producer->partition_count(topic, 10s), 5);
  const auto unknown = producer->partition_count(topic + "_none", 10s);
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code(), ErrorCode::kNotFound);
}

TEST_P(SenderContract, TellsEachSenderWhatBecameOfItsRecord) {
  const std::string topic = world_->make_topic(1);
  std::atomic<int> stored = 0;
  Sender sender(world_->producer(), world_->clock);
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(sender.send({.topic = topic, .value = "v"}, [&](const Result<>& result) {
      if (result) ++stored;
    }));
  }
  ASSERT_TRUE(sender.flush(30s));
  EXPECT_EQ(stored, 20);
  EXPECT_THAT(read_all(*world_, topic, 20), SizeIs(20));
}

TEST_P(SenderContract, SendAndWaitReturnsWhenAllAreStoredInOrderAlsoPastTheLimitInFlight) {
  const std::string topic = world_->make_topic(1);
  const auto values = numbered("", 50);
  std::vector<Record> records;
  for (const std::string& value : values)
    records.push_back({.topic = topic, .key = "k", .value = value});
  Sender sender(world_->producer({.linger = 1ms, .max_in_flight_records = 8}), world_->clock);
  const auto sent = sender.send_and_wait(records, 30s);
  ASSERT_TRUE(sent) << sent.error().message();

  std::vector<std::string> stored;
  for (const Seen& record : read_all(*world_, topic, values.size()))
    stored.push_back(*record.value);
  EXPECT_EQ(stored, values);
}

TEST_P(SenderContract, CancelsWhatIsUndecidedAtItsEnd) {
  const std::string topic = world_->make_topic(1);
  Result<> result;
  {
    // Nothing leaves within this linger.
    Sender sender(world_->producer({.linger = 1s}), world_->clock);
    ASSERT_TRUE(
        sender.send({.topic = topic, .value = "v"}, [&](Result<> r) { result = std::move(r); }));
  }
  // The fake has no linger: there it may have been stored. What counts is that somebody was told.
  EXPECT_TRUE(result || result.error().code() == ErrorCode::kCancelled);
}

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(ProducerContract);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(SenderContract);

}  // namespace
}  // namespace sluice::kafka::contract
