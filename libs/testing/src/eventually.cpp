#include <sluice/testing/eventually.h>

#include <algorithm>
#include <thread>

namespace sluice::testing {

bool eventually(const std::function<bool()>& holds, std::chrono::milliseconds deadline) {
  using namespace std::chrono_literals;
  const auto end = std::chrono::steady_clock::now() + deadline;
  // Quick at first for what takes no time, then slow enough to leave the machine to what is waited
  // for.
  std::chrono::milliseconds pause = 1ms;
  while (!holds()) {
    if (std::chrono::steady_clock::now() >= end) return false;
    std::this_thread::sleep_for(pause);
    pause = std::min(pause * 2, 20ms);
  }
  return true;
}

}  // namespace sluice::testing
