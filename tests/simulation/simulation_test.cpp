#include "simulation.h"

#include <cstdlib>
#include <optional>
#include <string>

#include <sluice/base/planted_bug.h>

#include <gtest/gtest.h>

namespace sluice::simulation {
namespace {

TEST(Simulation, TheSameSeedGivesTheSameRunToTheByte) {
  for (const std::uint64_t seed : {1U, 2U, 3U}) {
    const Outcome first = run({.seed = seed});
    const Outcome again = run({.seed = seed});
    EXPECT_EQ(first.trace_hash, again.trace_hash);
    EXPECT_EQ(first.trace_lines, again.trace_lines);
    EXPECT_GT(first.trace_lines, 300U);
  }
}

TEST(Simulation, AnotherSeedGivesAnotherRun) {
  EXPECT_NE(run({.seed = 1}).trace_hash, run({.seed = 2}).trace_hash);
}

TEST(Simulation, WithoutFaultsEverythingIsStoredOnce) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    const Outcome outcome = run({.seed = seed, .faults = Faults::none()});
    EXPECT_TRUE(outcome.is_good()) << outcome.report();
    EXPECT_GT(outcome.acknowledged, 50U);
  }
}

/// Each fault alone, so that a seed of all together is not the first to show what one does.
class OneFault : public ::testing::TestWithParam<const char*> {};

TEST_P(OneFault, BreaksNoPromise) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    const Outcome outcome = run({.seed = seed, .faults = Faults::parse(GetParam()).value()});
    EXPECT_TRUE(outcome.is_good()) << outcome.report();
  }
}

INSTANTIATE_TEST_SUITE_P(Simulation, OneFault,
                         ::testing::Values("loss", "duplicate", "reorder", "crash", "rebalance",
                                           "slow-store", "clock-jump"));

/// A promise that the real code is ordered to break: the same seeds are without a fault when it is
/// not.
struct Bug {
  const char* name;
  Invariant invariant;
};

class PlantedBug : public ::testing::TestWithParam<Bug> {};

TEST_P(PlantedBug, IsFound) {
  constexpr std::uint64_t kSeeds = 40;
  std::optional<std::uint64_t> found;
  {
    const ScopedPlantedBug bug(GetParam().name);
    for (std::uint64_t seed = 1; seed <= kSeeds && !found; ++seed) {
      if (run({.seed = seed}).violates(GetParam().invariant)) found = seed;
    }
  }
  ASSERT_TRUE(found) << "not within " << kSeeds << " seeds";
  RecordProperty("seed", std::to_string(*found));
  const Outcome without = run({.seed = *found});
  EXPECT_TRUE(without.is_good()) << without.report();
}

INSTANTIATE_TEST_SUITE_P(
    Simulation, PlantedBug,
    ::testing::Values(Bug{"front_acks_early", Invariant::kAckedIsStored},
                      Bug{"validator_commits_early", Invariant::kCommittedIsDurable},
                      Bug{"writer_commits_early", Invariant::kCommittedIsDurable},
                      Bug{"writer_forgets_position", Invariant::kIdempotent},
                      Bug{"validator_forgets_order", Invariant::kOrdered},
                      Bug{"validator_drops_rejected", Invariant::kAccountedFor},
                      Bug{"front_ignores_policy", Invariant::kIsolated},
                      Bug{"front_ignores_full_sink", Invariant::kBounded}),
    [](const auto& bug) { return std::string(bug.param.name); });

TEST(Simulation, ARunThatFailsTellsHowToRepeatIt) {
  const ScopedPlantedBug bug("front_acks_early");
  const Outcome outcome = run({.seed = 7, .faults = Faults::parse("loss,crash").value()});
  ASSERT_FALSE(outcome.is_good());
  EXPECT_TRUE(outcome.report().contains("make sim SEED=7 FAULTS=loss,crash"));
  EXPECT_TRUE(outcome.report().contains("I1"));
}

TEST(Faults, AreNamedAsOnTheCommandLine) {
  EXPECT_EQ(Faults::parse("crash,loss").value().text(), "loss,crash");
  EXPECT_EQ(Faults::parse("all").value().text(), "all");
  EXPECT_EQ(Faults::parse("none").value().text(), "none");
  EXPECT_FALSE(Faults::parse("los"));
}

}  // namespace
}  // namespace sluice::simulation
