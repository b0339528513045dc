#pragma once

#include <cstddef>

#include <sluice/log/logger.h>

namespace sluice::front {

/// How many of the process' descriptors connections of devices may take. The rest is for what they
/// must not lack, or all of them would be lost with it: Kafka, Redis, the registry, the other
/// fronts and the probes.
std::size_t descriptors_for_devices(std::size_t descriptors, std::size_t loops);

/// Lets the process have as many descriptors as its hard limit says, since mostly it begins with
/// few. Returns how many connections there can be then, at most `wanted`.
std::size_t raise_descriptor_limit(std::size_t wanted, std::size_t loops, const Logger& log);

}  // namespace sluice::front
