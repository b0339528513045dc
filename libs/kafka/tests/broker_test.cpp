#include "broker_world.h"
#include "rd_consumer.h"
#include "rd_producer.h"

#include <array>
#include <format>
#include <set>
#include <stdexcept>

#include <sluice/kafka/sender.h>
#include <sluice/kafka/table_reader.h>
#include <sluice/testing/eventually.h>
#include <sluice/testing/fault_proxy.h>
#include <sluice/testing/shifted_clock.h>
#include <sluice/testing/sim_clock.h>

#include <gmock/gmock.h>

/// What only a real broker can show.
namespace sluice::kafka::contract {
namespace {

using namespace std::chrono_literals;
using testing::eventually;

std::vector<std::string> numbered(int count) {
  std::vector<std::string> texts;
  for (int i = 0; i < count; ++i) texts.push_back(std::format("{}", i));
  return texts;
}

TEST(RdProducer, IsRebuiltAfterAFatalErrorAndStoresAllItHadTakenInOrder) {
  BrokerWorld world;
  const std::string topic = world.make_topic(1);
  const ProducerConfig limits{.linger = 200ms};
  rd::RdProducer producer(world.config, limits, world.clock, world.random, world.logger,
                          world.registry);
  ASSERT_TRUE(producer.open());
  const auto values = numbered(200);
  const Header trace{kTraceHeader, "t"};
  const auto append = [&](std::size_t i) {
    const Record record{.topic = topic, .key = "k", .value = values[i], .headers = {&trace, 1}};
    return producer.try_append(record, i);
  };
  for (std::size_t i = 0; i < 100; ++i) ASSERT_TRUE(append(i));
  rd_kafka_test_fatal_error(&producer.native(), RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER,
                            "as the test wants");

  std::vector<Completion> completions;
  for (std::size_t i = 100; i < 200; ++i) {
    ASSERT_TRUE(eventually([&] {
      producer.poll(completions);
      const auto taken = append(i);
      EXPECT_TRUE(taken || taken.error().code() == ErrorCode::kUnavailable)
          << taken.error().message();
      return taken.has_value();
    }));
  }
  ASSERT_TRUE(eventually([&] {
    producer.poll(completions);
    if (completions.size() < values.size()) producer.wait(20ms);
    return completions.size() >= values.size();
  }));
  std::set<std::uint64_t> tokens;
  for (const Completion& completion : completions) {
    EXPECT_FALSE(completion.failure);
    tokens.insert(completion.token);
  }
  EXPECT_EQ(tokens.size(), values.size());
  EXPECT_EQ(world.log->count("kafka_producer_rebuild"), 1U);

  // Twice is allowed after this error, a gap or another order is not.
  std::vector<std::string> first_time;
  std::set<std::string> stored;
  for (const Seen& record : read_all(world, topic, values.size())) {
    EXPECT_EQ(record.trace, "t");
    if (stored.insert(*record.value).second) first_time.push_back(*record.value);
  }
  EXPECT_EQ(first_time, values);
}

TEST(RdProducer, SendsAgainAfterAFatalErrorThoughItHadBeenIdleForLongerThanTheDeliveryTimeout) {
  BrokerWorld world;
  const std::string topic = world.make_topic(1);
  testing::SimClock clock;
  const ProducerConfig limits{.linger = 200ms};
  rd::RdProducer producer(world.config, limits, clock, world.random, world.logger, world.registry);
  ASSERT_TRUE(producer.open());
  clock.advance(2 * limits.delivery_timeout);
  ASSERT_TRUE(producer.try_append({.topic = topic, .key = "k", .value = "v"}, 7));
  rd_kafka_test_fatal_error(&producer.native(), RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER,
                            "as the test wants");
  const auto completions = complete_all(producer, 1);
  EXPECT_EQ(completions.at(0).failure, std::nullopt);
  EXPECT_EQ(world.log->count("kafka_producer_rebuild"), 1U);
}

TEST(RdProducer, FailsRecordsOfATopicThatDoesNotExist) {
  BrokerWorld world;
  const auto producer = world.producer({.linger = 1ms, .delivery_timeout = 2s});
  ASSERT_TRUE(producer->try_append({.topic = "none", .value = "v"}, 7));
  const auto completions = complete_all(*producer, 1);
  EXPECT_EQ(completions.at(0).token, 7U);
  EXPECT_TRUE(completions.at(0).failure);
}

TEST(RdProducer, LogsThatNoBrokerCanBeReachedAndFailsRecordsAtTheirTimeout) {
  BrokerWorld world;
  world.config.brokers = "127.0.0.1:1";
  const auto producer = world.producer({.linger = 1ms, .delivery_timeout = 1s});
  ASSERT_TRUE(producer->try_append({.topic = "t", .value = "v"}, 0));
  const auto completions = complete_all(*producer, 1);
  EXPECT_EQ(completions.at(0).failure, ErrorCode::kDeadlineExceeded);
  EXPECT_FALSE(completions.at(0).may_be_stored);
  EXPECT_GE(world.log->count("kafka_client"), 1U);
}

/// A broker behind a proxy that can be made to fail.
class BrokerFaults : public ::testing::Test {
 protected:
  BrokerFaults() {
    auto proxy =
        testing::FaultProxy::start({.target = testing::require_env("SLUICE_TEST_KAFKA_BROKERS")});
    if (!proxy) throw std::runtime_error(proxy.error().message());
    proxy_ = *std::move(proxy);
  }

