#include "broker_world.h"
#include "rd_consumer.h"

#include <cstdlib>
#include <future>
#include <iostream>
#include <optional>
#include <thread>

#include <sluice/testing/eventually.h>
#include <sluice/testing/fault_proxy.h>

#include <gmock/gmock.h>

/// The end of a consumer that was not closed, whatever its group is doing. librdkafka's own way to
/// vanish waits for ever for the answer to a rebalance that nobody serves any more.
namespace sluice::kafka::contract {
namespace {

using namespace std::chrono_literals;
using rd::RdConsumer;
using testing::eventually;
using testing::unique_name;

/// Begins to read all that it is assigned.
struct Member final : RebalanceListener {
  std::vector<StartPosition> on_assigned(std::span<const TopicPartition> partitions) override {
    ++assignments;
    std::vector<StartPosition> positions;
    for (const TopicPartition& partition : partitions) {
      positions.push_back({partition});
      owned.push_back(partition);
    }
    return positions;
  }
  void on_revoked(std::span<const TopicPartition> partitions) override {
    ++revocations;
    for (const TopicPartition& partition : partitions) std::erase(owned, partition);
  }
  void on_lost(std::span<const TopicPartition> partitions) override { on_revoked(partitions); }

  void turn(std::chrono::milliseconds wait = 5ms) {
    std::vector<RecordView> records;
    static_cast<void>(consumer->poll(wait, 10, *this, records));
    consumer->release();
  }

  /// What came from librdkafka and was not served yet, rebalances and records alike.
  std::size_t waiting() {
    const rd::Queue queue(rd_kafka_queue_get_consumer(&consumer->native()));
    return rd_kafka_queue_length(queue.get());
  }

  /// At the end of empty partitions, so that the next thing to come is a rebalance.
  bool reads_ends() const {
    return !owned.empty() && std::ranges::all_of(owned, [&](const TopicPartition& partition) {
      return consumer->position(partition).has_value();
    });
  }

  std::unique_ptr<RdConsumer> consumer;
  std::vector<TopicPartition> owned;
  int assignments = 0;
  int revocations = 0;
};

class RdConsumerEnd : public ::testing::Test {
 protected:
  static ConsumerConfig limits() {
    ConsumerConfig limits = quick_limits();
    limits.session_timeout = 30s;  // a dead member stays for longer than a test looks at its group
    limits.commit_timeout = 2s;
    return limits;
  }

  Member join(const std::string& group, const std::string& topic) {
    return join(world_.config, group, topic);
  }
  Member join(const Config& config, const std::string& group, const std::string& topic) {
    Member member;
    member.consumer = std::make_unique<RdConsumer>(config, limits(), world_.clock, world_.logger);
    const auto opened = member.consumer->open_group(group, {topic});
    EXPECT_TRUE(opened) << opened.error().message();
    return member;
  }

  /// A member of its own group that has been assigned all partitions and knows that they are empty.
  Member join_and_read(const std::string& group, const std::string& topic) {
    return join_and_read(world_.config, group, topic);
  }
  Member join_and_read(const Config& config, const std::string& group, const std::string& topic) {
    Member member = join(config, group, topic);
    EXPECT_TRUE(eventually([&] {
      member.turn();
      return member.reads_ends();
    }));
    return member;
  }

  /// A second member joins, and turns until the first, which does not, has a rebalance to serve.
  static bool disturb(Member& first, Member& second) {
    EXPECT_EQ(first.waiting(), 0U);
    return eventually([&] {
      second.turn();
      return first.waiting() > 0;
    });
  }

  /// A member that reads a topic and has a rebalance to serve, as a second one has joined its
  /// group.
  struct Disturbed {
    Member first;
    Member second;
  };
  std::optional<Disturbed> disturbed_group(const std::string& topic) {
    const std::string group = unique_name("g");
    Member first = join_and_read(group, topic);
    Member second = join(group, topic);
    if (!disturb(first, second)) return {};
    return Disturbed{.first = std::move(first), .second = std::move(second)};
  }

  /// Destroys it. One that hangs can be left neither running (it uses the world) nor joined.
  static void expect_end(Member member) {
    std::promise<void> promise;
    std::future<void> ended = promise.get_future();
    std::jthread thread([&] {
      member.consumer.reset();
      promise.set_value();
    });
    if (ended.wait_for(testing::kEventuallyDeadline) == std::future_status::ready) return;
    std::cerr << "FAILED: a consumer's end has not come\n";
    std::abort();
  }

