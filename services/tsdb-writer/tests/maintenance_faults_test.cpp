// Whatever dies, and whenever: raw values and roll-ups equal what was sent while compaction and
// retention are at work, and who asks is answered the same, however the input came.
//
// SLUICE_TEST_FAULT_SECONDS: how long each of the storms lasts; 10 unless it says otherwise, which
// is one round of all faults.
#include "adapters/query_source.h"
#include "core/query/formats.h"
#include "core/query/run.h"
#include "fault_storm.h"
#include "own_postgres.h"
#include "writer_world.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <format>
#include <print>
#include <string>
#include <vector>

#include <sluice/testing/eventually.h>
#include <sluice/testing/sim_random.h>

#include <gtest/gtest.h>

namespace sluice::tsdb {
namespace {

using namespace std::chrono_literals;
using sluice::testing::eventually;
using testing::FaultStorm;
using testing::OwnPostgres;
using testing::Said;
using testing::StormReport;
using testing::WriterWorld;

std::chrono::seconds storm_length() {
  const char* seconds = std::getenv("SLUICE_TEST_FAULT_SECONDS");  // NOLINT(concurrency-mt-unsafe)
  return std::chrono::seconds(seconds == nullptr ? 10 : std::atoi(seconds));
}

/// With PostgreSQL's partitions and with TimescaleDB's hypertables.
class FaultsTest : public ::testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    if (GetParam() && !server.has_timescaledb()) GTEST_SKIP() << "TimescaleDB is not installed";
    if (GetParam()) world.make_extension();
  }

  OwnPostgres server{GetParam()};
  WriterWorld world{server};
};

TEST_P(FaultsTest, KilledAtRandomWhileCompactingEverythingEqualsTheSource) {
  FaultStorm storm(server, world, {.length = storm_length()});
  const StormReport report = storm.run();
  EXPECT_EQ(report.difference, "");
  EXPECT_GT(report.held_up, 0);
  std::println("{} writers killed, {} frozen, PostgreSQL killed {} times, {} held up; {} samples",
               report.writers_killed, report.writers_frozen, report.servers_killed, report.held_up,
               report.samples);
  // Retention has been at work: raw values of what was too old are gone, roll-ups are not.
  EXPECT_TRUE(eventually([&] {
    return world.count(
               "SELECT count(*) FROM warm JOIN devices USING (device_key) "
               "WHERE device LIKE 'old%'") == 0;
  }));
}

struct Control {
  const char* bug;
  FaultStorm::Fault fault;  // that finds it
  const char* difference;   // by this
};

/// Each of the storm's faults is seen to find a promise that is not kept.
class StormControlTest : public ::testing::TestWithParam<Control> {};

TEST_P(StormControlTest, FindsThePlantedBug) {
  OwnPostgres server;
  WriterWorld world(server);
  FaultStorm storm(server, world,
                   {.length = 0s,  // one round
                    .faults = {GetParam().fault},
                    .settings = {{"SLUICE_PLANTED_BUG", GetParam().bug}},
                    .patience = 15s});
  // A kill may fall beside what it is aimed at.
  std::string found;
  for (int attempts = 0; attempts < 4 && found.empty(); ++attempts) found = storm.run().difference;
  EXPECT_TRUE(found.starts_with(GetParam().difference)) << found;
}

