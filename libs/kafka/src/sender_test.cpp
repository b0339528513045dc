#include <sluice/kafka/sender.h>

#include <atomic>
#include <thread>

#include <sluice/kafka/testing/fake_kafka.h>
#include <sluice/testing/eventually.h>
#include <sluice/testing/sim_clock.h>

#include <gtest/gtest.h>

namespace sluice::kafka {
namespace {

using namespace std::chrono_literals;
using testing::eventually;

class SenderTest : public ::testing::Test {
 protected:
  SenderTest() { kafka_.create_topic("t", 1); }

  SystemClock clock_;
  testing::FakeKafka kafka_{clock_};
};

TEST_F(SenderTest, TellsNobodyBeforeKafkaHasAcknowledged) {
  kafka_.hold_acks(true);
  std::atomic<int> told = 0;
  Sender sender(kafka_.producer(), clock_);
  ASSERT_TRUE(sender.send({.topic = "t", .value = "v"}, [&](const Result<>&) { ++told; }));
  const auto flushed = sender.flush(100ms);
  ASSERT_FALSE(flushed);
  EXPECT_EQ(flushed.error().code(), ErrorCode::kDeadlineExceeded);
  EXPECT_EQ(told, 0);
  kafka_.hold_acks(false);
  EXPECT_TRUE(sender.flush(30s));
  EXPECT_EQ(told, 1);
}

TEST_F(SenderTest, ReportsTheFirstFailureOfABatch) {
  kafka_.fail_next_appends(1, ErrorCode::kPermissionDenied);
  Sender sender(kafka_.producer(), clock_);
  const std::vector<Record> records(3, {.topic = "t", .key = "k", .value = "v"});
  const auto sent = sender.send_and_wait(records, 30s);
  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error().code(), ErrorCode::kPermissionDenied);
  EXPECT_EQ(kafka_.records("t").size(), 2U);
}

TEST_F(SenderTest, GivesUpABatchAtItsDeadlineAndSurvivesTheLateAnswers) {
  kafka_.hold_acks(true);
  Sender sender(kafka_.producer(), clock_);
  const std::vector<Record> records(3, {.topic = "t", .value = "v"});
  const auto sent = sender.send_and_wait(records, 50ms);
  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error().code(), ErrorCode::kDeadlineExceeded);
  EXPECT_EQ(sent.error().reason(), "may_be_stored");
  kafka_.hold_acks(false);
  EXPECT_TRUE(sender.flush(30s));
}

TEST_F(SenderTest, RefusesWhenTooMuchIsInFlightAndDoesNotCallBack) {
  kafka_.hold_acks(true);
  Sender sender(kafka_.producer({.max_in_flight_records = 1}), clock_);
  ASSERT_TRUE(sender.send({.topic = "t", .value = "v"}, [](const Result<>&) {}));
  bool was_called = false;
  const auto refused =
      sender.send({.topic = "t", .value = "v"}, [&](const Result<>&) { was_called = true; });
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::kResourceExhausted);
  EXPECT_FALSE(was_called);
}

TEST_F(SenderTest, CancelsAtItsEndWhatKafkaHasNotAcknowledged) {
  kafka_.hold_acks(true);
  Result<> result;
  {
    Sender sender(kafka_.producer(), clock_);
    ASSERT_TRUE(
        sender.send({.topic = "t", .value = "v"}, [&](Result<> r) { result = std::move(r); }));
  }
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), ErrorCode::kCancelled);
}

TEST_F(SenderTest, TakesRecordsFromManyThreads) {
  std::atomic<int> stored = 0;
  Sender sender(kafka_.producer(), clock_);
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 50; ++i) {
          EXPECT_TRUE(sender.send({.topic = "t", .value = "v"},
                                  [&](const Result<>& r) { stored += r ? 1 : 0; }));
        }
      });
    }
  }
  ASSERT_TRUE(sender.flush(30s));
  EXPECT_EQ(stored, 200);
  EXPECT_EQ(kafka_.records("t").size(), 200U);
}

TEST_F(SenderTest, CallbacksMaySendMore) {
  Sender sender(kafka_.producer(), clock_);
  std::atomic<bool> is_second_stored = false;
  ASSERT_TRUE(sender.send({.topic = "t", .value = "1"}, [&](const Result<>&) {
    EXPECT_TRUE(sender.send({.topic = "t", .value = "2"},
                            [&](const Result<>& r) { is_second_stored = r.has_value(); }));
  }));
  EXPECT_TRUE(eventually([&] { return is_second_stored.load(); }));
}

}  // namespace
}  // namespace sluice::kafka
