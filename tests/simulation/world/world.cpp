#include "world/world.h"

#include <memory>
#include <utility>
#include <vector>

namespace sluice::simulation {
namespace {

using namespace std::chrono_literals;

/// The services' own log lines: what they thought of it.
class TraceSink final : public LogSink {
 public:
  explicit TraceSink(Trace& trace) : trace_(trace) {}
  void write(std::string_view line) override { trace_.note("log {}", line); }

 private:
  Trace& trace_;
};

}  // namespace

World::World(std::uint64_t seed, Faults faults)
    : random(seed),
      trace(clock),
      log("simulation", LogLevel::kWarning, clock, std::make_shared<TraceSink>(trace)),
      faults_(faults),
      start_(clock.mono()) {}

Duration World::between(Duration low, Duration high) {
  return Duration(random.between(low.count(), high.count()));
}

Duration World::hop() {
  const Duration usual = between(200us, 3ms);
  // A long tail is what puts one connection's messages behind another's.
  return strikes(Fault::kReorder, 0.05) ? usual + between(5ms, 200ms) : usual;
}

bool World::run_until(const std::function<bool()>& is_over, MonoTime limit) {
  bool has_come = clock.mono() >= limit;
  testing::SimClock::TimerId alarm = 0;
  if (!has_come) alarm = clock.at(limit, [&has_come] { has_come = true; });
  while (!has_come) {
    if (is_over()) {
      clock.cancel(alarm);
      return true;
    }
    clock.advance_to_next_timer();
  }
  return is_over();
}

void World::report(Invariant invariant, std::string text) {
  trace.note("VIOLATED {}: {}", to_string(invariant), text);
  std::vector<std::string> before;
  if (violations.empty()) before.assign(trace.last().begin(), trace.last().end());
  violations.add({.invariant = invariant,
                  .at = elapsed(),
                  .text = std::move(text),
                  .before = std::move(before)});
}

}  // namespace sluice::simulation
