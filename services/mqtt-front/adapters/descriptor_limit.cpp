#include "adapters/descriptor_limit.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include <sys/resource.h>

namespace sluice::front {

std::size_t descriptors_for_devices(std::size_t descriptors, std::size_t loops) {
  // gRPC, Redis, control topics, ops and what the runtime has; and of each loop a producer, which
  // has one to each of Kafka's brokers.
  constexpr std::size_t kReserved = 256;
  constexpr std::size_t kReservedOfLoop = 32;
  // A process that may have few has few brokers, too.
  return descriptors - std::min(kReserved + kReservedOfLoop * loops, descriptors / 2);
}

std::size_t raise_descriptor_limit(std::size_t wanted, std::size_t loops, const Logger& log) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return wanted;
  const rlim_t before = std::exchange(limit.rlim_cur, limit.rlim_max);
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) {
    log.warning("descriptor_limit_not_raised");
    limit.rlim_cur = before;
  }
  const std::size_t possible = descriptors_for_devices(limit.rlim_cur, loops);
  if (possible >= wanted) return wanted;
  log.warning("descriptors_below_max_connections",
              {{"descriptors", static_cast<std::int64_t>(limit.rlim_cur)},
               {"max_connections", static_cast<std::int64_t>(wanted)},
               {"connections", static_cast<std::int64_t>(possible)}});
  return possible;
}

}  // namespace sluice::front
