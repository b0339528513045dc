#include "world/sim_thread.h"

#include <utility>

namespace sluice::simulation {

void SimThread::later(Duration delay, Action action) {
  // std::function, which the clock takes, must be copyable.
  auto shared = std::make_shared<Action>(std::move(action));
  world_.after(delay, [&world = world_, state = state_, shared] {
    arrive(world, state, std::move(*shared));
  });
}

void SimThread::freeze(Duration time) {
  state_->frozen_until = std::max(state_->frozen_until, world_.clock.mono() + time);
  world_.after(time, [&world = world_, state = state_] { work_off(world, state); });
}

void SimThread::arrive(World& world, const std::shared_ptr<State>& state, Action action) {
  if (state->is_gone) return;
  state->backlog.push_back(std::move(action));
  work_off(world, state);
}

void SimThread::work_off(World& world, const std::shared_ptr<State>& state) {
  if (state->is_busy) return;  // who is at work comes to it
  while (!state->is_gone && !state->backlog.empty() && world.clock.mono() >= state->frozen_until) {
    Action action = std::move(state->backlog.front());
    state->backlog.pop_front();
    state->is_busy = true;
    action();
    state->is_busy = false;
  }
}

}  // namespace sluice::simulation