  BrokerWorld world_;
};

TEST_F(RdConsumerEnd, ComesRightAfterTheSubscription) {
  const std::string topic = world_.make_topic(1);
  for (int i = 0; i < 5; ++i) expect_end(join(unique_name("g"), topic));
}

TEST_F(RdConsumerEnd, ComesAtAnyTimeOfJoining) {
  const std::string topic = world_.make_topic(2);
  for (int turns = 0; turns < 25; ++turns) {
    Member member = join(unique_name("g"), topic);
    for (int i = 0; i < turns; ++i) member.turn();
    expect_end(std::move(member));
  }
}

TEST_F(RdConsumerEnd, ComesWithAnAssignmentThatNobodyServed) {
  const std::string topic = world_.make_topic(2);
  for (int i = 0; i < 3; ++i) {
    Member member = join(unique_name("g"), topic);
    ASSERT_TRUE(eventually([&] { return member.waiting() > 0; }));
    EXPECT_EQ(member.assignments, 0);
    expect_end(std::move(member));
  }
}

TEST_F(RdConsumerEnd, ComesWithAnAssignmentOfNothingThatNobodyServed) {
  const std::string topic = world_.make_topic(1);
  for (int i = 0; i < 2; ++i) {
    auto group = disturbed_group(topic);
    ASSERT_TRUE(group);
    expect_end(std::move(group->first));
    expect_end(std::move(group->second));
  }
}

TEST_F(RdConsumerEnd, ComesWithARevocationThatNobodyServed) {
  const std::string topic = world_.make_topic(2);
  for (int i = 0; i < 2; ++i) {
    auto group = disturbed_group(topic);
    ASSERT_TRUE(group);
    expect_end(std::move(group->first));
    expect_end(std::move(group->second));
  }
}

TEST_F(RdConsumerEnd, ComesWithTheAssignmentAfterARevocationThatNobodyServed) {
  const std::string topic = world_.make_topic(2);
  for (int i = 0; i < 2; ++i) {
    auto group = disturbed_group(topic);
    ASSERT_TRUE(group);
    ASSERT_TRUE(eventually([&] {
      group->first.turn(0ms);
      return group->first.revocations > 0;
    }));
    ASSERT_TRUE(eventually([&] { return group->first.waiting() > 0; }));
    expect_end(std::move(group->first));
    expect_end(std::move(group->second));
  }
}

TEST_F(RdConsumerEnd, ComesAfterACloseThatHadNoTime) {
  const std::string topic = world_.make_topic(2);
  for (int i = 0; i < 3; ++i) {
    Member unserved = join(unique_name("g"), topic);
    ASSERT_TRUE(eventually([&] { return unserved.waiting() > 0; }));
    static_cast<void>(unserved.consumer->close(unserved, 0ms));
    expect_end(std::move(unserved));

    Member reading = join_and_read(unique_name("g"), topic);
    static_cast<void>(reading.consumer->close(reading, 0ms));
    expect_end(std::move(reading));
  }
}

/// Behind a proxy that can make the broker silent.
class RdConsumerEndInSilence : public RdConsumerEnd {
 protected:
  RdConsumerEndInSilence() {
    auto proxy =
        testing::FaultProxy::start({.target = testing::require_env("SLUICE_TEST_KAFKA_BROKERS")});
    SLUICE_CHECK(proxy.has_value());
    proxy_ = *std::move(proxy);
    config_ = world_.config;
    config_.connect_through = proxy_->address();
  }

  std::unique_ptr<testing::FaultProxy> proxy_;
  Config config_;
};

TEST_F(RdConsumerEndInSilence, ComesWithAnAssignmentThatNobodyServed) {
  const std::string topic = world_.make_topic(2);
  Member member = join(config_, unique_name("g"), topic);
  ASSERT_TRUE(eventually([&] { return member.waiting() > 0; }));
  proxy_->freeze();
  expect_end(std::move(member));
}

TEST_F(RdConsumerEndInSilence, ComesWithACommitThatIsNotAnswered) {
  const std::string topic = world_.make_topic(1);
  Member member = join_and_read(config_, unique_name("g"), topic);
  proxy_->freeze();
  const CommitPoint point{{topic, Partition(0)}, Offset(0)};
  member.consumer->commit({&point, 1});
  expect_end(std::move(member));
}

TEST_F(RdConsumerEndInSilence, ComesAfterACloseThatGotNoAnswer) {
  const std::string topic = world_.make_topic(1);
  Member member = join_and_read(config_, unique_name("g"), topic);
  proxy_->freeze();
  const auto closed = member.consumer->close(member, 100ms);
  ASSERT_FALSE(closed);
  EXPECT_EQ(closed.error().code(), ErrorCode::kDeadlineExceeded);
  expect_end(std::move(member));
}

/// How many members the broker counts in a group.
int member_count(rd_kafka_t& client, const std::string& group) {
  const struct rd_kafka_group_list* groups = nullptr;
  const auto error = rd_kafka_list_groups(&client, group.c_str(), &groups, 30'000);
  EXPECT_EQ(error, RD_KAFKA_RESP_ERR_NO_ERROR) << rd_kafka_err2str(error);
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) return -1;
  const rd::Owned<const struct rd_kafka_group_list, rd_kafka_group_list_destroy> owner(groups);
  return groups->group_cnt == 1 ? groups->groups[0].member_cnt : -1;
}

TEST_F(RdConsumerEnd, IsNotToldToTheGroupUnlessClosed) {
  const std::string topic = world_.make_topic(1);
  const std::string group = unique_name("g");
  const Member observer = join(unique_name("observer"), topic);
  Member vanishing = join_and_read(group, topic);
  EXPECT_EQ(member_count(observer.consumer->native(), world_.config.name_space + group), 1);
  expect_end(std::move(vanishing));
  EXPECT_EQ(member_count(observer.consumer->native(), world_.config.name_space + group), 1);

  const std::string other = unique_name("g");
  Member closing = join_and_read(other, topic);
  EXPECT_TRUE(closing.consumer->close(closing, 30s));
  expect_end(std::move(closing));
  EXPECT_EQ(member_count(observer.consumer->native(), world_.config.name_space + other), 0);
}

}  // namespace
}  // namespace sluice::kafka::contract
