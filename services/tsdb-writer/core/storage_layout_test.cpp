#include "core/storage_layout.h"

#include <gtest/gtest.h>

namespace sluice::tsdb {
namespace {

TEST(StorageLayout, AColumnsNameIsTheMetricsKeyInAsFewBytesAsItTakes) {
  EXPECT_EQ(column_of_metric(MetricKey(1)), "\x01");
  EXPECT_EQ(column_of_metric(MetricKey(255)), "\xff");
  EXPECT_EQ(column_of_metric(MetricKey(256)), std::string("\x01\x00", 2));
  EXPECT_EQ(column_of_metric(MetricKey(INT32_MAX)), "\x7f\xff\xff\xff");
}

TEST(StorageLayout, EveryNameHasOneMeaning) {
  for (const std::int32_t key : {1, 127, 128, 255, 256, 65'535, 65'536, 16'777'216, INT32_MAX}) {
    const auto metric = meaning_of(column_of_metric(MetricKey(key)));
    ASSERT_TRUE(metric) << key;
    EXPECT_EQ(metric->metric, MetricKey(key));
    EXPECT_FALSE(metric->is_remarks);
    const auto remarks = meaning_of(column_of_remarks(MetricKey(key)));
    ASSERT_TRUE(remarks) << key;
    EXPECT_EQ(remarks->metric, MetricKey(key));
    EXPECT_TRUE(remarks->is_remarks);
  }
  const auto of_message = meaning_of(kMessageRemarksColumn);
  ASSERT_TRUE(of_message);
  EXPECT_FALSE(of_message->metric);
  EXPECT_TRUE(of_message->is_remarks);
}

TEST(StorageLayout, RefusesNamesThatItDoesNotMake) {
  using namespace std::string_view_literals;
  for (const std::string_view name : {""sv, "\0\0"sv, "\0\0\1"sv, "\x80\0\0\0"sv, "12345"sv}) {
    EXPECT_FALSE(meaning_of(name)) << name.size();
  }
}

TEST(StorageLayout, NamesTheTablesOfAPolicy) {
  EXPECT_EQ(table_name(Tier::kHot, PolicyId(3)), "hot");
  EXPECT_EQ(table_name(Tier::kWarm, PolicyId(1)), "warm_p1");
  EXPECT_EQ(table_name(Tier::kRollup1d, PolicyId(12)), "rollup_1d_p12");
}

}  // namespace
}  // namespace sluice::tsdb
