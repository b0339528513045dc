#pragma once

#include <chrono>
#include <functional>

namespace sluice::testing {

/// How long a test waits for what must come. Generous: it is spent only by a test that fails.
inline constexpr std::chrono::seconds kEventuallyDeadline{30};

/// Asks until the predicate holds or the deadline passes, and gives its last answer:
///   ASSERT_TRUE(eventually([&] { return consumer.lag() == 0; }));
/// For waiting on another process or thread that offers nothing better. Returns at once when it
/// holds.
bool eventually(const std::function<bool()>& holds,
                std::chrono::milliseconds deadline = kEventuallyDeadline);

}  // namespace sluice::testing
