#include "adapters/front_loops.h"

#include "adapters/front_loop.h"
#include "core/broker.h"

#include <utility>

namespace sluice::front {

FrontLoops::FrontLoops(std::vector<Post> loops) : loops_(std::move(loops)) {}

FrontLoops::FrontLoops(const std::vector<FrontLoop*>& loops) {
  loops_.reserve(loops.size());
  for (FrontLoop* const loop : loops) {
    loops_.emplace_back([loop](Task task) {
      loop->post([loop, task = std::move(task)]() mutable { task(loop->broker()); });
    });
  }
}

std::size_t FrontLoops::owner_of(const SessionKey& key) const {
  return loop_of(key, loops_.size());
}

}  // namespace sluice::front
