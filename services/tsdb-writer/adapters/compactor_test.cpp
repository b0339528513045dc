#include "adapters/compactor.h"

#include "adapters/maintenance_world.h"
#include "core/rollup/rollup_block.h"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <format>
#include <string>
#include <vector>

#include <sluice/testing/child_process.h>
#include <sluice/testing/environment.h>
#include <sluice/testing/sim_random.h>

#include <gtest/gtest.h>

namespace sluice::tsdb {
namespace {

using namespace std::chrono_literals;
using sluice::testing::SimRandom;
using testing::Content;
using testing::MaintenanceWorld;
using testing::Measured;

constexpr const char* kChildUrl = "SLUICE_TEST_CHILD_URL";
constexpr const char* kChildPassword = "SLUICE_TEST_CHILD_PASSWORD";
constexpr std::array kTiers{Tier::kWarm, Tier::kRollup1m, Tier::kRollup1h, Tier::kRollup1d};

/// A day and more ago, so that every hour is closed. The same for the whole program.
WallTime base() {
  static const WallTime time = event_hour_of(SystemClock().wall()) - 30h;
  return time;
}

/// Of `devices` devices, in the hours before base() + 3 h; never two of one time.
std::vector<Measured> some_samples(std::uint64_t seed, std::size_t count, std::size_t devices) {
  SimRandom random(seed);
  std::vector<Measured> samples;
  for (std::size_t i = 0; i < count; ++i) {
    Measured sample{
        .device = static_cast<std::int64_t>(1 + random.below(devices)),
        .time = base() - std::chrono::minutes(random.below(180)) + std::chrono::milliseconds(i),
        .value = {}};
    const auto number = static_cast<std::int64_t>(random.below(10'000));
    switch (random.below(4)) {
      case 0:
        sample.value = 0.1 * static_cast<double>(number);
        break;
      case 1:
        sample.value = number;
        break;
      case 2:
        sample.value = number % 2 == 0;
        break;
      default:
        sample.value = std::format("text {}", number % 5);
    }
    samples.push_back(std::move(sample));
  }
  return samples;
}

Content content_of(const std::vector<Measured>& samples) {
  Content content;
  for (const Measured& sample : samples) testing::store_into(sample, content);
  return content;
}

std::uint64_t count_of(MaintenanceWorld& world, Tier tier) {
  std::uint64_t count = 0;
  for (const auto& [place, hex] : world.rows(tier)) {
    std::vector<std::byte> bytes;
    for (std::size_t i = 0; i < hex.size(); i += 2) {
      bytes.push_back(static_cast<std::byte>(std::stoi(hex.substr(i, 2), nullptr, 16)));
    }
    const RollupBlock block = RollupBlockReader::open(bytes).value().read_all().value();
    for (const auto& [metric, rollup] : block) count += rollup.count();
  }
  return count;
}

std::uint64_t rolled_up(const std::vector<Measured>& samples) {
  return static_cast<std::uint64_t>(std::ranges::count_if(
      samples, [](const Measured& sample) { return sample.value.index() != 3; }));
}

void expect_ok(const Result<>& result) { EXPECT_TRUE(result) << result.error().message(); }

/// With PostgreSQL's partitions and with TimescaleDB's hypertables.
struct CompactorTest : ::testing::TestWithParam<bool> {
  MaintenanceWorld world{{.with_timescaledb = GetParam(), .config = {}}};

  void SetUp() override {
    if (!world.is_possible()) GTEST_SKIP() << "this PostgreSQL does not preload timescaledb";
  }
};

TEST_P(CompactorTest, AClosedHourBecomesChunksAndIsDroppedWhole) {
  world.add_devices(5);
  const auto samples = some_samples(1, 500, 5);
  world.flush(base(), samples);
  expect_ok(world.compact());
  EXPECT_EQ(world.query("SELECT count(*) FROM tsdb.hot"), "0");
  EXPECT_EQ(world.query("SELECT count(*) FROM tsdb.hot_hours"), "0");
  EXPECT_EQ(testing::difference(content_of(samples), world.content()), "");
  for (const Tier tier : {Tier::kRollup1m, Tier::kRollup1h, Tier::kRollup1d}) {
    EXPECT_EQ(count_of(world, tier), rolled_up(samples)) << to_string(tier);
  }
  EXPECT_EQ(world.query("SELECT min(ts_max - ts_min) < interval '1 hour' FROM tsdb.warm"), "t");
}

TEST_P(CompactorTest, TheHourThatIsNotOverIsLeftAlone) {
  world.add_devices(1);
  const WallTime now = event_hour_of(SystemClock().wall());
  world.flush(now + 1h, {{.device = 1, .time = now, .value = 1.0}});
  expect_ok(world.compact());
  EXPECT_EQ(world.query("SELECT count(*) FROM tsdb.hot"), "1");
  EXPECT_EQ(world.query("SELECT count(*) FROM tsdb.hot_hours WHERE NOT is_sealed"), "1");
}

TEST_P(CompactorTest, AnySlicingAndOrderGivesTheTablesOfSortedInput) {
  auto samples = some_samples(2, 600, 7);
  world.add_devices(7);
  world.flush(base(), samples);
  expect_ok(world.compact());
  std::map<Tier, std::map<std::string, std::string>> wanted;
  for (const Tier tier : kTiers) wanted[tier] = world.rows(tier);

  MaintenanceWorld other({.with_timescaledb = GetParam(), .config = {}});
  other.add_devices(7);
  SimRandom random(9);
  std::ranges::shuffle(samples, random);
  samples.insert(samples.end(), samples.begin(), samples.begin() + 100);  // some twice
  std::vector<std::vector<Measured>> parts(8);
  for (const Measured& sample : samples) parts[random.below(parts.size())].push_back(sample);
  for (std::size_t i = 0; i < parts.size(); ++i) {
    other.flush(base() + std::chrono::hours(i / 3), parts[i]);
    if (i == 4) expect_ok(other.compact({.rows = 3, .devices = 2}));
  }
  expect_ok(other.compact({.rows = 1'000, .bytes = 1}));
  for (const Tier tier : kTiers) EXPECT_TRUE(other.rows(tier) == wanted[tier]) << to_string(tier);
}

TEST_P(CompactorTest, TheLaterFlushOverridesWhateverHourItCameIn) {
  world.add_devices(1);
  const WallTime time = base() - 10min;
  world.flush(base(), {{.device = 1, .time = time, .value = 1.0}});
  world.flush(base(), {{.device = 1, .time = time, .value = 2.0}});
  expect_ok(world.compact());
  EXPECT_EQ(world.content(), content_of({{.device = 1, .time = time, .value = 2.0}}));
  world.flush(base() + 1h, {{.device = 1, .time = time, .value = 3.0}});
  expect_ok(world.compact());
  EXPECT_EQ(world.content(), content_of({{.device = 1, .time = time, .value = 3.0}}));
  EXPECT_EQ(count_of(world, Tier::kRollup1d), 1U);
}

TEST_P(CompactorTest, LateSamplesAreMergedOnceWhereRawValuesAreGone) {
  world.add_devices(3);
  const auto samples = some_samples(3, 400, 3);
  world.flush(base(), {samples.begin(), samples.begin() + 200});
  expect_ok(world.compact());
  world.database().execute(
      std::format("UPDATE tsdb.tier_tables SET dropped_before = '{}' WHERE tier = 'warm'; "
                  "DELETE FROM tsdb.warm_p1",
                  format_rfc3339(base() + 2h)));
  world.flush(base() + 1h, {samples.begin() + 200, samples.end()});
  expect_ok(world.compact({.rows = 1}));
  EXPECT_TRUE(world.content().empty());
  for (const Tier tier : {Tier::kRollup1m, Tier::kRollup1h, Tier::kRollup1d}) {
    EXPECT_EQ(count_of(world, tier), rolled_up(samples)) << to_string(tier);
  }
}

TEST_P(CompactorTest, RowsThatAreNoChunkAreSetAsideAndTheRestGoesOn) {
  world.add_devices(2);
  const auto samples = some_samples(4, 20, 1);
  world.flush(base(), samples);
  world.flush_bytes(base(), 2, base(), "no chunk");
  expect_ok(world.compact());
  EXPECT_EQ(testing::difference(content_of(samples), world.content()), "");
  EXPECT_EQ(world.query("SELECT device_key || ' ' || convert_from(chunk, 'UTF8') "
                        "FROM tsdb.set_aside"),
            "2 no chunk");
  EXPECT_EQ(world.query("SELECT count(*) FROM tsdb.hot"), "0");
}

TEST_P(CompactorTest, OnlyTheLeaderCompacts) {
  world.add_devices(1);
  world.flush(base(), some_samples(5, 10, 1));
  postgres::Leadership other(world.storage().pool(), "tsdb.maintenance");
  ASSERT_TRUE(other.acquire().value());
  expect_ok(world.compact());
  EXPECT_NE(world.query("SELECT count(*) FROM tsdb.hot"), "0");
  other.release();
  expect_ok(world.compact());
  EXPECT_EQ(world.query("SELECT count(*) FROM tsdb.hot"), "0");
}

TEST_P(CompactorTest, AfterAChangeOfPolicyThereIsStillOneRowOfEachHour) {
  world.add_devices(1, 1);
  const WallTime early = base() - 90min;
  const WallTime late = base() + 5h;
  world.flush(base(), {{.device = 1, .time = early, .value = 1.0}});
  expect_ok(world.compact());
  world.database().execute("UPDATE tsdb.devices SET policy = 4, earlier_policies = '{1}'");
  world.flush(base() + 1h, {{.device = 1, .time = early + 1s, .value = 2.0},
                            {.device = 1, .time = late, .value = 3.0}});
  expect_ok(world.compact());
  EXPECT_EQ(world.rows(Tier::kWarm).size(), 2U);
  EXPECT_EQ(world.rows(Tier::kRollup1m).size(), 2U);
  EXPECT_EQ(count_of(world, Tier::kRollup1m), 3U);
  EXPECT_EQ(count_of(world, Tier::kRollup1d), 3U);
  EXPECT_EQ(world.query("SELECT count(*) FROM tsdb.warm_p1"), "1");
  EXPECT_EQ(world.query("SELECT count(*) FROM tsdb.warm_p4"), "1");
}

INSTANTIATE_TEST_SUITE_P(Layouts, CompactorTest, ::testing::Bool(),
                         [](const auto& suite) { return suite.param ? "hypertable" : "plain"; });

TEST(CompactionInAChild, DISABLED_Runs) {
  postgres::Config config = postgres::testing::TestDatabase().config();
  config.url = sluice::testing::require_env(kChildUrl);
  config.password = Secret(sluice::testing::require_env(kChildPassword));
  MaintenanceWorld world({.with_timescaledb = false, .config = config});
  expect_ok(world.compact({.devices = 1}));
}

/// Some hours whole, some with raw values gone, so that both ways of rolling up are interrupted.
struct KilledCompaction : ::testing::TestWithParam<const char*> {
  MaintenanceWorld world{MaintenanceWorld::Options{}};
};

TEST_P(KilledCompaction, LosesAndDoublesNothing) {
  world.add_devices(4);
  const auto samples = some_samples(6, 400, 4);
  world.flush(base(), {samples.begin(), samples.begin() + 200});
  expect_ok(world.compact());
  const WallTime horizon = base() - 1h;
  world.database().execute(
      std::format("UPDATE tsdb.tier_tables SET dropped_before = '{0}' WHERE tier = 'warm'; "
                  "DELETE FROM tsdb.warm_p1 WHERE event_hour < '{0}'",
                  format_rfc3339(horizon)));
  world.flush(base() + 1h, {samples.begin() + 200, samples.begin() + 300});
  world.flush(base() + 2h, {samples.begin() + 300, samples.end()});

  const postgres::Config config = world.database().config();
  const auto child =
      sluice::testing::run_program({.program = "/proc/self/exe",
                                    .arguments = {"--gtest_filter=CompactionInAChild.DISABLED_Runs",
                                                  "--gtest_also_run_disabled_tests"},
                                    .environment = {{kChildUrl, config.url},
                                                    {kChildPassword, config.password.reveal()},
                                                    {"SLUICE_CRASH_POINT", GetParam()}},
                                    .address_file = false});
  ASSERT_EQ(child.status.signal, SIGKILL) << child.standard_output << child.standard_error;

  expect_ok(world.compact());
  EXPECT_EQ(world.query("SELECT count(*) FROM tsdb.hot"), "0");
  for (const Tier tier : {Tier::kRollup1m, Tier::kRollup1h, Tier::kRollup1d}) {
    EXPECT_EQ(count_of(world, tier), rolled_up(samples)) << to_string(tier);
  }
  std::vector<Measured> kept = samples;
  std::erase_if(kept, [&](const Measured& sample) { return event_hour_of(sample.time) < horizon; });
  EXPECT_EQ(testing::difference(content_of(kept), world.content()), "");
}

INSTANTIATE_TEST_SUITE_P(
    CrashPoints, KilledCompaction,
    ::testing::Values("tsdb_compaction_after_seal", "tsdb_compaction_after_rows:1",
                      "tsdb_compaction_after_rows:3", "tsdb_compaction_after_progress:2",
                      "tsdb_compaction_after_slice:1", "tsdb_compaction_after_slice:3",
                      "tsdb_compaction_before_drop", "tsdb_compaction_after_drop",
                      "tsdb_compaction_after_hour"));

// Right behind each commit, wherever it is: nothing that belongs together is in two transactions.
INSTANTIATE_TEST_SUITE_P(Commits, KilledCompaction,
                         ::testing::Values("postgres_after_commit:5", "postgres_after_commit:6",
                                           "postgres_after_commit:7", "postgres_after_commit:8",
                                           "postgres_after_commit:9", "postgres_after_commit:10",
                                           "postgres_after_commit:11", "postgres_after_commit:12"));

}  // namespace
}  // namespace sluice::tsdb
