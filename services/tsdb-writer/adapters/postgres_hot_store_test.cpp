#include "adapters/postgres_hot_store.h"

#include "adapters/partition_managers.h"
#include "adapters/storage.h"
#include "core/batch/batch_rows.h"
#include "testing/stored_content.h"

#include <chrono>
#include <memory>
#include <string>
#include <thread>

#include <sluice/postgres/testing/test_database.h>
#include <sluice/postgres/transaction.h>
#include <sluice/testing/captured_log.h>
#include <sluice/testing/eventually.h>

#include <gtest/gtest.h>

namespace sluice::tsdb {
namespace {

using namespace std::chrono_literals;
using postgres::testing::TestDatabase;

const TopicPartition kFirst{"telemetry.valid", 0};
const TopicPartition kSecond{"telemetry.valid", 1};

/// Databases with and without TimescaleDB. The latter is not everywhere preloaded.
struct HotStoreTest : ::testing::TestWithParam<bool> {
  TestDatabase database;
  SystemClock clock;
  SystemRandom random;
  Registry registry;
  std::shared_ptr<sluice::testing::CapturedLog> lines =
      std::make_shared<sluice::testing::CapturedLog>();
  Logger log = lines->logger("test", clock);
  std::unique_ptr<Storage> storage;
  std::int64_t values = 0;

  void SetUp() override {
    if (GetParam()) {
      if (database.query_value("SHOW shared_preload_libraries").find("timescaledb") ==
          std::string::npos) {
        GTEST_SKIP() << "this PostgreSQL does not preload timescaledb";
      }
      database.execute("CREATE EXTENSION timescaledb");
    }
    storage = open();
  }

  std::unique_ptr<Storage> open() {
    auto opened = Storage::open(database.config(), "test", clock, random, registry, log);
    EXPECT_TRUE(opened) << opened.error().message();
    return std::move(opened).value();
  }

