#include <limits>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <sluice/testing/captured_log.h>
#include <sluice/testing/environment.h>
#include <sluice/testing/eventually.h>
#include <sluice/testing/sim_clock.h>
#include <sluice/testing/sim_random.h>
#include <sluice/testing/temp_dir.h>

#include <gtest/gtest.h>

namespace sluice::testing {
namespace {

using namespace std::chrono_literals;

TEST(TempDir, IsEmptyPrivateAndGoneAfterwards) {
  std::filesystem::path path;
  {
    const TempDir folder;
    path = folder.path();
    EXPECT_TRUE(std::filesystem::is_empty(path));
    EXPECT_EQ(std::filesystem::status(path).permissions(), std::filesystem::perms::owner_all);
    const std::string content("a\0b\n", 4);
    EXPECT_EQ(read_file(folder.write("deep/down/file", content)), content);
  }
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(TempDir, ReadingWhatIsNotThereThrows) {
  EXPECT_THROW(read_file("/nonexistent/file"), std::runtime_error);
}

TEST(Environment, MissingVariableFailsTheTestAndSaysWhatToDo) {
  try {
    require_env("SLUICE_TEST_NO_SUCH_VARIABLE");
    FAIL() << "did not throw";
  } catch (const std::runtime_error& error) {
    EXPECT_TRUE(std::string_view(error.what()).contains("make test"));
  }
}

TEST(Environment, NamesAreUniqueShortAndPlain) {
  std::set<std::string> names;
  for (int i = 0; i < 1000; ++i) names.insert(unique_name("Some-Topic"));
  EXPECT_EQ(names.size(), 1000U);
  for (const std::string& name : names) {
    EXPECT_TRUE(name.starts_with("some_topic_"));
    EXPECT_LE(name.size(), std::string_view("Some-Topic").size() + 24);
    EXPECT_EQ(name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_"), std::string::npos);
  }
}

TEST(Environment, FindsBuiltPrograms) {
  EXPECT_TRUE(std::filesystem::exists(built_program("sluice-fault-proxy")));
  EXPECT_THROW(built_program("no-such-program"), std::runtime_error);
}

TEST(Eventually, AsksUntilItHoldsOrTimeIsUp) {
  int calls = 0;
  EXPECT_TRUE(eventually([&] { return ++calls == 3; }));
  EXPECT_EQ(calls, 3);
  EXPECT_FALSE(eventually([] { return false; }, 1ms));
}

TEST(CapturedLog, CountsEventsAndNotWhatLooksLikeThem) {
  SystemClock clock;
  const auto log = std::make_shared<CapturedLog>();
  const Logger logger = log->logger("test", clock);
  logger.debug("import_done", {{"note", R"("event":"planted")"}});
  logger.info("import_done");
  EXPECT_EQ(log->count("import_done"), 2U);
  EXPECT_EQ(log->count("planted"), 0U);
  EXPECT_EQ(log->count("import"), 0U);
  EXPECT_TRUE(log->contains("planted"));
  EXPECT_EQ(log->lines().size(), 2U);
  log->clear();
  EXPECT_TRUE(log->lines().empty());
}

TEST(CapturedLog, WaitsForAnEventOfAnotherThread) {
  SystemClock clock;
  const auto log = std::make_shared<CapturedLog>();
  const Logger logger = log->logger("test", clock);
  std::jthread other([&] { logger.info("ready"); });
  EXPECT_TRUE(log->wait_for("ready", kEventuallyDeadline));
  EXPECT_FALSE(log->wait_for("never", 1ms));
}

TEST(SimClock, MovesOnlyWhenTold) {
  SimClock clock;
  const WallTime wall = clock.wall();
  const MonoTime mono = clock.mono();
  EXPECT_EQ(wall, SimClock::kDefaultStart);
  clock.advance(1500us);
  EXPECT_EQ(clock.mono() - mono, 1500us);
  EXPECT_EQ(clock.wall() - wall, 1ms);
}

TEST(SimClock, WallJumpsAlone) {
  SimClock clock;
  const MonoTime mono = clock.mono();
  clock.advance(10s);
  clock.jump_wall_to(SimClock::kDefaultStart - 1h);
  EXPECT_EQ(clock.wall(), SimClock::kDefaultStart - 1h);
  EXPECT_EQ(clock.mono() - mono, 10s);
  clock.advance(1s);
  EXPECT_EQ(clock.wall(), SimClock::kDefaultStart - 1h + 1s);
}

TEST(SimClock, RunsTimersInOrderOfTimeThenOfSetting) {
  SimClock clock;
  const MonoTime start = clock.mono();
  std::vector<std::string> order;
  clock.after(2s, [&] { order.emplace_back("late"); });
  clock.after(1s, [&] {
    order.emplace_back("first");
    EXPECT_EQ(clock.mono() - start, 1s) << "the clock shows the timer's own time";
    clock.after(500ms, [&] { order.emplace_back("set by a timer"); });
  });
  clock.after(1s, [&] { order.emplace_back("second"); });
  clock.after(3s, [&] { order.emplace_back("not yet"); });
  clock.advance(2s);
  EXPECT_EQ(order, (std::vector<std::string>{"first", "second", "set by a timer", "late"}));
  EXPECT_EQ(clock.pending_timers(), 1U);
  EXPECT_TRUE(clock.advance_to_next_timer());
  EXPECT_EQ(clock.mono() - start, 3s);
  EXPECT_FALSE(clock.advance_to_next_timer());
}

TEST(SimClock, RunsATimerOfThePastAtTheNextAdvanceWithoutGoingBack) {
  SimClock clock;
  const MonoTime start = clock.mono();
  bool has_run = false;
  clock.at(start - 1s, [&] {
    has_run = true;
    EXPECT_EQ(clock.mono(), start);
  });
  EXPECT_FALSE(has_run);
  clock.advance(0s);
  EXPECT_TRUE(has_run);
}

TEST(SimClock, CancelsTimersOnce) {
  SimClock clock;
  const auto timer = clock.after(1s, [] { FAIL() << "was cancelled"; });
  EXPECT_TRUE(clock.cancel(timer));
  EXPECT_FALSE(clock.cancel(timer));
  clock.advance(2s);
}

TEST(SimRandom, GivesTheSameNumbersForEver) {
  // The reference implementation's first numbers for a state filled by SplitMix64 from 0: they must
  // never change, since printed seeds would no longer repeat anything.
  SimRandom random(0);
  EXPECT_EQ(random.next(), 0x99EC5F36CB75F2B4U);
  EXPECT_EQ(random.next(), 0xBF6E1F784956452AU);
  EXPECT_EQ(random.next(), 0x1A5F849D4933E6E0U);
}

TEST(SimRandom, ForksGiveOtherNumbers) {
  SimRandom random(7);
  SimRandom fork = random.fork();
  EXPECT_NE(fork.next(), random.next());
}

TEST(SimRandom, StaysInItsRange) {
  SimRandom random(1);
  std::set<std::int64_t> seen;
  for (int i = 0; i < 1000; ++i) seen.insert(random.between(-2, 2));
  EXPECT_EQ(seen, (std::set<std::int64_t>{-2, -1, 0, 1, 2}));
  EXPECT_EQ(random.between(5, 5), 5);
  random.between(std::numeric_limits<std::int64_t>::min(),
                 std::numeric_limits<std::int64_t>::max());
  EXPECT_FALSE(random.chance(0));
  EXPECT_TRUE(random.chance(1));
}

}  // namespace
}  // namespace sluice::testing
