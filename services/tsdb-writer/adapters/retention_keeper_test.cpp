#include "adapters/retention_keeper.h"

#include "adapters/maintenance_world.h"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <string>

#include <sluice/testing/child_process.h>
#include <sluice/testing/environment.h>

#include <gtest/gtest.h>

namespace sluice::tsdb {
namespace {

using namespace std::chrono_literals;
using testing::MaintenanceWorld;

constexpr const char* kChildUrl = "SLUICE_TEST_CHILD_URL";
constexpr const char* kChildPassword = "SLUICE_TEST_CHILD_PASSWORD";

WallTime days_ago(int days) { return event_hour_of(SystemClock().wall()) - 24h * days; }

void expect_ok(const Result<>& result) { EXPECT_TRUE(result) << result.error().message(); }

struct RetentionTest : ::testing::TestWithParam<bool> {
  MaintenanceWorld world{{.with_timescaledb = GetParam(), .config = {}}};
  RetentionTables* tables = nullptr;

  void SetUp() override {
    if (!world.is_possible()) GTEST_SKIP() << "this PostgreSQL does not preload timescaledb";
    tables_.emplace(world.storage().pool(), world.storage().partitions());
    tables = &*tables_;
  }
  std::string count(const std::string& table) const {
    return world.query("SELECT count(*) FROM tsdb." + table);
  }

