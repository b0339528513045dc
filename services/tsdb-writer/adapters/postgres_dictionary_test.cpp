#include "adapters/postgres_dictionary.h"

#include "adapters/storage.h"

#include <memory>
#include <string>
#include <vector>

#include <sluice/postgres/testing/test_database.h>
#include <sluice/testing/captured_log.h>

#include <gtest/gtest.h>

namespace sluice::tsdb {
namespace {

struct PostgresDictionaryTest : ::testing::Test {
  postgres::testing::TestDatabase database;
  SystemClock clock;
  SystemRandom random;
  Registry registry;
  std::shared_ptr<sluice::testing::CapturedLog> lines =
      std::make_shared<sluice::testing::CapturedLog>();
  Logger log = lines->logger("test", clock);
  std::unique_ptr<Storage> storage =
      Storage::open(database.config(), "test", clock, random, registry, log).value();
  PostgresDictionary dictionary{{.max_metrics_per_class = 3}, storage->pool(), clock, log};

  static MetricIdentity metric(std::string_view name,
                               series::ColumnType type = series::ColumnType::kDouble,
                               std::string_view unit = "") {
    return {"blue", "meter", name, type, unit};
  }
};

TEST_F(PostgresDictionaryTest, AKeyStaysWithItsName) {
  const std::vector<DeviceIdentity> devices{{"blue", "d1", "north", "meter"},
                                            {"red", "d1", "north", "meter"}};
  const std::vector metrics{metric("a"), metric("a", series::ColumnType::kInt64), metric("b")};
  const auto first = dictionary.resolve(devices, metrics);
  ASSERT_TRUE(first) << first.error().message();
  EXPECT_NE(first->devices[0], first->devices[1]);
  EXPECT_NE(first->metrics[0], first->metrics[1]);
  const auto again = dictionary.resolve(devices, metrics);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->devices, first->devices);
  EXPECT_EQ(again->metrics, first->metrics);
}

TEST_F(PostgresDictionaryTest, BringsFleetClassAndUnitUpToDate) {
  ASSERT_TRUE(dictionary.resolve(std::vector<DeviceIdentity>{{"blue", "d1", "north", "meter"}},
                                 std::vector{metric("a", series::ColumnType::kDouble, "Cel")}));
  ASSERT_TRUE(dictionary.resolve(std::vector<DeviceIdentity>{{"blue", "d1", "south", "valve"}},
                                 std::vector{metric("a", series::ColumnType::kDouble, "K")}));
  EXPECT_EQ(database.query_value("SELECT fleet || device_type FROM tsdb.devices"), "southvalve");
  EXPECT_EQ(database.query_value("SELECT unit FROM tsdb.metrics"), "K");
}

TEST_F(PostgresDictionaryTest, AClassHasNoMoreMetricsThanTheLimit) {
  ASSERT_TRUE(dictionary.resolve({}, std::vector{metric("a"), metric("b")}));
  const auto more = dictionary.resolve({}, std::vector{metric("c"), metric("d"), metric("a")});
  ASSERT_TRUE(more);
  EXPECT_TRUE(more->metrics[0]);
  EXPECT_FALSE(more->metrics[1]);
  EXPECT_TRUE(more->metrics[2]);
  ASSERT_TRUE(dictionary.resolve({}, std::vector{metric("e")}));
  EXPECT_EQ(database.query_value("SELECT count(*) FROM tsdb.metrics"), "3");
  EXPECT_EQ(lines->count("metrics_refused"), 1U);  // once a minute, not once a refusal
  const MetricIdentity elsewhere{"blue", "valve", "e", series::ColumnType::kDouble, ""};
  EXPECT_TRUE(dictionary.resolve({}, std::vector{elsewhere})->metrics[0]);
}

TEST_F(PostgresDictionaryTest, ADeviceGetsThePolicyOfItsClass) {
  database.execute("INSERT INTO tsdb.class_policies VALUES ('blue', 'meter', 3)");
  ASSERT_TRUE(dictionary.resolve(
      std::vector<DeviceIdentity>{{"blue", "d1", "", "meter"}, {"red", "d1", "", "meter"}}, {}));
  EXPECT_EQ(database.query_value("SELECT policy FROM tsdb.devices WHERE tenant = 'blue'"), "3");
  EXPECT_EQ(database.query_value("SELECT policy FROM tsdb.devices WHERE tenant = 'red'"), "1");
}

}  // namespace
}  // namespace sluice::tsdb