  /// A batch of one sample of device 1 in each of the spans.
  static Batch batch_of(std::vector<PartitionSpan> spans, double value) {
    Batch batch(1);
    for (PartitionSpan& span : spans) {
      const Offset next = span.next;
      const SpanIndex index = batch.add_span(std::move(span), MonoTime{});
      batch.add({.bits = std::bit_cast<std::uint64_t>(value), .metric = MetricKey(1)});
      batch.end_run(batch.group_of(DeviceKey(1 + index), WallTime{}, index), 5, 0);
      batch.pass(index, next, WallTime{});
    }
    return batch;
  }
  Result<FlushReport> flush(std::vector<PartitionSpan> spans, double value = 1) {
    const Batch batch = batch_of(spans, value);
    BatchRows rows(batch);
    return storage->hot().flush(spans, rows);
  }
  std::string rows() const { return database.query_value("SELECT count(*) FROM tsdb.hot"); }
  std::optional<Offset> position(const TopicPartition& partition) {
    return storage->hot().positions(std::vector{partition}).value().front();
  }
};

TEST_P(HotStoreTest, RowsAndPositionsAreOfOneTransaction) {
  ASSERT_EQ(position(kFirst), std::nullopt);
  const auto report = flush({{kFirst, std::nullopt, Offset(10)}});
  ASSERT_TRUE(report) << report.error().message();
  EXPECT_EQ(report->rows, 1);
  EXPECT_EQ(position(kFirst), Offset(10));
  EXPECT_EQ(rows(), "1");
}

TEST_P(HotStoreTest, LeavesOutWhatIsStoredAlready) {
  ASSERT_TRUE(flush({{kFirst, std::nullopt, Offset(10)}}));
  const auto report = flush({{kFirst, Offset(0), Offset(10)}, {kSecond, std::nullopt, Offset(3)}});
  ASSERT_TRUE(report) << report.error().message();
  EXPECT_EQ(report->partitions_left_out, 1U);
  EXPECT_EQ(report->rows, 1);
  EXPECT_EQ(position(kFirst), Offset(10));
  EXPECT_EQ(position(kSecond), Offset(3));
}

TEST_P(HotStoreTest, AFencedOwnerNeitherGoesBackNorOverrides) {
  ASSERT_TRUE(flush({{kFirst, std::nullopt, Offset(5)}}));
  ASSERT_TRUE(flush({{kFirst, Offset(5), Offset(20)}}));  // the new owner
  const auto late = flush({{kFirst, Offset(5), Offset(12)}});
  ASSERT_TRUE(late);
  EXPECT_EQ(late->rows, 0);
  EXPECT_EQ(position(kFirst), Offset(20));
  EXPECT_EQ(rows(), "2");
}

TEST_P(HotStoreTest, GoesOnWhereAnotherStoppedWithinItsSpan) {
  ASSERT_TRUE(flush({{kFirst, std::nullopt, Offset(8)}}));
  ASSERT_TRUE(flush({{kFirst, Offset(3), Offset(12)}}));
  EXPECT_EQ(position(kFirst), Offset(12));
}

TEST_P(HotStoreTest, RefusesToLeaveAGap) {
  ASSERT_TRUE(flush({{kFirst, std::nullopt, Offset(5)}}));
  const auto report = flush({{kFirst, Offset(6), Offset(9)}});
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().reason(), "offsets_went_back");
  EXPECT_EQ(rows(), "1");
}

TEST_P(HotStoreTest, ANewLogBeginsAnew) {
  ASSERT_TRUE(flush({{kFirst, std::nullopt, Offset(100)}}));
  ASSERT_TRUE(flush({{kFirst, std::nullopt, Offset(2), true}}));
  EXPECT_EQ(position(kFirst), Offset(2));
  EXPECT_EQ(rows(), "2");
}

TEST_P(HotStoreTest, ALaterFlushHasTheHigherNumber) {
  ASSERT_TRUE(flush({{kFirst, std::nullopt, Offset(1)}}));
  ASSERT_TRUE(flush({{kFirst, Offset(1), Offset(2)}}));
  EXPECT_EQ(database.query_value("SELECT count(DISTINCT flush_id) FROM tsdb.hot"), "2");
}

TEST_P(HotStoreTest, ASealedHourTakesNoMoreRows) {
  ASSERT_TRUE(flush({{kFirst, std::nullopt, Offset(1)}}));
  database.execute("UPDATE tsdb.hot_hours SET is_sealed = true");
  // Another hour may begin at this very moment, and that one is open.
  const auto report = flush({{kFirst, Offset(1), Offset(2)}});
  if (report) {
    EXPECT_EQ(database.query_value("SELECT count(DISTINCT arrival) FROM tsdb.hot"), "2");
  } else {
    EXPECT_EQ(rows(), "1");
    EXPECT_EQ(position(kFirst), Offset(1));
  }
}

TEST_P(HotStoreTest, WhoSealsAnHourWaitsForThoseWhoWriteIntoIt) {
  ASSERT_TRUE(flush({{kFirst, std::nullopt, Offset(1)}}));
  std::jthread sealer;
  std::atomic<bool> is_sealed{false};
  const auto held = postgres::run_transaction(
      storage->pool(), {.all_tenants = true}, [&](postgres::Transaction& tx) -> Result<> {
        SLUICE_TRY(tx.query("SELECT FROM hot_hours FOR SHARE"));  // as a writer does
        sealer = std::jthread([&] {
          database.execute("UPDATE tsdb.hot_hours SET is_sealed = true");
          is_sealed = true;
        });
        EXPECT_TRUE(sluice::testing::eventually([&] {
          return database.query_value("SELECT count(*) FROM pg_locks WHERE NOT granted") != "0";
        }));
        EXPECT_FALSE(is_sealed);
        return {};
      });
  ASSERT_TRUE(held);
  sealer.join();
  EXPECT_TRUE(is_sealed);
}

TEST_P(HotStoreTest, PartitionsAreMadeListedAndDropped) {
  PartitionManager& partitions = storage->partitions();
  EXPECT_EQ(partitions.name(), GetParam() ? "hypertable" : "plain");
  const WallTime day = std::chrono::floor<std::chrono::days>(clock.wall());
  const auto work = postgres::run_transaction(
      storage->pool(), {.all_tenants = true}, [&](postgres::Transaction& tx) -> Result<> {
        for (int again = 0; again < 2; ++again) {
          SLUICE_TRY(partitions.ensure(tx, "warm_p1", day - 48h, day));
        }
        SLUICE_TRY(tx.execute(
            "INSERT INTO warm_p1 SELECT 7, t, t, t, 1, '' FROM unnest($1::timestamptz[]) AS a (t)",
            {std::vector<std::string>{format_rfc3339(day - 48h), format_rfc3339(day - 24h),
                                      format_rfc3339(day)}}));
        SLUICE_TRY_ASSIGN(const auto found, partitions.list(tx, "warm_p1"));
        EXPECT_EQ(found.size(), 3U);
        EXPECT_EQ(found.front().starts, day - 48h);
        EXPECT_EQ(found.front().ends, day - 24h);
        return partitions.drop(tx, "warm_p1", found.front());
      });
  ASSERT_TRUE(work) << work.error().message();
  EXPECT_EQ(database.query_value("SELECT count(*) FROM tsdb.warm"), "2");
  EXPECT_EQ(database.query_value("SELECT count(*) FROM tsdb.warm WHERE event_hour < now() - "
                                 "interval '2 days 1 hour'"),
            "0");
}

TEST_P(HotStoreTest, OpensAgainWithTheSameManager) {
  const std::string name(storage->partitions().name());
  storage = open();
  EXPECT_EQ(storage->partitions().name(), name);
}

INSTANTIATE_TEST_SUITE_P(Layouts, HotStoreTest, ::testing::Bool(),
                         [](const auto& suite) { return suite.param ? "hypertable" : "plain"; });

}  // namespace
}  // namespace sluice::tsdb
