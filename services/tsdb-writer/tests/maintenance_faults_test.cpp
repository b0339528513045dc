// Whatever dies, and whenever: raw values and roll-ups equal what was sent while compaction and
// retention are at work, and who asks is answered the same, however the input came.
//
// SLUICE_TEST_FAULT_SECONDS: how long each of the storms lasts; 10 unless it says otherwise.
#include "adapters/query_source.h"
#include "core/query/formats.h"
#include "core/query/run.h"
#include "own_postgres.h"
#include "testing/stored_content.h"
#include "writer_world.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <format>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <sluice/postgres/transaction.h>
#include <sluice/testing/eventually.h>
#include <sluice/testing/sim_random.h>

#include <gtest/gtest.h>

namespace sluice::tsdb {
namespace {

using namespace std::chrono_literals;
using sluice::testing::eventually;
using testing::Content;
using testing::difference;
using testing::OwnPostgres;
using testing::Said;
using testing::WriterWorld;

std::chrono::seconds storm_length() {
  const char* seconds = std::getenv("SLUICE_TEST_FAULT_SECONDS");  // NOLINT(concurrency-mt-unsafe)
  return std::chrono::seconds(seconds == nullptr ? 10 : std::atoi(seconds));
}

/// Messages whose raw values are over by the policy "standard", each once: what comes again then
/// counts again, as README.md says.
std::vector<Said> old_messages(std::size_t count, std::int64_t& made) {
  const std::int64_t day = std::chrono::milliseconds(std::chrono::days(1)).count();
  const std::int64_t first =
      std::chrono::floor<std::chrono::hours>(SystemClock().wall()).time_since_epoch() / 1ms -
      5 * day;
  std::vector<Said> messages;
  for (std::size_t i = 0; i < count; ++i, ++made) {
    messages.push_back(
        {.device = std::format("old{}", made % 7),
         .event_time_ms = first + made * 7'919 % day,
         .readings = {{"temperature", 0.1 * static_cast<double>(made % 1'000)}, {"count", made}}});
  }
  return messages;
}

bool is_old(const Content::value_type& entry) {
  return std::get<1>(entry.first).starts_with("old");
}

/// Of raw values that are kept.
Content kept_of(Content content) {
  std::erase_if(content, is_old);
  return content;
}

std::int64_t count(WriterWorld& world, postgres::Sql sql) {
  return postgres::transaction(world.pool(), {.all_tenants = true},
                               [&](postgres::Transaction& tx) -> Result<std::int64_t> {
                                 SLUICE_TRY_ASSIGN(const auto rows, tx.query(sql));
                                 return rows.one().get<std::int64_t>(0);
                               })
      .value_or(-1);
}

/// Moves back whatever there is until everything is compacted.
bool compact_all(WriterWorld& world) {
  return eventually(
      [&] {
        world.move_hour_back();
        return count(world, "SELECT count(*) FROM hot") == 0;
      },
      120s);
}

class FaultsTest : public ::testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    if (GetParam() && !server.has_timescaledb()) GTEST_SKIP() << "TimescaleDB is not installed";
    if (GetParam()) world.make_extension();
  }

  std::unique_ptr<platform::ServiceProcess> writer() const {
    return world.writer(WriterWorld::eager_maintenance());
  }

  /// Sends until told to end, never far ahead of what is stored.
  void send_until(const std::atomic<bool>& should_end) {
    std::int64_t sent = 0;
    while (!should_end) {
      world.send(world.some_messages(100));
      world.send(old_messages(20, old_));
      sent += 120;
      eventually([&] { return should_end || world.stored_records() > sent - 3'000; });
    }
  }

  OwnPostgres server{GetParam()};
  WriterWorld world{server};

 private:
  std::int64_t old_ = 0;
};

TEST_P(FaultsTest, KilledAtRandomWhileCompactingEverythingEqualsTheSource) {
  sluice::testing::SimRandom random(
      static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count()));
  std::vector<std::unique_ptr<platform::ServiceProcess>> writers;
  // Two, so that another takes over what the one that leads leaves behind.
  for (int i = 0; i < 2; ++i) writers.push_back(writer());
  std::atomic<bool> should_end{false};
  std::jthread source([&] { send_until(should_end); });
  std::jthread mover([&] {
    while (!should_end) {
      world.move_hour_back();
      const std::int64_t moved = world.stored_records();
      eventually([&] { return should_end || world.stored_records() > moved + 500; });
    }
  });
  int kills = 0;
  const auto end = std::chrono::steady_clock::now() + storm_length();
  while (std::chrono::steady_clock::now() < end) {
    // Kafka gives a dead writer's partitions away after its session's 6 s at the earliest: a kill
    // before that would meet nobody at work.
    const std::int64_t anywhere =
        world.stored_records() + static_cast<std::int64_t>(random.below(1'500));
    EXPECT_TRUE(eventually([&] { return world.stored_records() > anywhere; }, 60s));
    if (random.below(4) == 0) {
      server.kill();
      server.start();
    } else {
      auto& victim = writers[random.below(writers.size())];
      victim->kill();
      victim = writer();
    }
    ++kills;
  }
  should_end = true;
  source.join();
  mover.join();
  std::string left;
  eventually(
      [&] {
        left = difference(kept_of(world.wanted()), kept_of(testing::read_raw(world.pool())));
        return left.empty();
      },
      60s);
  EXPECT_EQ(left, "") << "after " << kills << " kills";
  EXPECT_TRUE(compact_all(world));
  EXPECT_EQ(difference(kept_of(world.wanted()), kept_of(testing::read_raw(world.pool()))), "");
  EXPECT_EQ(difference(testing::rollups_of(world.wanted()), testing::read_rollups(world.pool())),
            "");
  EXPECT_EQ(count(world, "SELECT count(*) FROM set_aside"), 0);
  // Retention has been at work: raw values of what was too old are gone, roll-ups are not.
  EXPECT_TRUE(eventually([&] {
    return count(world,
                 "SELECT count(*) FROM warm JOIN devices USING (device_key) "
                 "WHERE device LIKE 'old%'") == 0;
  }));
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
  ASSERT_TRUE(compact_all(sorted));

  sluice::testing::SimRandom random(11);
  std::vector<Said> again(messages.begin(), messages.begin() + 700);
  again.insert(again.end(), messages.begin(), messages.end());
  std::ranges::shuffle(again, random);
  const auto third = static_cast<std::ptrdiff_t>(again.size() / 3);
  shuffled.send({again.begin(), again.begin() + third});
  EXPECT_EQ(shuffled.wait_for_content(), "");
  ASSERT_TRUE(compact_all(shuffled));  // all else is late
  shuffled.send({again.begin() + third, again.begin() + 2 * third});
  EXPECT_EQ(shuffled.wait_for_content(), "");
  ASSERT_TRUE(compact_all(shuffled));
  shuffled.send({again.begin() + 2 * third, again.end()});
  EXPECT_EQ(shuffled.wait_for_content(), "");

  const std::string wanted = answers_of(sorted);
  ASSERT_TRUE(wanted.starts_with("{\"from\"")) << wanted.substr(0, 200);
  EXPECT_EQ(first_difference(answers_of(shuffled), wanted), "") << "with a third of it in hot";
  ASSERT_TRUE(compact_all(shuffled));
  EXPECT_EQ(first_difference(answers_of(shuffled), wanted), "") << "compacted";
}

INSTANTIATE_TEST_SUITE_P(Layouts, FaultsTest, ::testing::Bool(),
                         [](const auto& suite) { return suite.param ? "hypertable" : "plain"; });
INSTANTIATE_TEST_SUITE_P(Layouts, OrderTest, ::testing::Bool(),
                         [](const auto& suite) { return suite.param ? "hypertable" : "plain"; });

}  // namespace
}  // namespace sluice::tsdb
