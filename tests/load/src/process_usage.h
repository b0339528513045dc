#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <sluice/base/result.h>

namespace sluice::load {

/// What processes have used, all their threads and living descendants included.
struct ProcessUsage {
  std::chrono::nanoseconds cpu{};  // user and system; the kernel's grain is 10 ms
  std::uint64_t rss_bytes = 0;

  /// Fails when one of `pids` does not exist (any more). `proc`: where procfs is.
  static Result<ProcessUsage> of(std::span<const int> pids, const std::string& proc = "/proc");
};

}  // namespace sluice::load
