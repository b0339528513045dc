#include <sluice/base/backoff.h>

#include <algorithm>
#include <cstdint>

namespace sluice {

std::chrono::milliseconds Backoff::next() {
  // 2^20 times any base is past every cap in use; stopping there keeps the shift defined.
  constexpr int kLastDoubling = 20;
  const auto window = std::min(policy_.cap, policy_.base * (std::int64_t{1} << attempt_));
  attempt_ = std::min(attempt_ + 1, kLastDoubling);
  return std::chrono::milliseconds(random_.below(static_cast<std::uint64_t>(window.count()) + 1));
}

}  // namespace sluice
