// Nothing is lost and nothing is doubled, whatever dies: the tables are compared with what was
// sent, value by value.
#include "own_postgres.h"
#include "writer_world.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <sluice/testing/child_process.h>
#include <sluice/testing/eventually.h>
#include <sluice/testing/sim_random.h>

#include <gtest/gtest.h>

namespace sluice::tsdb {
namespace {

using namespace std::chrono_literals;
using sluice::testing::eventually;
using sluice::testing::ExitStatus;
using testing::OwnPostgres;
using testing::Said;
using testing::WriterWorld;

// So that 500 messages are many flushes.
const platform::Environment kSmallFlushes{{"SLUICE_BATCH_MAX_SAMPLES", "200"},
                                          {"SLUICE_KAFKA_CONSUMER_MAX_BATCH_RECORDS", "50"}};

struct TakeoverTest : ::testing::Test {
  WriterWorld world;

  std::string flushes() const {
    return world.database().query_value("SELECT count(DISTINCT flush_id) FROM tsdb.hot");
  }
};

/// With PostgreSQL's partitions and with TimescaleDB's hypertables.
struct DurabilityTest : ::testing::TestWithParam<bool> {
  WriterWorld world{GetParam()};

  void SetUp() override {
    if (!world.is_possible()) GTEST_SKIP() << "this PostgreSQL does not preload timescaledb";
  }
  std::int64_t stored() const { return world.stored_records(); }
};

// Shows that nothing is lost and nothing is wrong wherever a kill falls. It does not show that rows
// and positions are of one transaction: a kill hardly ever falls between two commits, and rows that
// are stored twice have the same content. That is what the crash points below are for.
TEST_P(DurabilityTest, KilledAgainAndAgainUnderLoadTheTablesEqualTheSource) {
  SystemRandom random;
  std::atomic<bool> should_end{false};
  std::jthread source([&] {
    for (std::int64_t sent = 0; !should_end; sent += 200) {
      world.send(world.some_messages(200));
      // Not far ahead, so that every writer meets a source that still sends.
      eventually([&] { return should_end || stored() > sent - 2'000; });
    }
  });
  for (int kills = 0; kills < 6; ++kills) {
    const auto writer = world.writer();
    const std::int64_t anywhere = stored() + static_cast<std::int64_t>(random.below(2'000));
    EXPECT_TRUE(eventually([&] { return stored() >= anywhere; }));
    writer->kill();
  }
  should_end = true;
  source.join();
  const auto last = world.writer();
  EXPECT_EQ(world.wait_for_content(), "");
}

TEST_F(TakeoverTest, KilledBetweenRowsAndOffsetsNeitherIsThere) {
  world.send(world.some_messages(500));
  const auto doomed = world.doomed_writer("tsdb_writer_after_copy:2", kSmallFlushes);
  ASSERT_EQ(doomed->wait(), (ExitStatus{.signal = SIGKILL})) << doomed->output();
  EXPECT_EQ(flushes(), "1");
  EXPECT_EQ(world.rows_against_positions(), "");
  const auto next = world.writer();
  EXPECT_EQ(world.wait_for_content(), "");
}

TEST_F(TakeoverTest, KilledAfterTheCommitNothingIsDoubled) {
  world.send(world.some_messages(500));
  const auto doomed = world.doomed_writer("tsdb_writer_after_commit:2", kSmallFlushes);
  ASSERT_EQ(doomed->wait(), (ExitStatus{.signal = SIGKILL})) << doomed->output();
  EXPECT_EQ(flushes(), "2");
  EXPECT_EQ(world.rows_against_positions(), "");
  const auto stored = static_cast<double>(world.stored_records());
  const auto next = world.writer();
  EXPECT_EQ(world.wait_for_content(), "");
  // Not one record of them was read again. The metric follows the commit by a moment.
  const auto read = [&] { return next->metric("sluice_tsdb_writer_records_total"); };
  EXPECT_TRUE(eventually([&] { return read() >= 500 - stored; }));
  EXPECT_EQ(read(), 500 - stored);
}

TEST_P(DurabilityTest, WhenTheDatabasesSessionsDieUnderLoadTheTablesEqualTheSource) {
  const auto writer = world.writer();
  SystemRandom random;
  for (int i = 0; i < 30; ++i) {
    const std::int64_t anywhere = stored() + static_cast<std::int64_t>(random.below(300));
    world.send(world.some_messages(300));
    EXPECT_TRUE(eventually([&] { return stored() >= anywhere; }));
    world.database().terminate_backends();
  }
  EXPECT_EQ(world.wait_for_content(), "");
  EXPECT_TRUE(writer->process().is_running());
}

TEST(OwnServer, KilledAgainAndAgainUnderLoadWhatItHadCommittedIsThereAndTheRestComesAgain) {
  OwnPostgres server;
  WriterWorld world(server);
  const auto writer = world.writer();
  std::atomic<bool> should_end{false};
  std::jthread source([&] {
    while (!should_end) world.send(world.some_messages(100));
  });
  const auto stored = [&] { return writer->metric("sluice_tsdb_writer_records_total"); };
  for (int i = 0; i < 3; ++i) {
    const double before = stored();
    EXPECT_TRUE(eventually([&] { return stored() > before; }));
    const double failures = writer->metric("sluice_tsdb_writer_flush_failures_total");
    server.kill();
    EXPECT_TRUE(eventually([&] {
      return writer->metric("sluice_tsdb_writer_flush_failures_total") > failures;
    })) << "no flush met the dead server";
    server.start();
  }
  should_end = true;
  source.join();
  EXPECT_EQ(world.wait_for_content(), "");
  EXPECT_EQ(world.rows_against_positions(), "");
  EXPECT_TRUE(writer->process().is_running());
}

TEST_F(TakeoverTest, TwoWritersShareTheWorkAndOneTakesOver) {
  auto first = world.writer();
  world.send(world.some_messages(500));
  const auto second = world.writer();
  for (int i = 0; i < 10; ++i) world.send(world.some_messages(200));
  first->kill();
  for (int i = 0; i < 10; ++i) world.send(world.some_messages(200));
  EXPECT_EQ(world.wait_for_content(), "");
}

TEST_F(TakeoverTest, AnOrderlyEndHandsOverWhatIsInMemory) {
  auto writer = world.writer({{"SLUICE_BATCH_MAX_AGE", "1m"}});
  world.send(world.some_messages(300));
  // All of it, four readings a message: what was not read yet is nobody's to write.
  ASSERT_TRUE(
      eventually([&] { return writer->metric("sluice_tsdb_writer_held_samples") == 4 * 300; }));
  writer->process().signal(SIGTERM);
  ASSERT_TRUE(eventually([&] { return !writer->process().is_running(); }));
  EXPECT_EQ(world.wait_for_content(), "");
}

TEST_P(DurabilityTest, ShuffledAndDoubledInputGivesTheSameContent) {
  sluice::testing::SimRandom random(11);
  std::vector<Said> messages = world.some_messages(3'000);
  const std::vector<Said> again(messages.begin(), messages.begin() + 500);
  messages.insert(messages.end(), again.begin(), again.end());
  std::ranges::shuffle(messages, random);
  const auto writer = world.writer();
  world.send(messages);
  EXPECT_EQ(world.wait_for_content(), "");
}

INSTANTIATE_TEST_SUITE_P(Layouts, DurabilityTest, ::testing::Bool(),
                         [](const auto& suite) { return suite.param ? "hypertable" : "plain"; });

TEST(InputTopics, AllOfThemGoIntoTheSameTables) {
  WriterWorld world;
  const auto writer =
      world.writer({{"SLUICE_INPUT_TOPICS", "telemetry.timeseries,telemetry.late"}});
  world.send(world.some_messages(200), "telemetry.timeseries");
  world.send(world.some_messages(200), "telemetry.late");
  EXPECT_EQ(world.wait_for_content(), "");
}

}  // namespace
}  // namespace sluice::tsdb
