#include <sluice/kafka/table_reader.h>

#include <map>

#include <sluice/kafka/testing/fake_kafka.h>
#include <sluice/testing/captured_log.h>
#include <sluice/testing/sim_clock.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::kafka {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::Pair;

struct Table final : TableHandler {
  void on_change(const RecordView& record) override {
    rows[std::string(record.key)] = std::string(record.value.value_or("(gone)"));
  }
  std::map<std::string, std::string> rows;
};

class TableReaderTest : public ::testing::Test {
 protected:
  TableReaderTest() { kafka_.create_topic("table", 2, Cleanup::kCompact); }

  void turns(int count) {
    for (int i = 0; i < count; ++i) static_cast<void>(reader_.step(0ms));
  }

  testing::SimClock clock_;
  std::shared_ptr<testing::CapturedLog> log_ = std::make_shared<testing::CapturedLog>();
  Logger logger_ = log_->logger("test", clock_);
  Registry registry_;
  testing::FakeKafka kafka_{clock_};
  Table table_;
  TableReader reader_{
      {.topic = "table"}, clock_, logger_, registry_, kafka_.table_consumer("table"), table_};
};

TEST_F(TableReaderTest, IsNotCaughtUpBeforeItHasSeenTheEndOfEachPartition) {
  for (int i = 0; i < 1'500; ++i) kafka_.append("table", std::to_string(i), "v");
  turns(1);
  EXPECT_FALSE(reader_.caught_up());
  turns(3);
  EXPECT_TRUE(reader_.caught_up());
  EXPECT_EQ(table_.rows.size(), 1'500U);
}

TEST_F(TableReaderTest, IsCaughtUpPastGapsThatCompactionLeft) {
  kafka_.append("table", "a", "1");
  kafka_.append("table", "a", std::nullopt);
  kafka_.append("table", "b", "1");
  kafka_.compact("table", true);
  turns(3);
  EXPECT_TRUE(reader_.caught_up());
  EXPECT_THAT(table_.rows, ElementsAre(Pair("b", "1")));
}

TEST_F(TableReaderTest, GrowsStaleWhileKafkaCannotBeReachedAndIsFreshAfterwards) {
  turns(3);
  ASSERT_TRUE(reader_.caught_up());
  EXPECT_EQ(reader_.staleness(), 0ms);

  kafka_.set_reachable(false);
  for (int i = 0; i < 10; ++i) {
    clock_.advance(1s);
    turns(2);
  }
  EXPECT_GE(*reader_.staleness(), 9s);
  EXPECT_TRUE(reader_.caught_up());

  kafka_.set_reachable(true);
  kafka_.append("table", "a", "1");
  clock_.advance(1s);
  turns(3);
  clock_.advance(1s);
  turns(3);
  EXPECT_LE(*reader_.staleness(), 1s);
  EXPECT_THAT(table_.rows, ElementsAre(Pair("a", "1")));
}

TEST_F(TableReaderTest, HandsOverADeletionAsARecordWithoutValue) {
  kafka_.append("table", "a", "1");
  kafka_.append("table", "a", std::nullopt);
  turns(3);
  EXPECT_THAT(table_.rows, ElementsAre(Pair("a", "(gone)")));
}

}  // namespace
}  // namespace sluice::kafka
