#include <sluice/outbox/relay.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <sluice/base/random.h>
#include <sluice/kafka/testing/fake_kafka.h>
#include <sluice/postgres/testing/test_database.h>
#include <sluice/postgres/transaction.h>
#include <sluice/testing/captured_log.h>
#include <sluice/testing/eventually.h>
#include <sluice/testing/sim_clock.h>

#include <gtest/gtest.h>

namespace sluice::outbox {
namespace {

using testing::eventually;
using testing::FakeKafka;
using testing::SimClock;

/// An instance of a service with its connections.
struct Instance {
  Instance(const postgres::testing::TestDatabase& database, kafka::Sender& sender,
           const Clock& clock, std::size_t batch = 3)
      : pool(postgres::Pool::open(database.config(), {.schema = "public", .application_name = "t"},
                                  system_clock, random, metrics,
                                  log->logger("outbox", system_clock))
                 .value()),
        relay(*pool, sender, clock, metrics, {.lock_name = "test.outbox", .batch_records = batch}) {
  }

  bool shows(const std::string& line) const {
    return metrics.scrape().contains("sluice_outbox_" + line + "\n");
  }

  SystemClock system_clock;
  SystemRandom random;
  std::shared_ptr<testing::CapturedLog> log = std::make_shared<testing::CapturedLog>();
  Registry metrics;
  std::unique_ptr<postgres::Pool> pool;
  Relay relay;
};

class RelayTest : public ::testing::Test {
 protected:
  RelayTest() {
    database.execute(
        "CREATE TABLE outbox (outbox_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "
        "tenant_id text NOT NULL DEFAULT current_setting('sluice.tenant', true), "
        "topic text NOT NULL, key text NOT NULL, value bytea, traceparent text NOT NULL)");
    kafka.create_topic("things", 1, kafka::Cleanup::kCompact);
    EXPECT_TRUE(first.relay.run({}));  // leads from now on, and has found nothing of another
  }

  /// Writes a record in a transaction that commits, or does not.
  void write(const std::string& key, std::optional<std::string> value, bool commits = true,
             const std::string& traceparent = "") {
    const auto written = postgres::run_transaction(
        *first.pool, {.tenant = TenantId("blue")}, [&](postgres::Transaction& sql) -> Result<> {
          std::optional<postgres::BytesView> bytes;
          if (value) bytes = postgres::BytesView{*value};
          SLUICE_TRY(sql.execute(
              "INSERT INTO outbox (topic, key, value, traceparent) VALUES ('things', $1, $2, $3)",
              {key, bytes, traceparent}));
          if (!commits) return fail(ErrorCode::kCancelled, "rolled back");
          return {};
        });
    EXPECT_EQ(written.has_value(), commits);
  }
  std::vector<std::string> published() const {
    std::vector<std::string> out;
    for (const auto& record : kafka.records("things")) {
      out.push_back(record.key + "=" + record.value.value_or("gone"));
    }
    return out;
  }
  std::string waiting() const { return database.query_value("SELECT count(*) FROM outbox"); }

  postgres::testing::TestDatabase database;
  SimClock time;
  FakeKafka kafka{time};
  kafka::Sender sender{kafka.producer(), time};
  Instance first{database, sender, time};
};

TEST_F(RelayTest, PublishesWhatWasCommittedInOrderWithItsTrace) {
  for (int i = 0; i < 7; ++i) write("a", std::to_string(i));
  write("b", std::nullopt, true, "00-trace");
  ASSERT_TRUE(first.relay.run({}));
  EXPECT_EQ(published(),
            (std::vector<std::string>{"a=0", "a=1", "a=2", "a=3", "a=4", "a=5", "a=6", "b=gone"}));
  EXPECT_EQ(waiting(), "0");
  EXPECT_EQ(kafka.records("things").back().headers,
            (std::vector<std::pair<std::string, std::string>>{{"traceparent", "00-trace"}}));
}

TEST_F(RelayTest, PublishesNothingThatWasRolledBack) {
  write("a", "never", false);
  ASSERT_TRUE(first.relay.run({}));
  EXPECT_TRUE(published().empty());
}

TEST_F(RelayTest, KeepsWhatKafkaDidNotTake) {
  write("a", "1");
  write("a", "2");
  kafka.fail_next_appends(1, ErrorCode::kUnavailable);
  EXPECT_FALSE(first.relay.run({}));
  EXPECT_EQ(waiting(), "2");
  EXPECT_TRUE(first.relay.run({}));
  EXPECT_EQ(waiting(), "0");
  EXPECT_EQ(published().back(), "a=2");
}

TEST_F(RelayTest, OneInstancePublishesAtATime) {
  Instance second(database, sender, time);
  write("a", "1");
  ASSERT_TRUE(second.relay.run({}));
  EXPECT_EQ(waiting(), "1");
  EXPECT_TRUE(second.shows("leader 0"));
  ASSERT_TRUE(first.relay.run({}));
  EXPECT_EQ(waiting(), "0");
}

TEST_F(RelayTest, ANewLeaderWaitsForWhatTheOldOneMayStillBeSending) {
  write("a", "1");
  kafka.fail_next_appends(1, ErrorCode::kUnavailable);
  EXPECT_FALSE(first.relay.run({}));  // has read it, and may be sending it
  database.terminate_backends();      // and is cut off
  Instance second(database, sender, time);
  ASSERT_TRUE(eventually([&] { return second.relay.run({}) && second.shows("leader 1"); }));
  EXPECT_EQ(waiting(), "1");
  time.advance(std::chrono::seconds(5));
  ASSERT_TRUE(second.relay.run({}));
  EXPECT_EQ(waiting(), "1");  // the producer of the old one may be a little late
  time.advance(std::chrono::seconds(1));
  ASSERT_TRUE(second.relay.run({}));
  EXPECT_EQ(waiting(), "0");
}

TEST_F(RelayTest, TellsHowMuchWaitsAndSinceWhen) {
  ASSERT_TRUE(first.relay.measure());
  EXPECT_TRUE(first.shows("records 0"));
  write("a", "1");
  time.advance(std::chrono::seconds(5));
  ASSERT_TRUE(first.relay.measure());
  EXPECT_TRUE(first.shows("records 1"));
  EXPECT_TRUE(first.shows("oldest_seconds 0"));  // seen for the first time
  time.advance(std::chrono::seconds(30));
  ASSERT_TRUE(first.relay.measure());
  EXPECT_TRUE(first.shows("oldest_seconds 30"));
}

}  // namespace
}  // namespace sluice::outbox