 private:
  std::optional<RetentionTables> tables_;
};

TEST_P(RetentionTest, EachTierGoesInItsTimeAndRollupsOutliveRawValues) {
  world.add_devices(1);
  world.flush(days_ago(1), {{.device = 1, .time = days_ago(1), .value = 1.0},
                            {.device = 1, .time = days_ago(5), .value = 2.0},
                            {.device = 1, .time = days_ago(40), .value = 3.0},
                            {.device = 1, .time = days_ago(300), .value = 4.0}});
  expect_ok(world.compact());
  EXPECT_EQ(count("warm"), "4");
  expect_ok(world.retain());
  EXPECT_EQ(count("warm"), "1");
  EXPECT_EQ(count("rollup_1m"), "2");
  EXPECT_EQ(count("rollup_1h"), "4");
}

TEST_P(RetentionTest, WhatIsDroppedIsNeverMadeAgain) {
  world.add_devices(1);
  world.flush(days_ago(1), {{.device = 1, .time = days_ago(5), .value = 1.0}});
  expect_ok(world.compact());
  expect_ok(world.retain());
  world.flush(days_ago(1) + 1h, {{.device = 1, .time = days_ago(5) + 1s, .value = 2.0},
                                 {.device = 1, .time = days_ago(50), .value = 3.0}});
  expect_ok(world.compact());
  EXPECT_EQ(count("warm"), "0");
  EXPECT_EQ(count("rollup_1m"), "1");
  EXPECT_EQ(world.rows(Tier::kRollup1h).size(), 2U);
  expect_ok(world.retain());
  EXPECT_EQ(count("rollup_1m"), "1");
}

TEST_P(RetentionTest, DropsNothingThatAPolicyKeepsForEver) {
  world.add_devices(1, 2);
  world.database().execute("INSERT INTO tsdb.class_policies VALUES ('blue', 'meter', 2)");
  world.flush(days_ago(1), {{.device = 1, .time = days_ago(700), .value = 1.0}});
  expect_ok(world.compact());
  expect_ok(world.retain());
  EXPECT_EQ(count("rollup_1h_p2"), "1");
  EXPECT_EQ(count("rollup_1d_p2"), "1");
}

TEST_P(RetentionTest, EmptyHoursOfHotGoAndThoseToComeAreThere) {
  world.add_devices(1);
  world.flush(days_ago(1), {{.device = 1, .time = days_ago(1), .value = 1.0}});
  world.database().execute("DELETE FROM tsdb.hot; DELETE FROM tsdb.hot_hours");
  expect_ok(world.retain());
  expect_ok(world.retain());
  if (!GetParam()) {
    EXPECT_EQ(world.query("SELECT min(starts) > now() - interval '3 hours' "
                          "AND max(ends) > now() + interval '23 hours' "
                          "FROM tsdb.partitions_of('hot')"),
              "t");
  }
}

ChoiceNotice by(std::string_view actor) {
  return {.actor = actor, .audit_record = "a record", .traceparent = ""};
}

TEST_P(RetentionTest, AClassGetsAnotherPolicyAndItsDevicesFollow) {
  world.add_devices(3);
  const TenantId blue("blue");
  expect_ok(tables->set_class_policy(blue, "meter", "month", by("alice")));
  expect_ok(world.retain());
  EXPECT_EQ(world.query("SELECT string_agg(DISTINCT policy || ' ' || earlier_policies::text, ',') "
                        "FROM tsdb.devices"),
            "4 {1}");
  expect_ok(tables->set_class_policy(blue, "meter", "standard", by("bob")));
  expect_ok(world.retain());
  EXPECT_EQ(world.query("SELECT string_agg(DISTINCT policy || ' ' || earlier_policies::text, ',') "
                        "FROM tsdb.devices"),
            "1 {4}");
  EXPECT_EQ(world.query("SELECT string_agg(actor || ' ' || policy, ',' ORDER BY change) "
                        "FROM tsdb.class_policy_changes"),
            "alice 4,bob 1");
  EXPECT_EQ(world.query("SELECT string_agg(tenant_id || topic || key || encode(value, 'escape'), "
                        "',') FROM tsdb.outbox"),
            "blueauditbluea record,blueauditbluea record");
}

TEST_P(RetentionTest, AnUnknownPolicyIsRefused) {
  const auto refused = tables->set_class_policy(TenantId("blue"), "meter", "nonsense", by("alice"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(count("class_policy_changes"), "0");
  EXPECT_EQ(count("outbox"), "0") << "told of what was not done";
}

TEST_P(RetentionTest, TheOverviewTellsWhatGoesWhen) {
  world.add_devices(1);
  world.flush(days_ago(1), {{.device = 1, .time = days_ago(1), .value = 1.0}});
  expect_ok(world.compact());
  expect_ok(tables->set_class_policy(TenantId("blue"), "valve", "long", by("alice")));
  const auto overview = tables->overview(TenantId("blue"));
  ASSERT_TRUE(overview) << overview.error().message();
  EXPECT_EQ(overview->policies.size(), 4U);
  ASSERT_EQ(overview->classes.size(), 2U);
  EXPECT_EQ(overview->classes[0].device_type, "meter");
  EXPECT_EQ(overview->classes[0].policy, "standard");
  EXPECT_FALSE(overview->classes[0].is_assigned);
  EXPECT_EQ(overview->classes[1].policy, "long");
  ASSERT_EQ(std::ranges::count(overview->drops, Tier::kWarm, &PlannedDrop::tier), 1);
  const auto warm = std::ranges::find(overview->drops, Tier::kWarm, &PlannedDrop::tier);
  EXPECT_EQ(warm->due, warm->ends + 48h);
  EXPECT_GT(warm->bytes, 0);
}

INSTANTIATE_TEST_SUITE_P(Layouts, RetentionTest, ::testing::Bool(),
                         [](const auto& suite) { return suite.param ? "hypertable" : "plain"; });

TEST(RetentionInAChild, DISABLED_Runs) {
  postgres::Config config = postgres::testing::TestDatabase().config();
  config.url = sluice::testing::require_env(kChildUrl);
  config.password = Secret(sluice::testing::require_env(kChildPassword));
  MaintenanceWorld world({.with_timescaledb = false, .config = config});
  expect_ok(world.retain());
}

struct KilledRetention : ::testing::TestWithParam<const char*> {
  MaintenanceWorld world{MaintenanceWorld::Options{}};
};

TEST_P(KilledRetention, GoesOnWhereItWasAndLateSamplesAreCountedOnce) {
  world.add_devices(1);
  world.flush(days_ago(1), {{.device = 1, .time = days_ago(6), .value = 1.0},
                            {.device = 1, .time = days_ago(5), .value = 2.0}});
  expect_ok(world.compact());
  const postgres::Config config = world.database().config();
  const auto child =
      sluice::testing::run_program({.program = "/proc/self/exe",
                                    .arguments = {"--gtest_filter=RetentionInAChild.DISABLED_Runs",
                                                  "--gtest_also_run_disabled_tests"},
                                    .environment = {{kChildUrl, config.url},
                                                    {kChildPassword, config.password.reveal()},
                                                    {"SLUICE_CRASH_POINT", GetParam()}},
                                    .address_file = false});
  ASSERT_EQ(child.status.signal, SIGKILL) << child.standard_output << child.standard_error;
  // Between the two: raw values may still be there, and are not to be built upon.
  world.flush(days_ago(1) + 1h, {{.device = 1, .time = days_ago(5) + 1s, .value = 3.0}});
  expect_ok(world.compact());
  expect_ok(world.retain());
  EXPECT_EQ(world.query("SELECT count(*) FROM tsdb.warm"), "0");
  const auto minutes = world.rows(Tier::kRollup1m);
  EXPECT_EQ(minutes.size(), 2U);
}

INSTANTIATE_TEST_SUITE_P(CrashPoints, KilledRetention,
                         ::testing::Values("tsdb_retention_after_horizons",
                                           "tsdb_retention_after_drop"));

}  // namespace
}  // namespace sluice::tsdb
