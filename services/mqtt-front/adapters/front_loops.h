#pragma once

#include "ports.h"

#include <cstddef>
#include <functional>
#include <vector>

namespace sluice::front {

class Broker;
class FrontLoop;

/// The loops of this process, as the services around them reach them: by handing work to the one
/// that owns a session. Thread-safe; copies lead to the same loops, which must outlive them.
class FrontLoops {
 public:
  /// Runs on the loop, soon and never from within post(), or not at all once the loop has stopped:
  /// it is then destroyed.
  using Task = std::move_only_function<void(Broker&)>;
  using Post = std::function<void(Task)>;

  explicit FrontLoops(std::vector<Post> loops);
  /// Implicit, so that whoever wires says `loops`. They need no broker yet: it is looked for when
  /// the task runs.
  FrontLoops(const std::vector<FrontLoop*>& loops);

  std::size_t size() const { return loops_.size(); }
  std::size_t owner_of(const SessionKey& key) const;
  void post(std::size_t loop, Task task) const { loops_[loop](std::move(task)); }

 private:
  std::vector<Post> loops_;
};

}  // namespace sluice::front
