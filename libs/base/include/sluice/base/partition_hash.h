#pragma once

#include <cstdint>
#include <string_view>

namespace sluice {

/// What Kafka's own clients in Java take modulo the number of partitions for the partition of a
/// key: murmur2 without its sign bit. Here and not in libs/kafka, because what shares its work out
/// by key does well to share it out in the same way, and need not know Kafka for it.
std::uint32_t partition_hash(std::string_view key);

}  // namespace sluice
