#include "naming.h"

#include <gtest/gtest.h>

namespace sluice::metrics_detail {
namespace {

bool is_good(std::string_view name, MetricType type) { return name_fault(name, type).empty(); }

TEST(Naming, CountersAloneEndInTotal) {
  EXPECT_TRUE(is_good("sluice_kafka_records_total", MetricType::kCounter));
  EXPECT_FALSE(is_good("sluice_kafka_records", MetricType::kCounter));
  EXPECT_FALSE(is_good("sluice_kafka_records_total", MetricType::kGauge));
  EXPECT_FALSE(is_good("sluice_kafka_records_total", MetricType::kHistogram));
}

TEST(Naming, NamesAreOursAndInSnakeCase) {
  EXPECT_FALSE(is_good("kafka_lag", MetricType::kGauge));
  EXPECT_FALSE(is_good("sluice_Kafka_lag", MetricType::kGauge));
  EXPECT_FALSE(is_good("sluice_kafka-lag", MetricType::kGauge));
  EXPECT_FALSE(is_good("sluice_kafka lag", MetricType::kGauge));
  EXPECT_FALSE(is_good("", MetricType::kGauge));
}

TEST(Naming, UnitsAreBaseUnits) {
  EXPECT_TRUE(is_good("sluice_write_seconds", MetricType::kHistogram));
  EXPECT_TRUE(is_good("sluice_buffer_bytes", MetricType::kGauge));
  EXPECT_FALSE(is_good("sluice_write_ms", MetricType::kHistogram));
  EXPECT_FALSE(is_good("sluice_buffer_mb", MetricType::kGauge));
  EXPECT_FALSE(is_good("sluice_waited_milliseconds_total", MetricType::kCounter));
}

TEST(Naming, EndingsOfHistogramsAreTaken) {
  EXPECT_FALSE(is_good("sluice_x_bucket", MetricType::kGauge));
  EXPECT_FALSE(is_good("sluice_x_count", MetricType::kGauge));
  EXPECT_FALSE(is_good("sluice_x_sum", MetricType::kGauge));
}

TEST(Naming, LabelsAreForCausesNotForThings) {
  EXPECT_EQ(label_name_fault("reason"), "");
  EXPECT_EQ(label_name_fault("topic"), "");
  for (const char* name :
       {"device", "device_id", "client_id", "le", "instance", "Reason", "", "a-b"}) {
    EXPECT_NE(label_name_fault(name), "") << name;
  }
}

}  // namespace
}  // namespace sluice::metrics_detail