/// What every device of the tenant is answered, in all resolutions.
std::string answers_of(WriterWorld& world) {
  const SystemClock clock;
  Registry registry;
  PostgresSampleSource source(world.pool(), 2, nullptr, clock, registry);
  const WallTime now = std::chrono::floor<std::chrono::days>(clock.wall()) + std::chrono::days(1);
  std::string all;
  for (const auto width : {0ms, 60'000ms, 3'600'000ms, 86'400'000ms}) {
    QueryRequest request{
        .metrics = {"temperature", "count"}, .from = now - std::chrono::days(2), .to = now};
    if (width > 0ms) {
      request.resolution = {.kind = Resolution::Kind::kFixed, .width = width};
      request.aggregates = {Aggregate::kAvg,  Aggregate::kMin,   Aggregate::kMax,
                            Aggregate::kSum,  Aggregate::kCount, Aggregate::kFirst,
                            Aggregate::kLast, Aggregate::kP50,   Aggregate::kP99};
    }
    const QueryLimits limits{.max_points = 100'000'000};
    const auto plan = plan_query(source, TenantId("blue"), request, limits, clock.wall());
    if (!plan) return plan.error().message();
    AnswerSize size;
    const auto sink = make_format(
        {},
        [&](std::string_view piece) -> Result<> {
          all += piece;
          return {};
        },
        size);
    const auto done = run_query(source, *plan, Deadline(clock, 60s), *sink);
    if (!done) return done.error().message();
  }
  return all;
}

/// Where two answers, which are megabytes, part.
std::string first_difference(const std::string& answer, const std::string& wanted) {
  if (answer == wanted) return "";
  const auto at =
      static_cast<std::size_t>(std::ranges::mismatch(answer, wanted).in1 - answer.begin());
  const std::size_t from = at < 100 ? 0 : at - 100;
  return std::format("at {}: {} and not {}", at, answer.substr(from, 200),
                     wanted.substr(from, 200));
}

/// With PostgreSQL's partitions and with TimescaleDB's hypertables.
class OrderTest : public ::testing::TestWithParam<bool> {};

TEST_P(OrderTest, ShuffledDoubledAndLateInputIsAnsweredByTheSameBytes) {
  WriterWorld sorted(GetParam());
  WriterWorld shuffled(GetParam());
  if (!sorted.is_possible()) GTEST_SKIP() << "this PostgreSQL does not preload timescaledb";
  std::vector<Said> messages = sorted.some_messages(3'000);
  const auto time_of = [](const Said& said) { return said.event_time_ms; };
  std::ranges::stable_sort(messages, {}, time_of);
  const auto repeated = std::ranges::unique(messages, {}, time_of);  // each has a time of its own
  messages.erase(repeated.begin(), repeated.end());
  // Of which class a device is its last message says, so that one would be a matter of order.
  for (Said& said : messages) said.device_type = "meter";
  const auto first = sorted.writer(WriterWorld::eager_maintenance());
  const auto second = shuffled.writer(WriterWorld::eager_maintenance());
  sorted.send(messages);
  EXPECT_EQ(sorted.wait_for_content(), "");
  ASSERT_TRUE(sorted.compact_all());

  sluice::testing::SimRandom random(11);
  std::vector<Said> again(messages.begin(), messages.begin() + 700);
  again.insert(again.end(), messages.begin(), messages.end());
  std::ranges::shuffle(again, random);
  const auto third = static_cast<std::ptrdiff_t>(again.size() / 3);
  shuffled.send({again.begin(), again.begin() + third});
  EXPECT_EQ(shuffled.wait_for_content(), "");
  ASSERT_TRUE(shuffled.compact_all());  // all else is late
  shuffled.send({again.begin() + third, again.begin() + 2 * third});
  EXPECT_EQ(shuffled.wait_for_content(), "");
  ASSERT_TRUE(shuffled.compact_all());
  shuffled.send({again.begin() + 2 * third, again.end()});
  EXPECT_EQ(shuffled.wait_for_content(), "");

  const std::string wanted = answers_of(sorted);
  ASSERT_TRUE(wanted.starts_with("{\"from\"")) << wanted.substr(0, 200);
  EXPECT_EQ(first_difference(answers_of(shuffled), wanted), "") << "with a third of it in hot";
  ASSERT_TRUE(shuffled.compact_all());
  EXPECT_EQ(first_difference(answers_of(shuffled), wanted), "") << "compacted";
}

INSTANTIATE_TEST_SUITE_P(Layouts, FaultsTest, ::testing::Bool(),
                         [](const auto& suite) { return suite.param ? "hypertable" : "plain"; });
INSTANTIATE_TEST_SUITE_P(
    Bugs, StormControlTest,
    ::testing::Values(Control{"writer_commits_early", FaultStorm::Fault::kWritersKilledHolding,
                              "raw values: missing"},
                      Control{"writer_forgets_position", FaultStorm::Fault::kWriterFrozen,
                              "roll-ups: wrong"},
                      Control{"compactor_begins_hours_anew",
                              FaultStorm::Fault::kWritersKilledCompacting, "roll-ups: wrong"}),
    [](const auto& suite) { return std::string(suite.param.bug); });
INSTANTIATE_TEST_SUITE_P(Layouts, OrderTest, ::testing::Bool(),
                         [](const auto& suite) { return suite.param ? "hypertable" : "plain"; });

}  // namespace
}  // namespace sluice::tsdb
