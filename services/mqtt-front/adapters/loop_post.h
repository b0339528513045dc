#pragma once

#include <functional>

namespace sluice::front {

/// Hands work to a loop, which runs it soon and never from within this call. Thread-safe; must
/// work until whoever was given it has been destroyed.
using LoopPost = std::function<void(std::move_only_function<void()>)>;

}  // namespace sluice::front