  Config config_through_proxy() const {
    Config config = world_.config;
    config.connect_through = proxy_->address();
    return config;
  }

  template <typename T>
  static std::unique_ptr<T> opened(Result<std::unique_ptr<T>> result) {
    if (!result) throw std::runtime_error(result.error().message());
    return *std::move(result);
  }

  std::unique_ptr<Producer> producer_through_proxy(const ProducerConfig& limits) {
    return opened(open_producer(config_through_proxy(), limits, world_.clock, world_.random,
                                world_.logger, world_.registry));
  }

  BrokerWorld world_;
  std::unique_ptr<testing::FaultProxy> proxy_;
};

TEST_F(BrokerFaults, AStallAcknowledgesNothingHoldsNoMoreThanItsLimitAndLosesNothing) {
  const std::string topic = world_.make_topic(1);
  constexpr std::size_t kLimit = 500;
  const auto producer = producer_through_proxy({.linger = 1ms, .max_in_flight_records = kLimit});
  const auto values = numbered(2'000);
  std::vector<Completion> completions;
  std::size_t next = 0;
  const auto append_all_possible = [&] {
    while (next < values.size() &&
           producer->try_append({.topic = topic, .key = "k", .value = values[next]}, next)) {
      ++next;
    }
  };
  // Flowing, so that connections, producer id and leader are known.
  ASSERT_TRUE(producer->try_append({.topic = topic, .key = "k", .value = values[next]}, next));
  ++next;
  ASSERT_TRUE(producer->flush(30s));
  producer->poll(completions);
  ASSERT_EQ(completions.size(), 1U);

  proxy_->freeze();
  append_all_possible();
  EXPECT_EQ(next, 1 + kLimit);
  for (int i = 0; i < 20; ++i) {
    producer->wait(20ms);
    producer->poll(completions);
    append_all_possible();
  }
  EXPECT_EQ(completions.size(), 1U);
  EXPECT_EQ(next, 1 + kLimit);
  EXPECT_EQ(producer->in_flight(), kLimit);

  proxy_->thaw();
  ASSERT_TRUE(eventually([&] {
    append_all_possible();
    producer->wait(20ms);
    producer->poll(completions);
    return completions.size() >= values.size();
  }));
  for (const Completion& completion : completions) EXPECT_FALSE(completion.failure);
  std::vector<std::string> stored;
  for (const Seen& record : read_all(world_, topic, values.size())) stored.push_back(*record.value);
  EXPECT_EQ(stored, values);
}

TEST_F(BrokerFaults, LostAnswersAndBrokenConnectionsCauseNeitherLossNorRepeatsNorDisorder) {
  const std::string topic = world_.make_topic(1);
  const auto producer = producer_through_proxy({.linger = 1ms});
  const auto values = numbered(600);
  std::vector<Completion> completions;
  std::size_t next = 0;
  const auto append = [&](std::size_t count) {
    for (std::size_t i = 0; i < count; ++i, ++next) {
      ASSERT_TRUE(producer->try_append({.topic = topic, .key = "k", .value = values[next]}, next));
    }
  };
  append(1);
  ASSERT_TRUE(producer->flush(30s));
  for (int round = 0; round < 5; ++round) {
    producer->poll(completions);
    const std::size_t before = completions.size();
    const std::uint64_t sent_before = proxy_->stats().bytes_up;
    proxy_->set_faults(testing::Direction::kDown, {.dropped = true});
    append(100);
    // The broker gets the records and stores them, its answer is lost with the connection.
    ASSERT_TRUE(eventually([&] { return proxy_->stats().bytes_up > sent_before; }));
    producer->poll(completions);
    EXPECT_EQ(completions.size(), before);
    proxy_->heal();
    proxy_->reset();
    ASSERT_TRUE(producer->flush(30s));
  }
  append(values.size() - next);
  ASSERT_TRUE(producer->flush(30s));
  producer->poll(completions);
  ASSERT_EQ(completions.size(), values.size());
  for (const Completion& completion : completions) EXPECT_FALSE(completion.failure);
  std::vector<std::string> stored;
  for (const Seen& record : read_all(world_, topic, values.size())) stored.push_back(*record.value);
  EXPECT_EQ(stored, values);
}

TEST_F(BrokerFaults, AConsumerThatStopsWhileTheBrokerIsSilentDoesEnd) {
  const std::string topic = world_.make_topic(1);
  world_.append({{.topic = topic, .value = "v"}});
  ConsumerConfig limits = quick_limits();
  limits.commit_timeout = 500ms;
  RecordingHandler handler;
  bool has_revoked = false;
  handler.revoking = [&](auto, ConsumerControl& control) {
    has_revoked = true;
    control.mark_durable(topic, Partition(0), Offset(1));  // its commit takes all of the time
  };
  {
    ConsumerLoop loop(
        {.durability = Durability::kOnMark, .limits = limits}, world_.clock, world_.random,
        world_.logger, world_.registry,
        opened(open_group_consumer(config_through_proxy(), limits, testing::unique_name("g"),
                                   {topic}, world_.clock, world_.logger)),
        handler);
    ASSERT_TRUE(eventually([&] {
      static_cast<void>(loop.step(20ms));
      return handler.has(1);
    }));
    proxy_->freeze();
    loop.stop();
    EXPECT_TRUE(has_revoked);
  }  // a client that waits for what never comes would stay here
  EXPECT_EQ(world_.log->count("kafka_commit_failed"), 1U);
}

TEST_F(BrokerFaults, ManyTopicsOnASlowBrokerShareOneTimeout) {
  std::vector<TopicSpec> topics;
  std::vector<std::string> names;
  for (int i = 0; i < 20; ++i) names.push_back(testing::unique_name("many"));
  for (const std::string& name : names) topics.push_back({.name = name, .partitions = 1});
  ASSERT_TRUE(world_.admin().ensure(topics, 30s));

  const auto admin = opened(open_topic_admin(config_through_proxy(), world_.logger));
  ASSERT_TRUE(admin->ensure({topics.data(), 1}, 30s));
  // Each of the answers comes in time, all together do not.
  proxy_->set_faults(testing::Direction::kDown, {.delay = 400ms});
  const auto ensured = admin->ensure(topics, 3s);
  ASSERT_FALSE(ensured);
  EXPECT_EQ(ensured.error().code(), ErrorCode::kDeadlineExceeded) << ensured.error().message();
}

TEST_F(BrokerFaults, ARecordThatIsStoredButNeverAnsweredFailsSayingThatItMayBeStored) {
  const std::string topic = world_.make_topic(1);
  const auto producer = producer_through_proxy({.linger = 1ms, .delivery_timeout = 2s});
  ASSERT_TRUE(producer->try_append({.topic = topic, .value = "0"}, 0));
  ASSERT_TRUE(producer->flush(30s));
  const std::uint64_t sent_before = proxy_->stats().bytes_up;
  proxy_->set_faults(testing::Direction::kDown, {.dropped = true});
  ASSERT_TRUE(producer->try_append({.topic = topic, .value = "1"}, 1));
  ASSERT_TRUE(eventually([&] { return proxy_->stats().bytes_up > sent_before; }));
  const auto completions = complete_all(*producer, 2);
  EXPECT_EQ(completions.at(0).failure, std::nullopt);
  EXPECT_EQ(completions.at(1).failure, ErrorCode::kDeadlineExceeded);
  EXPECT_TRUE(completions.at(1).may_be_stored);
  EXPECT_EQ(read_all(world_, topic, 2).size(), 2U);
}

struct Rows final : TableHandler {
  void on_change(const RecordView& record) override { keys.insert(std::string(record.key)); }
  std::set<std::string> keys;
};

void add_partitions(rd_kafka_t& client, const std::string& full_topic, std::size_t count) {
  std::array<char, 256> why{};
  rd_kafka_NewPartitions_t* wanted =
      rd_kafka_NewPartitions_new(full_topic.c_str(), count, why.data(), why.size());
  ASSERT_NE(wanted, nullptr) << why.data();
  rd_kafka_queue_t* const answers = rd_kafka_queue_new(&client);
  rd_kafka_CreatePartitions(&client, &wanted, 1, nullptr, answers);
  rd_kafka_event_t* const answer = rd_kafka_queue_poll(answers, 30'000);
  EXPECT_EQ(rd_kafka_event_error(answer), RD_KAFKA_RESP_ERR_NO_ERROR);
  rd_kafka_event_destroy(answer);
  rd_kafka_NewPartitions_destroy(wanted);
  rd_kafka_queue_destroy(answers);
}

TEST(RdConsumer, ReadsPartitionsOfATableThatWereAddedLater) {
  BrokerWorld world;
  const std::string topic = world.make_topic(1, Cleanup::kCompact);
  testing::ShiftedClock clock;
  auto consumer =
      std::make_unique<rd::RdConsumer>(world.config, quick_limits(), clock, world.logger);
  ASSERT_TRUE(consumer->open_table(topic));
  rd_kafka_t& client = consumer->native();
  Rows rows;
  TableReader reader({.topic = topic, .refresh_interval = 20ms, .limits = quick_limits()}, clock,
                     world.logger, world.registry, std::move(consumer), rows);
  world.append({{.topic = topic, .key = "before", .value = "x"}});
  const auto reads = [&](const char* key) {
    return eventually([&] { return reader.step(20ms) && rows.keys.contains(key); });
  };
  ASSERT_TRUE(reads("before"));
  add_partitions(client, world.config.name_space + topic, 2);
  const auto appended = [&] {
    const auto producer = world.producer(ProducerConfig{});
    const Record record{.topic = topic, .key = "after", .value = "x", .partition = Partition(1)};
    if (!producer->try_append(record, 1) || !producer->flush(5s)) return false;
    std::vector<Completion> completions;
    producer->poll(completions);
    return completions.size() == 1 && !completions[0].failure;
  };
  ASSERT_TRUE(eventually(appended));
  EXPECT_TRUE(eventually([&] {
    clock.put_forward(60s);
    return reader.step(20ms) && rows.keys.contains("after");
  }));
  reader.stop();
}

}  // namespace
}  // namespace sluice::kafka::contract
