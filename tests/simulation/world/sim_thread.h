#pragma once

#include "world/world.h"

#include <deque>
#include <functional>
#include <memory>

namespace sluice::simulation {

/// A thread of a simulated process: does one thing at a time. What comes while it waits within a
/// blocking call, or while its process is frozen, is done afterwards, in order. Nothing of it
/// happens once it is gone.
class SimThread {
 public:
  explicit SimThread(World& world) : world_(world), state_(std::make_shared<State>()) {}
  ~SimThread() { state_->is_gone = true; }
  SimThread(const SimThread&) = delete;
  SimThread& operator=(const SimThread&) = delete;

  using Action = std::move_only_function<void()>;
  void later(Duration delay, Action action);
  void freeze(Duration time);
  /// It is within an action: whoever owns it must not go now.
  bool is_busy() const { return state_->is_busy; }

 private:
  struct State {
    bool is_gone = false;
    bool is_busy = false;
    MonoTime frozen_until{};
    std::deque<Action> backlog;
  };

  static void arrive(World& world, const std::shared_ptr<State>& state, Action action);
  static void work_off(World& world, const std::shared_ptr<State>& state);

  World& world_;
  std::shared_ptr<State> state_;  // owned with the actions that are yet to come
};

}  // namespace sluice::simulation
