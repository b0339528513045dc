#include "simulation.h"

#include "injector.h"
#include "spine.h"

#include <algorithm>
#include <format>

namespace sluice::simulation {
namespace {

using namespace std::chrono_literals;

// Faults strike for this long; devices have said everything some seconds earlier.
constexpr Duration kTroubled = 15s;
// After that everything must have come to rest: longer than every time-out together.
constexpr Duration kRest = 120s;

}  // namespace

Outcome run(const Options& options) {
  World world(options.seed, options.faults);
  world.trace.is_shown = options.shows_trace;
  Spine spine(world);
  Injector injector(world, spine);
  spine.start();
  injector.start();
  world.run_until([] { return false; }, world.clock.mono() + kTroubled);
  world.heal();
  world.trace.note("healed");
  if (!world.run_until([&] { return spine.is_at_rest(); }, world.clock.mono() + kRest)) {
    world.violated(Invariant::kComesToRest, "{}", spine.what_is_left());
  }
  spine.checks().finish();
  return {.seed = options.seed,
          .faults = options.faults.text(),
          .violations = world.violations.found(),
          .trace_hash = world.trace.hash(),
          .trace_lines = world.trace.lines(),
          .acknowledged = spine.checks().acknowledged(),
          .longest = spine.checks().longest()};
}

bool Outcome::violates(Invariant invariant) const {
  return std::ranges::contains(violations, invariant, &Violation::invariant);
}

std::string Outcome::report() const {
  if (is_good()) return {};
  std::string text = std::format("seed {} with faults {}:\n", seed, faults);
  for (const Violation& violation : violations) {
    text += std::format("  at {} {}\n    {}\n", violation.at, to_string(violation.invariant),
                        violation.text);
    if (!violation.before.empty()) text += "    before that:\n";
    for (const std::string& line : violation.before) text += std::format("      {}\n", line);
  }
  text += std::format("again, every event shown: make sim SEED={}", seed);
  if (faults != "all") text += std::format(" FAULTS={}", faults);
  return text + "\n";
}

}  // namespace sluice::simulation
