#pragma once

#include "spine.h"
#include "world/world.h"

namespace sluice::simulation {

/// Breaks things that do not break by themselves where they are used: now and then, one at a time,
/// by the faults that are on.
class Injector {
 public:
  Injector(World& world, Spine& spine) : world_(world), spine_(spine) {}

  void start();

 private:
  void strike();
  void break_network();
  void crash_somebody();
  void disturb_a_group();
  void jump_clock();

  World& world_;
  Spine& spine_;
};

}  // namespace sluice::simulation
