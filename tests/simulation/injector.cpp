#include "injector.h"

#include <utility>

namespace sluice::simulation {

using namespace std::chrono_literals;

void Injector::start() {
  world_.after(world_.between(200ms, 2s), [this] { strike(); });
}

void Injector::strike() {
  if (world_.strikes(Fault::kLoss, 0.4)) break_network();
  if (world_.strikes(Fault::kCrash, 0.4)) crash_somebody();
  if (world_.strikes(Fault::kRebalance, 0.4)) disturb_a_group();
  // Rarely longer than a delivery time-out, when producers give up.
  if (world_.strikes(Fault::kSlowStore, 0.2)) {
    spine_.cluster().go_down(world_.random.chance(0.15) ? world_.between(5s, 8s)
                                                        : world_.between(50ms, 2s));
  }
  if (world_.strikes(Fault::kClockJump, 0.2)) jump_clock();
  start();
}

void Injector::break_network() { spine_.device(world_.random.below(spine_.devices())).cut(); }

void Injector::crash_somebody() {
  const Duration away = world_.between(10ms, 1500ms);
  switch (world_.random.below(3)) {
    case 0:
      return spine_.crash_front(away);
    case 1:
      return spine_.crash_validator(world_.random.below(Spine::kValidators), away);
    default:
      return spine_.crash_writer(world_.random.below(Spine::kWriters), away);
  }
}

/// A member leaves in good order, is frozen, or is expelled, which it may find out late.
void Injector::disturb_a_group() {
  const bool is_validators = world_.random.chance(0.5);
  const std::size_t index = world_.random.below(2);
  const std::uint64_t kind = world_.random.below(3);
  world_.trace.note("disturb {} {} {}", is_validators ? "validator" : "writer", index, kind);
  const auto disturb = [&](auto* process, const char* group) {
    if (process == nullptr) return;
    if (kind == 0) return process->restart();
    process->freeze(world_.between(50ms, 3s));
    if (kind == 2) spine_.cluster().expel_members(group);
  };
  if (is_validators) {
    disturb(spine_.validator(index), ValidatorProcess::kGroup);
  } else {
    disturb(spine_.writer(index), WriterProcess::kGroup);
  }
}

/// As somebody corrects it; by less than what makes a device's own time unbelievable, and by more.
void Injector::jump_clock() {
  const Duration by = world_.between(-10min, 10min);
  world_.trace.note("clock jumps {}", std::chrono::duration_cast<std::chrono::seconds>(by));
  world_.clock.jump_wall_to(world_.clock.wall() +
                            std::chrono::duration_cast<std::chrono::milliseconds>(by));
}

}  // namespace sluice::simulation
